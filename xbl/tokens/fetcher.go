package tokens

import (
	"context"
	"time"

	"github.com/invitedhq/invited/xbl"
)

// Fetcher gets tokens from whoever makes them. Its methods are called by several goroutines at once, but Fetch only once
// at a time for each sender.
type Fetcher interface {
	// Check says, without asking anybody, why there can be no token for the sender; nil: there may be one. It is called
	// before each place in line, so that who can't get a token takes nobody else's.
	Check(sender string) *xbl.TokenError
	// Cost is how many requests the next Fetch needs.
	Cost() int
	// Fetch gets a new token with at most so many requests: that is what they were counted as. Its error is best an
	// [*xbl.TokenError]: that of kind TokenThrottled holds back all senders until RetryAt, and so do several of kind
	// TokenUnavailable in a row. Where RetryAt is set for another kind, the sender is tried again then, else after a time
	// that grows with each failure.
	Fetch(ctx context.Context, sender string, requests int) (Grant, error)
}

// Grant is a token as it was given.
type Grant struct {
	Token xbl.Token // with its NotAfter, by this machine's clock
	// Owner says whose it is, where that is known.
	Owner Owner
}

// Owner is whose a token is.
type Owner struct {
	Gamertag string
	XUID     string
	// Service is set where the token is the title's own and no user's.
	Service bool
}

// Window allows Max requests in any span of Per.
type Window struct {
	Max int
	Per time.Duration
}
