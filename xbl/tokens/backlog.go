package tokens

import (
	"container/heap"
	"time"
)

// class is who goes first.
type class uint8

const (
	urgent   class = iota // a player waits, and there is no token
	needed                // there is no token
	ahead                 // there is one that ends soon
	doubtful              // whoever makes tokens said no before
)

// share of each window that a class leaves to those before it: a player who waits must not find a window full.
func (c class) share() float64 {
	return [...]float64{urgent: 0, needed: 0.1, ahead: 0.3, doubtful: 0.5}[c]
}

// want is a sender's place in line.
type want struct {
	class    class
	deadline time.Time // of ahead: when the token ends
	number   uint64    // the order of coming
	place    int       // in the heap; -1: it is in none
}

// backlog is the line of senders that want a token, and what holds it back.
type backlog struct {
	limit limiter
	most  int // fetches at once
	line  line
	come  uint64

	running int
	paused  time.Time // nobody is asked before
	told    time.Time // how much of that whoever makes tokens asked for
	probing bool      // the next fetch shows whether the service is well again: one at a time
	failing int       // fetches in a row without an answer
}

// add puts somebody in line, or further in front.
func (b *backlog) add(e *entry, c class, deadline time.Time) {
	if e.want.place >= 0 {
		if c < e.want.class {
			e.want.class, e.want.deadline = c, deadline
			heap.Fix(&b.line, e.want.place)
		}
		return
	}
	b.come++
	e.want = want{class: c, deadline: deadline, number: b.come}
	heap.Push(&b.line, e)
}

func (b *backlog) remove(e *entry) {
	if e.want.place >= 0 {
		heap.Remove(&b.line, e.want.place)
	}
}

// next takes the first out of the line, if it may be fetched for now. Else wake is when to ask again; zero: when
// somebody comes or a fetch ends.
func (b *backlog) next(now time.Time, cost int) (e *entry, wake time.Time) {
	most := b.most
	if b.probing {
		most = 1
	}
	switch {
	case len(b.line) == 0 || b.running >= most:
		return nil, time.Time{}
	case now.Before(b.paused):
		return nil, b.paused
	}
	first := b.line[0]
	if ok, at := b.limit.free(now, cost, first.want.class.share()); !ok {
		return nil, at
	}
	heap.Pop(&b.line)
	b.running++
	b.limit.begin(cost)
	return first, time.Time{}
}

// ended takes note of a fetch that was begun by next and made this many requests.
func (b *backlog) ended(now time.Time, cost int) {
	b.running--
	b.limit.end(now, cost)
}

// dropped takes back what next began.
func (b *backlog) dropped(cost int) {
	b.running--
	b.limit.open -= cost
}

// answered: the service is well.
func (b *backlog) answered() { b.failing, b.probing = 0, false }

// throttled: whoever makes tokens wants to be asked later.
func (b *backlog) throttled(until time.Time) {
	b.hold(until)
	b.told = b.paused
}

// retry: somebody says that the service is well again.
func (b *backlog) retry() {
	b.failing, b.paused = 0, b.told
}

// hold: nobody is asked before until, and then one at a time. It is never shortened.
func (b *backlog) hold(until time.Time) {
	b.probing = true
	if until.After(b.paused) {
		b.paused = until
	}
}

// unanswered: when that happens again and again it is not for this sender, so that nobody is asked for a while.
func (b *backlog) unanswered(now time.Time) {
	const inRow = 3
	if b.failing++; b.failing >= inRow {
		b.hold(now.Add(grown(time.Second, 30*time.Second, b.failing-inRow)))
	}
}

// grown doubles first n times, up to most.
func grown(first, most time.Duration, n int) time.Duration {
	for range n {
		if first *= 2; first >= most {
			return most
		}
	}
	return first
}

// line is a heap: the first in line on top.
type line []*entry

func (l line) Len() int { return len(l) }

func (l line) Less(i, j int) bool {
	a, b := &l[i].want, &l[j].want
	switch {
	case a.class != b.class:
		return a.class < b.class
	case !a.deadline.Equal(b.deadline):
		return a.deadline.Before(b.deadline)
	default:
		return a.number < b.number
	}
}

func (l line) Swap(i, j int) {
	l[i], l[j] = l[j], l[i]
	l[i].want.place, l[j].want.place = i, j
}

func (l *line) Push(x any) {
	e := x.(*entry)
	e.want.place = len(*l)
	*l = append(*l, e)
}

func (l *line) Pop() any {
	last := len(*l) - 1
	e := (*l)[last]
	(*l)[last] = nil
	*l = (*l)[:last]
	e.want.place = -1
	return e
}
