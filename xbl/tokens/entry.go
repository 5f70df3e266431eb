package tokens

import (
	"sync/atomic"
	"time"

	"github.com/invitedhq/invited/xbl"
)

// entry is what is known of one sender. What is not atomic belongs to Cache.mu.
type entry struct {
	sender  string
	serving atomic.Pointer[serving] // nil: there is no token to give
	used    atomic.Int64            // when it was last asked for, in Unix seconds

	want    want
	running bool          // a fetch goes on
	done    chan struct{} // closed when the next fetch ends; nil: nobody waits for it
	failure *xbl.TokenError
	retryAt time.Time // no fetch before
	failed  int       // fetches in a row
	denied  bool      // the last one was answered with a no

	refused  xbl.Token // by the API; zero: none was since the last other one
	resting  time.Time // until when it is not given again, if no other comes
	refusals int       // of new tokens, in a row
}

// serving is a token that is given. It is never changed.
type serving struct {
	token   xbl.Token
	since   time.Time
	end     time.Time // of the token
	recheck time.Time // when to look whether it wants a refresh
	random  float64   // from 0 to 1: how soon, of those that end together
}

// again is the same token, to be looked at later.
func (s *serving) again(at time.Time) *serving {
	later := *s
	later.recheck = at
	if at.After(s.end) {
		later.recheck = s.end
	}
	return &later
}

func (s *serving) valid(now time.Time) bool { return s != nil && now.Before(s.end) }

// touch notes that the sender is in use. Most calls find it noted: a write would make the processors wait for each other.
func (e *entry) touch(now time.Time) {
	if second := now.Unix(); e.used.Load() != second {
		e.used.Store(second)
	}
}

// class is where a sender without a token stands in line.
func (e *entry) class(hurry bool) class {
	switch {
	case e.denied:
		return doubtful
	case hurry:
		return urgent
	default:
		return needed
	}
}

// rest is how long a token that the API refused is not given again.
const rest = time.Minute

// refuse takes a token out of use. The first refusal is answered with a new token at once. One that is refused as soon
// as it was got shows that new ones do not help: then they are got ever more seldom.
func (e *entry) refuse(now time.Time, s *serving) {
	e.serving.Store(nil)
	e.refused, e.resting = s.token, now.Add(rest)
	if now.Sub(s.since) > rest {
		e.refusals = 0
	}
	if e.refusals++; e.refusals > 1 {
		e.retryAt = now.Add(grown(rest, 5*time.Minute, e.refusals-2))
		e.failure = &xbl.TokenError{
			Kind: xbl.TokenRefused, Sender: e.sender, RetryAt: e.retryAt,
			Detail: "the API refused one token after the other; the last one at " + now.UTC().Format(time.RFC3339),
		}
	}
}

// granted puts a new token in use, or says why not: it may be the one that was just refused.
func (e *entry) granted(now time.Time, token xbl.Token, random float64) *xbl.TokenError {
	e.failed, e.denied, e.failure = 0, false, nil
	switch {
	case e.refused.IsZero():
	case token.Authorization() != e.refused.Authorization():
		e.refused = xbl.Token{}
	case now.Before(e.resting):
		e.retryAt = e.resting
		e.failure = &xbl.TokenError{
			Kind: xbl.TokenRefused, Sender: e.sender, RetryAt: e.retryAt,
			Detail: "the API refused this token, and there is no other yet",
		}
		return e.failure
	}
	e.retryAt = now.Add(time.Second) // whatever dates the tokens have
	half := now.Add(token.NotAfter.Sub(now) / 2)
	e.serving.Store(&serving{token: token, since: now, end: token.NotAfter, recheck: half, random: random})
	return nil
}

// fail notes why there is no new token.
func (e *entry) fail(now time.Time, problem *xbl.TokenError, random float64) {
	e.failed++
	e.denied = problem.Kind.NeedsAct()
	e.retryAt = problem.RetryAt
	if e.retryAt.IsZero() {
		wait := grown(time.Second, time.Minute, e.failed-1)
		if e.denied {
			wait = grown(30*time.Second, 5*time.Minute, e.failed-1)
		}
		e.retryAt = now.Add(time.Duration((0.75 + 0.5*random) * float64(wait)))
		problem.RetryAt = e.retryAt
	}
	e.failure = problem
}

// ended tells those who wait for a fetch.
func (e *entry) ended() {
	e.running = false
	if e.done != nil {
		close(e.done)
		e.done = nil
	}
}

// abandoned says that nobody has asked for the sender's token for long: its jobs have ended, or are another worker's.
func (e *entry) abandoned(now time.Time) bool {
	const after = 300 // seconds
	return now.Unix()-e.used.Load() > after
}
