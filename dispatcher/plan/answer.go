package plan

import (
	"fmt"
	"slices"
	"time"

	"github.com/invitedhq/invited/queue"
	"github.com/invitedhq/invited/xbl"
)

// tokenPoll is how often a key without a usable token asks for one again. It
// costs no call: the token source answers from what it knows.
const tokenPoll = time.Second

// Answer ends a call; err is what xbl.Client.SendInvites said, nil for sent.
// This is the whole state machine of a job (docs/architecture.md draws it).
// It says how much longer than before the key is blocked now.
func (p *Planner) Answer(now time.Time, c *Call, err *xbl.Error) (blocked time.Duration) {
	k := p.keys[c.Key]
	p.inFlight--
	k.log.answered(now, err == nil || err.Written)
	p.note(k)
	wake := k.title.answered(now, c, err, p.cfg.Probe)
	k.answered(c, err)
	if kindOf(err) != xbl.Unauthorized {
		p.has(k)
	}

	switch kindOf(err) {
	case none:
		p.sent(now, k, c)
	case xbl.Throttled:
		blocked = p.throttled(now, k, c, err)
	case xbl.Unauthorized:
		p.unauthorized(now, k, c, err)
	case xbl.Transient:
		p.transient(now, k, c, err)
	case xbl.Ambiguous:
		p.ambiguous(now, k, c, err)
	case xbl.Rejected:
		p.rejected(now, k, c, err)
	case xbl.Forbidden:
		p.dead(now, c, deadOf(queue.Forbidden, err))
	case xbl.Misconfigured:
		p.dead(now, c, deadOf(queue.Misconfigured, err))
	}

	p.leaveCall(c.jobs)
	p.refresh(now, k)
	if wake {
		for other := range k.title.keys {
			p.refresh(now, other)
		}
	}
	return blocked
}

// none is the kind of no error: the call was sent.
const none xbl.Kind = 0

func kindOf(err *xbl.Error) xbl.Kind {
	if err == nil {
		return none
	}
	return err.Kind
}

// answered notes what an answer says about the key itself. Only a call made
// after the block, or the want of a token, says that it is over.
func (k *key) answered(c *Call, err *xbl.Error) {
	kind := kindOf(err)
	if kind != xbl.Unauthorized {
		k.refused = 0
	}
	if kind != xbl.Unauthorized && kind != xbl.Throttled && !c.Started.Before(k.blocked) && !c.Started.Before(k.noToken) {
		k.probing = false
	}
}

func (p *Planner) sent(now time.Time, k *key, c *Call) {
	c.attempted()
	k.regain()
	k.raise(now)
	if k.hopeless.share == (share{c.ConnectionString, c.Platform}) {
		k.hopelessAt = time.Time{}
	}
	for _, w := range c.parcels {
		for _, s := range w.spans {
			s.sent(now)
			p.progressed(s.job)
		}
		if w.narrowing != nil {
			w.narrowing.answered(w.spans, w.n, false)
			p.narrow(now, k, w.narrowing)
		}
	}
}

// throttled: not the job's fault, so no attempt is spent.
func (p *Planner) throttled(now time.Time, k *key, c *Call, err *xbl.Error) time.Duration {
	k.probing = true
	k.learn(now, c, err)
	k.title.told(k)
	p.back(now, c)
	blocked := k.block(now, now.Add(err.RetryAfter))
	if blocked > 0 {
		p.changed[k] = struct{}{}
		p.giveUp(now, k)
	}
	return blocked
}

// unauthorized: the first refusal of a token is answered with a fresh one at
// once. Else the key waits for a token; nobody's attempts are spent on that.
func (p *Planner) unauthorized(now time.Time, k *key, c *Call, err *xbl.Error) {
	if err.Written {
		k.refused++
	}
	if !err.Written || k.refused > 1 {
		k.noToken = now.Add(tokenPoll)
		p.lacks(now, k, err.Detail)
	}
	k.probing = true
	p.back(now, c)
}

