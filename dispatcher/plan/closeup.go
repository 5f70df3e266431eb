package plan

import (
	"cmp"
	"slices"
	"time"
)

// Closeup is how the keys of a planner stand, for people to look at: how many
// there are of each sort, and the first of them.
type Closeup struct {
	Blocked      []Standing // inside a Retry-After, the one that is over last first
	BlockedAll   int
	Tokenless    []Standing // without a token that the service takes, the one that waits longest first
	TokenlessAll int
	Busiest      []Standing // those that use the most of a window
	Outages      []Standing // titles the service does not answer for; Sender is empty
}

// Standing is how one key stands; of an outage, a whole title.
type Standing struct {
	Key
	Until   time.Time // the end of its Retry-After; zero: it is in none
	Since   time.Time // of a want of a token, or an outage
	Refused bool      // the service refuses the token; else there is none
	Waiting int       // recipients of its jobs that have not ended and wait
	Windows []Usage   // configured, and learnt
}

// Usage is how many calls occupy a window, those in flight among them.
type Usage struct {
	Window
	Used int
}

// Closeup looks at every key, and tells of up to most of each sort.
func (p *Planner) Closeup(now time.Time, most int) Closeup {
	var c Closeup
	blocked, tokenless, busy := first{most: most}, first{most: most}, first{most: most}
	for _, k := range p.keys {
		if now.Before(k.blocked) {
			c.BlockedAll++
			blocked.add(k, k.blocked.Sub(now).Seconds())
		}
		if since, _ := k.lack.says(now); !since.IsZero() && k.waiting() {
			c.TokenlessAll++
			tokenless.add(k, now.Sub(since).Seconds())
		}
		if share := k.log.share(now); share > 0 {
			busy.add(k, share)
		}
	}
	c.Blocked, c.Tokenless, c.Busiest = blocked.standings(now), tokenless.standings(now), busy.standings(now)
	for _, t := range p.titles {
		if t.outage() {
			c.Outages = append(c.Outages, Standing{Key: Key{TitleID: t.id}, Since: t.openedAt, Waiting: t.recipients()})
		}
	}
	slices.SortFunc(c.Outages, func(a, b Standing) int { return cmp.Compare(a.TitleID, b.TitleID) })
	c.Outages = c.Outages[:min(most, len(c.Outages))]
	return c
}

// first are the keys of highest rank, in order. There may be very many, and the planner's owner waits meanwhile.
type first struct {
	most int
	all  []ranked
}

type ranked struct {
	*key
	rank float64
}

func (f *first) add(k *key, rank float64) {
	n := len(f.all)
	if n == f.most && f.all[n-1].rank >= rank {
		return
	}
	at, _ := slices.BinarySearchFunc(f.all, rank, func(r ranked, rank float64) int { return cmp.Compare(rank, r.rank) })
	f.all = slices.Insert(f.all, at, ranked{k, rank})
	f.all = f.all[:min(len(f.all), f.most)]
}

// standings puts keys of equal rank in the order of their names, so that a list does not jump about.
func (f *first) standings(now time.Time) []Standing {
	slices.SortStableFunc(f.all, func(a, b ranked) int {
		return cmp.Or(cmp.Compare(b.rank, a.rank), cmp.Compare(a.id.TitleID, b.id.TitleID), cmp.Compare(a.id.Sender, b.id.Sender))
	})
	all := make([]Standing, 0, len(f.all))
	for _, k := range f.all {
		s := Standing{Key: k.id, Since: k.lack.since, Refused: k.refused > 0, Waiting: k.recipients(), Windows: k.log.usage(now)}
		if now.Before(k.blocked) {
			s.Until = k.blocked
		}
		all = append(all, s)
	}
	return all
}

// recipients are those that wait of the key's jobs: in line, or not cut off their job yet.
func (k *key) recipients() (n int) {
	seen := make(map[*Job]bool)
	for _, l := range k.lines() {
		for e := l.order.first; e != nil; e = e.next {
			for _, s := range e.of.spans {
				if !seen[s.job] {
					seen[s.job] = true
					n += s.job.open
				}
			}
		}
	}
	return n
}

func (t *title) recipients() (n int) {
	for k := range t.keys {
		n += k.recipients()
	}
	return n
}

// share is the part of its fullest window that a key has used.
func (l *callLog) share(now time.Time) (most float64) {
	if l.ends.len() == 0 && l.inFlight == 0 {
		return 0
	}
	for _, w := range l.windows {
		most = max(most, float64(l.occupying(now, w))/float64(w.Max))
	}
	return most
}

func (l *callLog) usage(now time.Time) []Usage {
	all := make([]Usage, 0, len(l.windows))
	for _, w := range l.windows {
		all = append(all, Usage{w, l.occupying(now, w)})
	}
	return all
}
