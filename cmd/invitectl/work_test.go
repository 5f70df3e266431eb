package main

import (
	"context"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/require"

	"github.com/invitedhq/invited/cmd/internal/harness"
	"github.com/invitedhq/invited/queue"
)

// sender is a worker that ends jobs when it is told to, and makes no calls.
type sender struct {
	*testing.T
	queue *queue.Queue
	jobs  chan *queue.Delivery
	stop  func() // it gives back what it has in hand
}

// work takes jobs until it is stopped, or the test ends.
func work(t *testing.T, conn *nats.Conn) *sender {
	t.Helper()
	q, err := queue.Open(t.Context(), conn, queue.Options{Logger: slog.New(slog.DiscardHandler)})
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	s := &sender{T: t, queue: q, jobs: make(chan *queue.Delivery, 10_000)}
	ended := make(chan error, 1)
	go func() { ended <- q.Consume(ctx, queue.DeliverFunc(func(d *queue.Delivery) { s.jobs <- d })) }()
	s.stop = sync.OnceFunc(func() {
		cancel()
		require.NoError(t, <-ended)
		q.Close()
	})
	t.Cleanup(s.stop)
	return s
}

// endAllOf ends so many jobs of a campaign as sent, but for two recipients, and waits until they have left the queue. What comes of
// others it keeps in hand.
func (s *sender) endAllOf(campaign string, n int, url string) {
	s.Helper()
	refused := 2
	for n > 0 {
		if d := <-s.jobs; d.Address.Campaign == campaign {
			s.settle(d, refused)
			refused = 0
			n--
		}
	}
	harness.Until(s, 30*time.Second, "all have left the queue", func() bool {
		_, out, _ := run(s.T, "campaign", "status", campaign, "--json", "--nats-url", url)
		return strings.Contains(out, `"state":"ended"`)
	})
}

// end ends the next n jobs as sent, but for so many recipients of the first, who are refused.
func (s *sender) end(n, refused int) {
	s.Helper()
	for range n {
		s.settle(<-s.jobs, refused)
		refused = 0
	}
}

func (s *sender) settle(d *queue.Delivery, refused int) {
	s.Helper()
	users := d.Job.InvitedUsers
	e := queue.Ending{Sent: len(users) - refused, Attempts: 1, EndedAt: time.Now()}
	if refused > 0 {
		e.Dead = []queue.Dead{{Reason: queue.Rejected, Recipients: users[:refused]}}
	}
	stored := make(chan error, 1)
	s.queue.Settle(s.Context(), d, e, func(err error) { stored <- err })
	require.NoError(s, <-stored)
}
