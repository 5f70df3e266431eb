package plan

import (
	"slices"
	"time"
)

// Reconfigure puts other limits in force, for keys that are known and for new
// ones. Calls that were made count in the new windows, as far back as the longest
// of the old ones. What was learnt of a configured window is forgotten: the
// operator knows better, or it is learnt anew.
func (p *Planner) Reconfigure(now time.Time, limits Limits, titles map[uint32]Limits) {
	p.cfg.Limits, p.cfg.Titles = limits, titles
	for _, k := range p.keys {
		k.reconfigure(p.cfg.limits(k.id.TitleID))
		p.note(k)
		p.refresh(now, k)
	}
}

func (k *key) reconfigure(limits Limits) {
	k.learnt = slices.DeleteFunc(k.learnt, func(w learnt) bool {
		return w.Most > 0 && w.Most == k.configured(w.Per, 0)
	})
	asked := k.atOnce < k.limits.MaxInFlight // for fewer, by the service
	k.limits = limits
	k.atOnce = min(k.atOnce, limits.MaxInFlight)
	if !asked {
		k.atOnce = limits.MaxInFlight
	}
	k.log.unknown = len(limits.Windows) == 0
	k.enforce()
}
