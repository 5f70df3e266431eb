package queue

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"
)

// serverClock says what time it is by the server's clock. That is what jobs are published and expire by: the clock of this
// machine may be minutes off, or be set while the worker runs. Between two looks at the server's clock it goes by the monotonic
// one. It is safe for concurrent use; its zero value takes the two clocks for one.
type serverClock struct {
	mu     sync.Mutex
	here   time.Time     // a moment by this worker's clock, with its monotonic reading
	server time.Time     // and by the server's
	off    time.Duration // what the server's clock was ahead of this worker's; for the log
}

const (
	// clockEvery is how often the server's clock is looked at.
	clockEvery = 10 * time.Second
	// clockWorthALine is how far off a worker's clock is that somebody should look after it.
	clockWorthALine = 2 * time.Second
)

// look takes note of a message that was sent to the server, stored there and acknowledged. The two clocks are taken for one
// unless that can't be: all that is known is that the message was stored in between.
func (c *serverClock) look(log *slog.Logger, sent, acknowledged, stored time.Time) {
	off := offset(sent, acknowledged, stored)
	c.mu.Lock()
	changed := off - c.off
	c.here, c.server = acknowledged, acknowledged.Round(0).Add(off)
	if changed.Abs() >= clockWorthALine {
		c.off = off
	}
	c.mu.Unlock()
	if changed.Abs() >= clockWorthALine {
		log.Warn("this machine's clock is not the NATS server's; jobs expire by the server's", "ahead", (-off).Round(time.Millisecond))
	}
}

// offset is the least that the server's clock can be ahead of this worker's; below 0: behind. How long it took is by the
// monotonic clock: this worker's may have been set meanwhile.
func offset(sent, acknowledged, stored time.Time) time.Duration {
	least := stored.Sub(acknowledged.Round(0))
	most := least + acknowledged.Sub(sent)
	switch {
	case least > 0:
		return least
	case most < 0:
		return most
	default:
		return 0
	}
}

// toHere is when this worker's clock shows a time of the server's. It has a monotonic reading, as time.Now has.
func (c *serverClock) toHere(server time.Time) time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.here.IsZero() || server.IsZero() {
		return server
	}
	return c.here.Add(server.Sub(c.server))
}

// toServer is what the server's clock shows at a time of this worker's.
func (c *serverClock) toServer(here time.Time) time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.here.IsZero() || here.IsZero() {
		return here
	}
	return c.server.Add(here.Sub(c.here))
}

// due says whether it is time to look at the server's clock.
func (c *serverClock) due(now time.Time) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.here.IsZero() || now.Sub(c.here) >= clockEvery
}

// lookAtClock compares the clocks by a renewal of this worker's.
func (m *members) lookAtClock(ctx context.Context, r renewal) error {
	stored, err := m.at(ctx, r.sequence)
	if err != nil {
		return fmt.Errorf("the server's clock: %w", err)
	}
	m.q.clock.look(m.q.log, r.sent, r.acknowledged, stored.Time)
	return nil
}
