package dispatcher

import (
	"context"
	"time"
)

// A held job is this worker's to send only while its lease is: once that has
// run out, another worker may have the job too. So the loop asks the queue's
// server every second whether it is there. Without an answer no call is made;
// and what was not renewed in time is dropped, to come again to whoever has it then.

const (
	confirmEvery = time.Second
	// confirmWithin is how long an answer may take. A network that is slower
	// than that is as good as cut.
	confirmWithin = 2 * time.Second
)

// confirmation is the queue's server's answer, or its absence.
type confirmation struct {
	extended time.Time // when the leases were last renewed before it was asked
	err      error
}

// leases keeps the leases of the jobs held.
type leases struct {
	extended time.Time // when they were last renewed
	asking   bool
	paused   bool
}

// keep renews the leases when it is time to, and asks for a confirmation.
func (l *loop) keepLeases(now time.Time) {
	if now.Sub(l.leases.extended) >= l.cfg.Lease/3 {
		l.leases.extended = now
		for _, h := range l.held {
			if err := h.delivery.Extend(); err != nil {
				l.log.Debug("a lease could not be extended", "job", h.delivery.ID(), "error", err)
			}
		}
	}
	if l.leases.paused {
		l.dropLapsed(now)
	}
	if l.leases.asking {
		return
	}
	l.leases.asking = true
	asked := l.leases.extended
	go func() {
		ctx, cancel := context.WithTimeout(l.calling, confirmWithin)
		defer cancel()
		l.confirmed.put(confirmation{extended: asked, err: l.store.Confirm(ctx)})
	}()
}

// leasesConfirmed takes note of an answer.
func (l *loop) leasesConfirmed(now time.Time, c confirmation) {
	l.leases.asking = false
	if paused := c.err != nil; paused != l.leases.paused {
		l.leases.paused = paused
		if paused {
			l.log.Warn("NATS does not answer; no calls are made until it does", "error", c.err)
		} else {
			l.log.Info("NATS answers again")
		}
	}
	if c.err == nil {
		for _, h := range l.held {
			if !h.taken.After(c.extended) {
				h.until = c.extended.Add(l.cfg.Lease)
			}
		}
		l.dropLapsed(now)
	}
	l.plan.Pause(l.leases.paused)
}

// dropLapsed forgets jobs whose lease has run out. What is in a call, or ended,
// stays: how it ended is still to be stored.
func (l *loop) dropLapsed(now time.Time) {
	for m, h := range l.held {
		if h.job == nil || h.ending || !now.After(h.until) {
			continue
		}
		if l.plan.Drop(now, h.job) {
			delete(l.held, m)
		}
	}
}
