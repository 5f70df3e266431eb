package plan

import (
	"container/heap"
	"time"
)

// alarm is a time at which something wants to be looked at again: a key that
// may send, a parcel whose backoff is over, a job that expires.
type alarm struct {
	at    time.Time
	of    interface{ wake(*Planner, time.Time) }
	place int // in the heap, from 1; 0: not set
}

// alarms is a heap of alarms, the earliest first. Each thing has one alarm,
// moved rather than added, so that the heap is no larger than what waits.
type alarms []*alarm

func (h alarms) Len() int           { return len(h) }
func (h alarms) Less(i, j int) bool { return h[i].at.Before(h[j].at) }
func (h alarms) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].place, h[j].place = i+1, j+1
}

func (h *alarms) Push(x any) {
	a := x.(*alarm)
	*h = append(*h, a)
	a.place = len(*h)
}

func (h *alarms) Pop() any {
	old := *h
	a := old[len(old)-1]
	old[len(old)-1] = nil
	*h = old[:len(old)-1]
	a.place = 0
	return a
}

func (h *alarms) set(a *alarm, at time.Time, of interface{ wake(*Planner, time.Time) }) {
	a.at, a.of = at, of
	if a.place == 0 {
		heap.Push(h, a)
		return
	}
	heap.Fix(h, a.place-1)
}

func (h *alarms) clear(a *alarm) {
	if a.place != 0 {
		heap.Remove(h, a.place-1)
	}
}

// due takes out the earliest alarm that is not after now, or answers nil.
func (h *alarms) due(now time.Time) *alarm {
	if len(*h) == 0 || (*h)[0].at.After(now) {
		return nil
	}
	return heap.Pop(h).(*alarm)
}

// next is when the earliest alarm is due; zero: none is set.
func (h alarms) next() time.Time {
	if len(h) == 0 {
		return time.Time{}
	}
	return h[0].at
}
