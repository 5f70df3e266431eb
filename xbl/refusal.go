package xbl

import (
	"sync"
	"time"
)

// defaultRetryRefused is long enough that a broken token costs next to no quota, and short enough that a mistake of the
// service heals by itself soon.
const defaultRetryRefused = time.Minute

// SourceOption changes a token source of this package.
type SourceOption func(*sourceOptions)

type sourceOptions struct {
	retryRefused time.Duration
	remembered   int
	refreshed    func(*TokenError)
}

// RetryRefusedAfter sets how long a refused token rests before it is tried once more; 0 or less means the default of
// one minute. A 401 may have been a mistake of the service, so a token is never given up for good.
func RetryRefusedAfter(d time.Duration) SourceOption {
	return func(o *sourceOptions) { o.retryRefused = d }
}

// RememberSenders bounds the memory of a source: it remembers at least n senders that were used last and at most twice
// as many; 0 or less means the default of 8192. A forgotten sender costs one more read of its file.
func RememberSenders(n int) SourceOption {
	return func(o *sourceOptions) { o.remembered = n }
}

// OnRefresh has fn told of each attempt to get a token for a sender: nil for one that was got anew, else why there is none. An
// attempt is made when something changed, and as long as there is no token, with each call of Token. fn is called from many
// goroutines at once, and holds up a call while it runs.
func OnRefresh(fn func(*TokenError)) SourceOption {
	return func(o *sourceOptions) { o.refreshed = fn }
}

func newSourceOptions(options []SourceOption) sourceOptions {
	var o sourceOptions
	for _, option := range options {
		option(&o)
	}
	if o.retryRefused <= 0 {
		o.retryRefused = defaultRetryRefused
	}
	if o.remembered <= 0 {
		o.remembered = 8192
	}
	if o.refreshed == nil {
		o.refreshed = func(*TokenError) {}
	}
	return o
}

// refusal remembers, for one sender, the token that the API refused. While the source has no other, admit holds it back
// and lets it through once per rest; an answer other than 401 to such a trial ends the refusal (see [Token.worked]).
type refusal struct {
	mu      sync.Mutex
	refused *string // Token.secret; nil: none
	at      time.Time
	nextTry time.Time
}

func (r *refusal) refuse(t Token, now time.Time, rest time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.refused, r.at, r.nextTry = t.secret, now, now.Add(rest)
}

func (r *refusal) admit(sender string, t Token, now time.Time, rest time.Duration) (Token, *TokenError) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.refused != t.secret {
		r.refused = nil
		return t, nil
	}
	if now.Before(r.nextTry) {
		return Token{}, &TokenError{
			Kind: TokenRefused, Sender: sender, RetryAt: r.nextTry,
			Detail: "the API refused this token at " + r.at.UTC().Format(time.RFC3339) + "; waiting for a new one",
		}
	}
	r.nextTry = now.Add(rest)
	t.trial = r
	return t, nil
}

// worked says that the API accepted the token. It costs nothing except for a trial of a refused one.
func (t Token) worked() {
	if t.trial == nil {
		return
	}
	t.trial.mu.Lock()
	defer t.trial.mu.Unlock()
	if t.trial.refused == t.secret {
		t.trial.refused = nil
	}
}
