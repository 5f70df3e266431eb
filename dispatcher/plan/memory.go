package plan

import (
	"slices"
	"time"

	"github.com/invitedhq/invited/queue"
)

// State is what must be known of a key by whoever sends for it next.
type State struct {
	Key       Key
	Partition int
	Calls     []Run     // those that still occupy a window, oldest first
	Open      int       // calls without an answer yet
	Blocked   time.Time // end of its Retry-After; zero: none
	Reserved  time.Time // until when bulk calls leave the reserve free; zero: they do not
	Learnt    []Learnt  // windows that refusals told of
	NoToken   time.Time // since when it has no token; zero: it has one, or has had none for a moment only
	Why       string    // it has none, in words
	Until     time.Time // when nothing of it matters any more
	Made      uint64    // calls made so far, for Recorded
}

// Run is N calls that count as answered at one time.
type Run = queue.CallRun

// exactRuns calls are told one by one. Of more, those that are close together
// for their age (a sixteenth of it) count as one run, answered when its last
// was: a key with a quota of thousands has a record of some hundred numbers.
const exactRuns = 64

func (l *callLog) runs(now time.Time) []Run {
	first := l.ends.firstAfter(now.Add(-l.longest()))
	many := l.ends.len() - first
	runs := make([]Run, 0, min(many, 4*exactRuns))
	for i := l.ends.len() - 1; i >= first; i-- {
		end := now.Add(l.ends.at(i).Sub(now)) // by the clock as it is set now, which the next owner goes by
		if many > exactRuns && len(runs) > 0 {
			if last := &runs[len(runs)-1]; last.At.Sub(end) <= now.Sub(last.At)/16 {
				last.N++
				continue
			}
		}
		runs = append(runs, Run{At: end, N: 1})
	}
	slices.Reverse(runs)
	return runs
}

// Learnt is a window that refusals told of.
type Learnt struct {
	Window     // what gets through for the key now
	Most   int // what the service, or the configuration, allows; 0: not known
}

// note marks a key as changed. Without windows and without a block nothing of
// it has to be remembered.
func (p *Planner) note(k *key) {
	if len(k.log.windows) > 0 {
		p.changed[k] = struct{}{}
	}
}

// Changed says what is new about keys since it was last asked.
func (p *Planner) Changed(now time.Time) []State {
	if len(p.changed) == 0 {
		return nil
	}
	states := make([]State, 0, len(p.changed))
	for k := range p.changed {
		states = append(states, k.state(now))
	}
	clear(p.changed)
	return states
}

func (k *key) state(now time.Time) State {
	s := State{
		Key: k.id, Partition: k.partition, Calls: k.log.runs(now), Open: k.log.inFlight,
		Until: now.Add(k.idleAt().Sub(now)), Made: k.composed,
	}
	for _, w := range k.learnt {
		s.Learnt = append(s.Learnt, Learnt{w.Window, w.Most})
	}
	if k.log.inFlight > 0 {
		s.Until = later(s.Until, now.Add(k.log.longest()))
	}
	if now.Before(k.blocked) {
		s.Blocked = k.blocked
	}
	s.NoToken, s.Why = k.lack.says(now)
	if until := k.lastInteractive.Add(reserveFor); !k.lastInteractive.IsZero() && now.Before(until) {
		s.Reserved = until
	}
	return s
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// Recorded says that what Changed told is stored. A key with a quota makes its
// next call only when its last one is.
func (p *Planner) Recorded(now time.Time, s State) {
	k := p.keys[s.Key]
	if k == nil || s.Made <= k.recorded || s.Made > k.composed {
		return // it is another key by that name
	}
	k.recorded = s.Made
	p.refresh(now, k)
}

// suspect counts a call that a gone owner may have made for a job it had in
// hand: it records each before the next, so there is at most one that it had no time to record.
func (k *key) suspect(now time.Time) {
	if k.suspected || len(k.log.windows) == 0 {
		return
	}
	k.suspected = true
	k.log.ends.add(now)
}

// Remember takes over what another worker, or this one before a restart, knew
// of a key. What is configured stays an upper bound.
func (p *Planner) Remember(now time.Time, s State) {
	k := p.key(s.Key, s.Partition)
	for _, w := range s.Learnt {
		known := k.windowOf(w.Per)
		if known == nil {
			known = k.addLearnt(w.Window)
		}
		known.Max, known.Most, known.cutAt = w.Max, w.Most, now
	}
	if len(s.Learnt) > 0 {
		k.enforce()
		k.title.told(k)
	}
	// A call that is open may be answered at any time up to now.
	for _, r := range append(slices.Clone(s.Calls), Run{At: now, N: s.Open}) {
		// Made relative to now: it gets now's monotonic reading. A call can't
		// have been answered later than now, whatever the other clock said.
		at := now.Add(min(0, r.At.Sub(now)))
		for range r.N {
			if len(k.log.windows) > 0 {
				k.log.ends.add(at)
			}
		}
	}
	k.log.ends.sort()
	k.log.prune(now)
	if left := s.Blocked.Sub(now); !s.Blocked.IsZero() && left > 0 {
		k.block(now, now.Add(left))
		k.probing = true
	}
	if left := min(s.Reserved.Sub(now), reserveFor); !s.Reserved.IsZero() && left > 0 {
		k.lastInteractive = later(k.lastInteractive, now.Add(left-reserveFor))
	}
	p.refresh(now, k)
}

// untold is what only this worker knows of a key whose partition it lost.
type untold struct {
	calls   int       // that were not recorded
	at      time.Time // by when they were answered
	blocked time.Time
	until   time.Time // when nothing of it matters any more
}

// Lose is Forget for a partition that may be another worker's by now, so that
// nothing of it can be stored. What was not stored before is kept for the case
// that the partition comes back: nobody else can know of it.
func (p *Planner) Lose(now time.Time, partition int) {
	for id, u := range p.untold {
		if !u.until.After(now) {
			delete(p.untold, id)
		}
	}
	for _, k := range p.keys {
		if k.partition != partition {
			continue
		}
		u := untold{blocked: k.blocked, until: k.blocked}
		if len(k.log.windows) > 0 && k.log.ends.len() > 0 {
			u.calls, u.at = int(k.composed-k.recorded), k.log.ends.last()
		}
		if u.calls > 0 {
			u.until = later(u.until, u.at.Add(k.log.longest()))
		}
		k.recorded = k.composed // no record of them will come
		if k.log.inFlight > 0 || k.waiting() || k.backingOff > 0 {
			continue // it is not forgotten
		}
		if u.until.After(now) {
			p.untold[k.id] = u
		}
		p.forget(k)
	}
}

// recall gives a key that comes back what only this worker knows of it. It makes
// no call before that is recorded.
func (p *Planner) recall(k *key) {
	u, ok := p.untold[k.id]
	if !ok {
		return
	}
	delete(p.untold, k.id)
	for range u.calls {
		k.log.ends.add(u.at)
	}
	k.composed += uint64(u.calls)
	k.blocked = u.blocked
	k.probing = !u.blocked.IsZero()
	p.changed[k] = struct{}{}
}

// Forget lets go of a partition's keys, those with calls in flight excepted, and
// returns what the next owner must know of them.
func (p *Planner) Forget(now time.Time, partition int) []State {
	var states []State
	for _, k := range p.keys {
		if k.partition != partition || k.log.inFlight > 0 || k.waiting() || k.backingOff > 0 {
			continue
		}
		if s := k.state(now); s.Until.After(now) {
			states = append(states, s)
		}
		p.forget(k)
	}
	return states
}
