package xbl

import (
	"context"
	"fmt"
	"net/http"
	"time"
)

// Signer signs the requests that are made with a token. It is used by many goroutines at once.
type Signer interface {
	// Sign makes the value of the header Signature, and says which time is in it. It gets what is signed: the method, path
	// and query as they are sent, the Authorization value, and the whole body, which it must neither change nor hold on to.
	// An error of it is that of a call that was not made.
	Sign(method, pathAndQuery, authorization string, body []byte) (signature string, at time.Time, err error)
	// Heard is told the Date of each answer: signatures have the time in them, by the service's clock.
	Heard(date time.Time)
}

// SignedBy is the same token, with which each call has to be signed. It stays equal to the one without: what a refusal
// concerns is the token.
func (t Token) SignedBy(s Signer) Token {
	t.signer = &s
	return t
}

// IsSigned says whether calls that are made with the token are signed.
func (t Token) IsSigned() bool { return t.signer != nil }

// sign adds the signature that the token wants. The request is final but for that.
func (t Token) sign(r *http.Request, body []byte) (at time.Time, err error) {
	if t.signer == nil {
		return time.Time{}, nil
	}
	signature, at, err := (*t.signer).Sign(r.Method, r.URL.RequestURI(), t.authorization(), body)
	if err != nil {
		return time.Time{}, fmt.Errorf("the call can't be signed: %w", err)
	}
	r.Header["Signature"] = []string{signature}
	return at, nil
}

// clockTolerance is what the times of a signature and of its answer may differ by, beyond the time that the call took.
const clockTolerance = 30 * time.Second

// heard passes the answer's Date on, and says whether the signature had another time in it: 403 is then about the clock
// and not about the sender.
func (t Token) heard(header http.Header, signedAt time.Time, took time.Duration) (wrongClock bool) {
	if t.signer == nil {
		return false
	}
	date, err := http.ParseTime(header.Get("Date"))
	if err != nil {
		return false
	}
	(*t.signer).Heard(date)
	return date.Before(signedAt.Add(-clockTolerance)) || date.After(signedAt.Add(took+clockTolerance))
}

// PrioritySource is a [TokenSource] that can serve some senders before others, where tokens are hard to come by.
type PrioritySource interface {
	TokenSource
	// UrgentToken is Token for a call that a player waits for.
	UrgentToken(ctx context.Context, sender string) (Token, error)
}

// token asks the source for the token of a call.
func (c *Client) token(ctx context.Context, inv *Invite) (Token, error) {
	if inv.Urgent && c.priority != nil {
		return c.priority.UrgentToken(ctx, inv.Sender)
	}
	return c.options.Tokens.Token(ctx, inv.Sender)
}
