package queue

import (
	"maps"
	"slices"
	"sync"
	"time"
)

const (
	// asideFactor is how many times what a worker may have in hand of a partition
	// the server lets it have unacknowledged: the rest can be set aside.
	asideFactor = 32
	// asideFor is the lease of a job that is set aside. It is asked for as a delay
	// of its next delivery, and renewed at half time: one message each five minutes.
	asideFor = 10 * time.Minute
)

// inHand is a hand that several goroutines may use.
type inHand struct {
	room chan struct{} // holds one token after a job has left
	mu   sync.Mutex
	hand *hand
}

func newInHand(size int, alone bool) *inHand {
	return &inHand{room: make(chan struct{}, 1), hand: newHand(size, alone)}
}

func (h *inHand) admit(now time.Time, waited time.Duration, m message, l load) verdict {
	h.mu.Lock()
	defer h.mu.Unlock()
	v := h.hand.admit(now, waited, m.subject, m.sequence, l)
	if v == setAside {
		h.putAside(now, m, l)
	}
	return v
}

// setAside sets aside a job that was not admitted.
func (h *inHand) setAside(now time.Time, m message, l load) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.putAside(now, m, l)
}

func (h *inHand) putAside(now time.Time, m message, l load) {
	r := ref{sequence: m.sequence, delivered: m.delivered, load: l, lease: m.lease, since: now}
	h.hand.setAside(m.subject, r)
	_ = r.lease.release(asideFor) // else it comes again, and is set aside again
}

// next takes back jobs that were set aside, as many as fit and most at the most.
func (h *inHand) next(now time.Time, most int) (refs []ref) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for len(refs) < most {
		r, ok := h.hand.next(now)
		if !ok {
			break
		}
		refs = append(refs, r)
	}
	return refs
}

func (h *inHand) left(now time.Time, sequence uint64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.hand.left(now, sequence)
	signal(h.room)
}

// extend renews the leases of what is set aside.
func (h *inHand) extend(now time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, r := range h.hand.aside {
		if now.Sub(r.since) >= asideFor/2 && r.lease.release(asideFor) == nil {
			r.since = now
		}
	}
}

// giveBack lets what is set aside come to the next owner at once.
func (h *inHand) giveBack() {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, sequence := range slices.Sorted(maps.Keys(h.hand.aside)) {
		_ = h.hand.aside[sequence].lease.release(0)
	}
}

// size is how many jobs are in hand or set aside.
func (h *inHand) size() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.hand.jobs) + len(h.hand.aside)
}
