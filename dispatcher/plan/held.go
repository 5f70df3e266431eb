package plan

import "time"

// Held is what holds back the keys of a planner right now.
type Held struct {
	// Blocked counts, by title, the keys that are inside a Retry-After.
	Blocked map[uint32]int
	// QuotaBound is true where jobs wait for quota, for the end of a Retry-After,
	// or for their campaign's rate, and none for this worker: more workers would not help.
	QuotaBound bool
}

// Held looks at every key.
func (p *Planner) Held(now time.Time) Held {
	h := Held{Blocked: make(map[uint32]int)}
	for _, k := range p.keys {
		if now.Before(k.blocked) {
			h.Blocked[k.id.TitleID]++
		}
		h.QuotaBound = h.QuotaBound || k.waiting() && k.wantsQuota(now)
	}
	h.QuotaBound = h.QuotaBound && p.ready.len == 0
	return h
}

// wantsQuota reports whether nothing but quota keeps the key from sending.
func (k *key) wantsQuota(now time.Time) bool {
	if now.Before(k.noToken) || k.title.outage() {
		return false
	}
	free, _ := k.log.free(now, k.reserve(now))
	_, paced := k.inTurn(now)
	return !free || now.Before(k.blocked) || !paced.IsZero()
}