// transient: an outage of the title is nobody's failure; one call at a time
// asks for its end. A failure while the title's other calls get through is the job's own.
func (p *Planner) transient(now time.Time, k *key, c *Call, err *xbl.Error) {
	c.attempted()
	for _, w := range c.parcels {
		if !w.prune(now, p.die) {
			if w.narrowing != nil {
				p.narrow(now, k, w.narrowing)
			}
			continue
		}
		if w.trouble == nil {
			w.trouble = &trouble{retry: p.cfg.Retry()}
		}
		t := w.trouble
		t.last = err
		if k.title.outage() {
			p.park(now, w, back) // not in front: it may be what fails, and is not to ask for all others again
			continue
		}
		if k.title.through.After(c.Started) {
			t.failures++
			if t.failures >= p.cfg.MaxAttempts {
				p.bury(now, w, deadOf(queue.Exhausted, err))
				continue
			}
		} else {
			t.uncounted = c.Started
		}
		k.backingOff++
		w.join()
		p.alarms.set(&t.alarm, now.Add(t.retry.NextBackOff()), w)
	}
}

// wake ends a parcel's backoff. Only by now may it show whether the title's
// other calls got through while this one failed.
func (w *parcel) wake(p *Planner, now time.Time) {
	k := p.keys[w.job().Key]
	p.unpark(w)
	t := w.trouble
	if title := k.title; !t.uncounted.IsZero() && title.through.After(t.uncounted) && !title.openedAt.After(t.uncounted) {
		t.failures++
	}
	t.uncounted = time.Time{}
	if t.failures >= p.cfg.MaxAttempts {
		p.bury(now, w, deadOf(queue.Exhausted, t.last))
	} else {
		p.park(now, w, front)
	}
	p.refresh(now, k)
}

func (p *Planner) ambiguous(now time.Time, k *key, c *Call, err *xbl.Error) {
	if p.cfg.DeadLetterAmbiguous {
		p.dead(now, c, deadOf(queue.Ambiguous, err))
		return
	}
	for _, j := range c.jobs {
		j.MaybeDuplicate = true
		p.progressed(j) // whoever has the job next must know
	}
	p.transient(now, k, c, err)
}

// rejected: the API refused the call as a whole. Which recipients it means is
// found out by asking for fewer.
func (p *Planner) rejected(now time.Time, k *key, c *Call, err *xbl.Error) {
	c.attempted()
	why := deadOf(queue.Rejected, err)
	if w := c.parcels[0]; w.narrowing != nil {
		for _, s := range w.narrowing.answered(w.spans, w.n, true) {
			p.die(s, why)
		}
		p.narrow(now, k, w.narrowing)
		return
	}
	var spans []span
	for _, w := range c.parcels {
		spans = append(spans, w.spans...)
	}
	if len(c.InvitedUsers) == 1 {
		p.die(spans[0], why)
		return
	}
	if spans = withoutDropped(spans); len(spans) == 0 {
		return
	}
	what := refusal{share{c.ConnectionString, c.Platform}, err.Code, err.Detail}
	p.narrow(now, k, newNarrowing(spans, what, k.justRefused(now, what)))
}

// narrow asks the next question of a narrowing, or ends it.
func (p *Planner) narrow(now time.Time, k *key, n *narrowing) {
	if g, ok := n.next(); ok {
		p.park(now, &parcel{spans: g.spans, n: g.n, calls: 1, narrowing: n}, front)
		return
	}
	if n.hopeless() {
		k.hopeless, k.hopelessAt = n.why, now
	}
	for _, s := range n.rest() {
		p.die(s, queue.Dead{Reason: queue.Rejected, Status: 400, Detail: fmt.Sprintf(
			"taken as refused: %d calls with the same connectionString and platform were refused in a row, "+
				"%d of them for a single recipient, and none was sent", n.refused, n.singles)})
	}
}

// dead ends all recipients of a call.
func (p *Planner) dead(now time.Time, c *Call, why queue.Dead) {
	c.attempted()
	for _, w := range c.parcels {
		p.bury(now, w, why)
	}
}

// bury ends all recipients of a parcel.
func (p *Planner) bury(now time.Time, w *parcel, why queue.Dead) {
	for _, s := range w.spans {
		p.die(s, why)
	}
	if w.narrowing != nil {
		p.narrow(now, p.keys[w.job().Key], w.narrowing)
	}
}

// back puts the parcels of a call where they came from.
func (p *Planner) back(now time.Time, c *Call) {
	for _, w := range slices.Backward(c.parcels) {
		p.park(now, w, front)
	}
}

// attempted counts a call that was made for its jobs.
func (c *Call) attempted() {
	for _, j := range c.jobs {
		j.Attempts++
		j.Call = c.number
	}
}

func deadOf(r queue.Reason, err *xbl.Error) queue.Dead {
	return queue.Dead{Reason: r, Detail: err.Detail, Status: err.Status, ErrorCode: err.Code}
}
