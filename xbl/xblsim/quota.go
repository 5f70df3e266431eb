package xblsim

import "github.com/invitedhq/invited/xbl/xblsim/internal/limit"

// Window is one limit of a quota: at most Max calls in Per. Both are above 0.
type Window = limit.Window

// ParseQuota reads windows written as calls/time and parted by commas, such as 7/15s,50/300s.
// An empty text means no quota.
func ParseQuota(s string) ([]Window, error) { return limit.Parse(s) }

// key is what the service limits: a user and a title. On /invites/server, where one token speaks for many
// users, the user is the sender.
type key struct {
	user   tokenKey // the token's key where it is not known whose it is
	title  uint32
	sender uint64
}
