package console

import (
	"sync/atomic"

	"github.com/invitedhq/invited/dispatcher"
	"github.com/invitedhq/invited/queue"
	"github.com/invitedhq/invited/xbl"
)

// counts is what this worker has done since it began: what it tells the others.
type counts struct {
	sent, dead atomic.Uint64
	calls      [xbl.Misconfigured + 1]atomic.Uint64 // by kind; 0: sent
}

// Observe passes on what the dispatcher tells to next, and counts it for the pages.
func (c *Console) Observe(next dispatcher.Observer) dispatcher.Observer {
	return &counting{next, &c.counts}
}

type counting struct {
	dispatcher.Observer
	*counts
}

// CallEnded implements dispatcher.Observer.
func (c *counting) CallEnded(call dispatcher.CallEnded) {
	c.calls[call.Kind].Add(1)
	if call.Kind == 0 {
		c.sent.Add(uint64(call.Recipients))
	}
	c.Observer.CallEnded(call)
}

// JobEnded implements dispatcher.Observer.
func (c *counting) JobEnded(j dispatcher.JobEnded) {
	c.dead.Add(uint64(len(j.Dead)))
	c.Observer.JobEnded(j)
}

// sentCalls is what calls that were answered with 204 are called, as in invited_calls_total.
const sentCalls = "sent"

// activity adds what was counted.
func (c *counts) activity(a *queue.Activity) {
	a.Sent, a.Dead = c.sent.Load(), c.dead.Load()
	a.Calls = make(map[string]uint64)
	for kind := range c.calls {
		if n := c.calls[kind].Load(); n > 0 {
			name := sentCalls
			if kind != 0 {
				name = xbl.Kind(kind).String()
			}
			a.Calls[name] = n
		}
	}
}
