package main

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/invitedhq/invited/cmd/internal/sources"
	"github.com/invitedhq/invited/metrics"
	"github.com/invitedhq/invited/xbl"
)

// replaceable is a token source that can be replaced while it is used.
type replaceable struct {
	now atomic.Pointer[sources.Source]
}

var (
	_ xbl.PrioritySource = (*replaceable)(nil)
	_ metrics.Expiring   = (*replaceable)(nil)
)

func newReplaceable(s *sources.Source) *replaceable {
	r := new(replaceable)
	r.now.Store(s)
	return r
}

// replace puts another source in force. Calls that ask the one before meanwhile are told that there is no token yet.
func (r *replaceable) replace(s *sources.Source) { r.now.Swap(s).Close() }

func (r *replaceable) retry() { r.now.Load().Retry() }

func (r *replaceable) close() { r.now.Load().Close() }

// Token implements xbl.TokenSource.
func (r *replaceable) Token(ctx context.Context, sender string) (xbl.Token, error) {
	return r.now.Load().Token(ctx, sender)
}

// UrgentToken implements xbl.PrioritySource. Where tokens are at hand nobody has to be first.
func (r *replaceable) UrgentToken(ctx context.Context, sender string) (xbl.Token, error) {
	now := r.now.Load()
	if s, ok := now.TokenSource.(xbl.PrioritySource); ok {
		return s.UrgentToken(ctx, sender)
	}
	return now.Token(ctx, sender)
}

// EarliestExpiry implements metrics.Expiring.
func (r *replaceable) EarliestExpiry() time.Time { return r.now.Load().EarliestExpiry() }

// CertificateEnds implements metrics.Expiring.
func (r *replaceable) CertificateEnds() time.Time { return r.now.Load().CertificateEnds() }

// Refused implements xbl.TokenSource. A token of the source before is none of the new one's, which ignores it.
func (r *replaceable) Refused(sender string, t xbl.Token) { r.now.Load().Refused(sender, t) }
