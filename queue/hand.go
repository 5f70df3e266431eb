package queue

import (
	"container/list"
	"time"
)

// hand is what a worker has in hand of one consumer, by key, and what is set
// aside because a key that does not get on would fill the hand: a blocked sender
// with thousands of jobs must not keep its partition's others from being
// delivered. Of a job that is set aside only its name is kept; it is fetched
// when its key gets on.
//
// hand is a plain value that is told the time. It is not safe for concurrent use.
type hand struct {
	size  int  // how much may be in hand, in units of cost
	alone bool // of one key only: nobody waits behind it, so nothing of it is set aside
	total int
	jobs  map[uint64]handed   // in hand, by sequence
	keys  map[string]*handKey // by subject
	stuck int                 // what of total is of keys with jobs aside
	gone  int                 // how much has left it
	went  time.Time           // when the last of it did, or the first job came into the empty hand
	asked list.List           // of *handKey: those with jobs aside, in turn
	aside map[uint64]*ref     // by sequence
}

// handed is a job in hand.
type handed struct {
	key *handKey
	load
}

// handKey is one key's part of it.
type handKey struct {
	subject string
	load              // all of it
	moved   time.Time // when its first job came into the hand, or one last left it
	before  int       // how much had left the hand by then
	aside   []*ref    // oldest first
	turn    *list.Element
}

// ref names a job that is set aside.
type ref struct {
	sequence  uint64
	delivered uint64
	load
	lease lease
	since time.Time // of the lease
}

const (
	// stalledAfter is how long a key's jobs do not move, though it would have been their turn, before more of them are set aside.
	stalledAfter = 50 * time.Millisecond
	// stuckAfter is how long nothing leaves the hand before all its keys are taken for stalled. A busy worker serves others meanwhile.
	// It takes in thousands of jobs, when it comes to a backlog, before it ends one. What is known to wait is set aside at once.
	stuckAfter = time.Second
	// waitAtMost is how long others wait behind a key that gets on and has most of the hand.
	waitAtMost = 100 * time.Millisecond
	// handMin is how many recipients each key may have in hand in any case, and of what cost: enough to fill a call, but not with
	// large bodies, which few recipients can have, and what is no job.
	handMin = 16
	// unit is how many bytes of a job cost as much as the job itself does.
	unit = 1024
)

func newHand(size int, alone bool) *hand {
	return &hand{
		size: size, alone: alone, jobs: make(map[uint64]handed), keys: make(map[string]*handKey), aside: make(map[uint64]*ref),
	}
}

// load is what a job takes up of a hand.
type load struct {
	cost       int // in units
	recipients int // what is no job counts as one
}

func loadOf(bytes, recipients int) load {
	return load{cost: 1 + bytes/unit, recipients: max(recipients, 1)}
}

// verdict says what to do with a job that was delivered.
type verdict uint8

const (
	take verdict = iota
	setAside
	waitFor // room comes by itself, or the key stalls: the hand is full of what gets on
)

// admit says what to do with the next job of a key. What is to be taken is in hand then.
// waited is for how long it has been waited for already.
func (h *hand) admit(now time.Time, waited time.Duration, subject string, sequence uint64, l load) verdict {
	if _, again := h.jobs[sequence]; again {
		return take // its lease is new; the job is in hand already
	}
	if h.aside[sequence] != nil {
		return setAside
	}
	k := h.keys[subject]
	if k == nil {
		k = &handKey{subject: subject, moved: now, before: h.gone}
		h.keys[subject] = k
	}
	switch {
	case len(k.aside) > 0:
		return setAside // behind those
	case h.total+l.cost <= h.size || max(k.recipients, k.cost) < h.least():
		h.put(now, k, sequence, l)
		return take
	case h.alone:
	case h.stalled(now, k), waited >= waitAtMost && k.cost > h.size/2:
		return setAside
	}
	return waitFor
}

// stalled says that a key does not get on: all that was in hand could have left since one of it last did, or nothing leaves, or
// most of what is in hand is of keys that do not. Where everything flows, the more there is in hand the longer each key waits for its
// turn, and is not to be set aside for that.
func (h *hand) stalled(now time.Time, k *handKey) bool {
	if now.Sub(k.moved) < stalledAfter {
		return false
	}
	return h.gone-k.before >= h.total || now.Sub(h.went) >= stuckAfter || 2*h.stuck >= h.total
}

// least is how many recipients, and of what cost, a key may have in hand in any case.
func (h *hand) least() int { return min(handMin, h.size) }

func (h *hand) put(now time.Time, k *handKey, sequence uint64, l load) {
	if _, again := h.jobs[sequence]; again {
		return
	}
	if k.cost == 0 {
		k.moved, k.before = now, h.gone
	}
	if h.total == 0 {
		h.went = now
	}
	h.jobs[sequence] = handed{k, l}
	h.add(k, l)
}

func (h *hand) add(k *handKey, l load) {
	h.total += l.cost
	k.cost += l.cost
	k.recipients += l.recipients
	if k.turn != nil {
		h.stuck += l.cost
	}
}

// left takes a job out of the hand, where it is in it.
func (h *hand) left(now time.Time, sequence uint64) {
	job, ok := h.jobs[sequence]
	if !ok {
		return
	}
	k := job.key
	delete(h.jobs, sequence)
	h.add(k, load{-job.cost, -job.recipients})
	h.gone += job.cost
	h.went, k.moved, k.before = now, now, h.gone
	h.forget(k)
}

func (h *hand) forget(k *handKey) {
	if k.cost == 0 && len(k.aside) == 0 {
		delete(h.keys, k.subject)
	}
}

// setAside keeps only the name of a job that was not admitted. Of one that is
// aside already the lease is new.
func (h *hand) setAside(subject string, r ref) {
	if known := h.aside[r.sequence]; known != nil {
		*known = r
		return
	}
	k := h.keys[subject]
	if k == nil { // its last one has left meanwhile
		k = &handKey{subject: subject}
		h.keys[subject] = k
	}
	k.aside = append(k.aside, &r)
	h.aside[r.sequence] = &r
	if k.turn == nil {
		k.turn = h.asked.PushBack(k)
		h.stuck += k.cost
	}
}

// next takes back a job that was set aside and fits into the hand again, the
// oldest of its key, of one key after the other. A key of which jobs are aside
// may have as much in hand as is free: so however many of those there are,
// there is room for one that gets on.
func (h *hand) next(now time.Time) (r ref, ok bool) {
	for range h.asked.Len() {
		k := h.asked.Front().Value.(*handKey)
		h.asked.MoveToBack(k.turn)
		r := k.aside[0]
		if k.cost > 0 && k.cost+r.cost > h.size-h.total && max(k.recipients+r.recipients, k.cost+r.cost) > h.least() {
			continue
		}
		k.aside[0] = nil
		k.aside = k.aside[1:]
		delete(h.aside, r.sequence)
		if len(k.aside) == 0 {
			h.asked.Remove(k.turn)
			k.aside, k.turn = nil, nil
			h.stuck -= k.cost
		}
		h.put(now, k, r.sequence, r.load)
		return *r, true
	}
	return ref{}, false
}
