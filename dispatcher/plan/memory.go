package plan

import (
	"slices"
	"time"
)

// State is what must be known of a key by whoever sends for it next.
type State struct {
	Key     Key
	Calls   []time.Time // when those that still occupy a window were answered, oldest first
	Blocked time.Time   // end of its Retry-After; zero: none
	Windows []Window    // in force, learnt ones among them
}

// Changed says what is new about keys since it was last asked. Keys without
// windows and without a block have nothing to be remembered.
func (p *Planner) Changed(now time.Time) []State {
	states := make([]State, 0, len(p.changed))
	for k := range p.changed {
		s := State{Key: k.id, Calls: slices.Clone(k.log.ends), Windows: slices.Clone(k.log.windows)}
		if now.Before(k.blocked) {
			s.Blocked = k.blocked
		}
		states = append(states, s)
	}
	clear(p.changed)
	return states
}

// Remember takes over what another worker, or this one before a restart, knew
// of a key. Stricter windows than the configured ones are kept.
func (p *Planner) Remember(now time.Time, s State) {
	k := p.key(s.Key)
	for _, w := range s.Windows {
		k.log.adopt(w)
	}
	for _, at := range s.Calls {
		// Made relative to now: it gets now's monotonic reading. A call can't
		// have been answered later than now, whatever the other clock said.
		if at = now.Add(min(0, at.Sub(now))); len(k.log.windows) > 0 {
			k.log.ends = append(k.log.ends, at)
		}
	}
	slices.SortFunc(k.log.ends, time.Time.Compare)
	k.log.prune(now)
	if left := s.Blocked.Sub(now); !s.Blocked.IsZero() && left > 0 {
		k.block(now, now.Add(left))
		k.probing = true
	}
	p.refresh(now, k)
}
