package main

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/require"

	"github.com/invitedhq/invited/queue"
)

// sender is a worker that ends jobs when it is told to, and makes no calls.
type sender struct {
	*testing.T
	queue *queue.Queue
	jobs  chan *queue.Delivery
}

// work takes jobs until the test ends.
func work(t *testing.T, conn *nats.Conn) *sender {
	t.Helper()
	q, err := queue.Open(t.Context(), conn, queue.Options{Logger: slog.New(slog.DiscardHandler)})
	require.NoError(t, err)
	s := &sender{t, q, make(chan *queue.Delivery, 10_000)}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- q.Consume(ctx, queue.DeliverFunc(func(d *queue.Delivery) { s.jobs <- d })) }()
	t.Cleanup(func() {
		cancel()
		require.NoError(t, <-ended)
		q.Close()
	})
	return s
}

// end ends the next n jobs as sent, but for so many recipients of the first, who are refused.
func (s *sender) end(n, refused int) {
	s.Helper()
	for range n {
		d := <-s.jobs
		users := d.Job.InvitedUsers
		e := queue.Ending{Sent: len(users) - refused, Attempts: 1, EndedAt: time.Now()}
		if refused > 0 {
			e.Dead = []queue.Dead{{Reason: queue.Rejected, Recipients: users[:refused]}}
		}
		refused = 0
		stored := make(chan error, 1)
		s.queue.Settle(s.Context(), d, e, func(err error) { stored <- err })
		require.NoError(s, <-stored)
	}
}
