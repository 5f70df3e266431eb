package plan

import "slices"

// narrowing finds the refused recipients of a call that was answered 400 as a
// whole. It offers one group after the other: halves, until refused recipients
// stand alone and all others are sent. It is sequential on purpose: each
// answer decides what is worth asking next.
//
// A request can also be refused for what all its recipients share, such as its
// connectionString. Halving that to the end would cost 31 calls for 16
// recipients. So once both halves are refused, single recipients are asked
// first, and when enough of them in a row are refused with nothing sent, the
// rest of the same job is taken as refused: at most 8 calls, fewer when the
// same key's same request was refused as a whole a moment ago. Nobody's job
// dies of what happened to another's: where several jobs shared the call,
// every recipient is asked.
type narrowing struct {
	why      refusal // of the first call
	open     []group
	asked    group
	oneJob   bool // all recipients are of one job
	shortcut bool // the same request was just refused as a whole: ask fewer
	refused  int  // calls refused, the first one included
	singles  int  // of them for a single recipient
	sent     bool // some call of the narrowing was sent
}

// refusal is what a request was refused for: another reason is another matter.
type refusal struct {
	share        share
	code, detail string
}

// group is recipients of one call, and what is known of them.
type group struct {
	spans   []span
	n       int
	tainted bool // holds a refused recipient for sure: asking it whole would be a wasted call
	twin    bool // its other half is the last of the open ones, and not asked yet
}

const (
	singlesBeforeGivingUp = 5 // with the whole and its two halves: 8 calls
	singlesIfJustRefused  = 3 // with the whole: 4 calls
)

func newNarrowing(spans []span, why refusal, shortcut bool) *narrowing {
	n := 0
	for _, s := range spans {
		n += s.len()
	}
	nr := &narrowing{
		why:      why,
		open:     []group{{spans: spans, n: n, tainted: true}},
		oneJob:   true,
		shortcut: shortcut,
		refused:  1,
	}
	for _, s := range spans {
		nr.oneJob = nr.oneJob && s.job == spans[0].job
		s.job.narrowings = append(s.job.narrowings, nr)
	}
	return nr
}

// next says which recipients to ask for next; false: all are answered, or the
// narrowing has given up on what rest returns.
func (n *narrowing) next() (group, bool) {
	if n.hopeless() || len(n.open) == 0 {
		return group{}, false
	}
	if n.wantsSingle() {
		n.asked = n.single()
	} else {
		n.asked = n.half()
	}
	return n.asked, true
}

func (n *narrowing) half() group {
	// An unknown half before any tainted one: it may be sent whole.
	i := len(n.open) - 1
	for k, g := range n.open {
		if !g.tainted {
			i = k
			break
		}
	}
	g := n.remove(i)
	if !g.tainted || g.n == 1 {
		return g
	}
	a, b := g.split((g.n + 1) / 2)
	a.twin = true
	n.open = append(n.open, b)
	return a
}

// answered takes the answer for what next returned, less what expired of it
// meanwhile, and says which recipients stand alone as refused.
func (n *narrowing) answered(spans []span, count int, refused bool) []span {
	g := n.asked
	g.spans, g.n = spans, count
	if !refused {
		n.sent = true
		if g.twin {
			n.open[len(n.open)-1].tainted = true
		}
		return nil
	}
	n.refused++
	if g.n == 1 {
		n.singles++
		return g.spans
	}
	g.tainted, g.twin = true, false
	n.open = append(n.open, g)
	return nil
}

func (n *narrowing) wantsSingle() bool {
	if n.sent {
		return false
	}
	for _, g := range n.open {
		if !g.tainted {
			return false
		}
	}
	return n.refused >= 3 || n.shortcut
}

// single takes one recipient from the group that was asked longest ago: its
// first, its last or its middle one in turn, so that the questions spread over
// the whole call.
func (n *narrowing) single() group {
	g := n.remove(0)
	before, rest := g.split([]int{0, g.n - 1, g.n / 2}[n.singles%3])
	one, after := rest.split(1)
	rest = group{spans: append(before.spans, after.spans...), n: before.n + after.n}
	if rest.n > 0 {
		rest.tainted = true
		n.open = append(n.open, rest)
	}
	one.tainted = false
	return one
}

func (n *narrowing) hopeless() bool {
	if n.sent || !n.oneJob {
		return false
	}
	return n.singles >= singlesBeforeGivingUp || n.shortcut && n.singles >= singlesIfJustRefused
}

// without takes the recipients out of the groups not asked yet of whom drop says so.
func (n *narrowing) without(drop func(span) bool) {
	kept := n.open[:0]
	for i, g := range n.open {
		g.spans = slices.DeleteFunc(g.spans, drop)
		g.n = 0
		for _, s := range g.spans {
			g.n += s.len()
		}
		if g.n > 0 {
			kept = append(kept, g)
		} else if i == len(n.open)-1 {
			n.asked.twin = false // its other half is gone
		}
	}
	n.open = kept
}

// rest empties the narrowing of what it gave up.
func (n *narrowing) rest() []span {
	var all []span
	for _, g := range n.open {
		all = append(all, g.spans...)
	}
	n.open = nil
	return all
}

func (n *narrowing) remove(i int) group {
	g := n.open[i]
	n.open = append(n.open[:i], n.open[i+1:]...)
	return g
}

// split cuts the first k recipients off.
func (g group) split(k int) (a, b group) {
	for _, s := range g.spans {
		mid := s.lo + min(max(k-a.n, 0), s.len())
		if mid > s.lo {
			a.spans = append(a.spans, span{s.job, s.lo, mid})
			a.n += mid - s.lo
		}
		if mid < s.hi {
			b.spans = append(b.spans, span{s.job, mid, s.hi})
			b.n += s.hi - mid
		}
	}
	return a, b
}
