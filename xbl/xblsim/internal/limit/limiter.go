package limit

import (
	"slices"
	"time"
)

// Arrival is the instant a call reached the server. Seq puts it in order with the answers given at the same time.
type Arrival struct {
	Seq uint64
	At  time.Time
}

// Refusal is why a call is throttled.
type Refusal struct {
	LimitType    string
	Current, Max int
	Period       time.Duration
	Ends         time.Time // when calls are let through again; zero where nobody can know
}

// State is all that is known of one key.
type State struct {
	windows  []openWindow // one for each window of the quota; nil before the first call
	inFlight int          // calls that arrived and have no answer yet
	block    block
}

// openWindow is a window in progress, or one that ended.
type openWindow struct {
	ends  time.Time
	count int
}

// block is a Retry-After that a key was given: at the instant given, to be kept until until.
// Given again before it ended, it begins where it began and ends at the later of the two ends.
type block struct {
	given Arrival
	until time.Time
}

// Block tells the key to wait until then, with an answer of the instant given.
func (st *State) Block(given Arrival, until time.Time) { st.block.give(given, until) }

// give extends the block. Its argument given must be later than all that were given before.
func (b *block) give(given Arrival, until time.Time) {
	if !given.At.Before(b.until) {
		b.given = given
		b.until = until
		return
	}
	if until.After(b.until) {
		b.until = until
	}
}

// covers reports whether a call broke the block: it arrived after the block was given and before its end.
func (b *block) covers(a Arrival, grace time.Duration) bool {
	return a.Seq > b.given.Seq && !a.At.Before(b.given.At.Add(grace)) && a.At.Before(b.until)
}

// Limiter counts the calls of each key. It is not safe for concurrent use.
type Limiter[K comparable] struct {
	quota         []Window
	maxConcurrent int
	grace         time.Duration
	keys          map[K]*State
	sweepAt       int // number of keys at which the idle ones are forgotten
}

// minSweep keeps a server with few keys from sweeping at all.
const minSweep = 1024

// New returns a limiter. maxConcurrent is how many calls of a key may be there at once, 0 for no limit. grace is how long after
// an answer that said to wait a call still counts as sent before it.
func New[K comparable](maxConcurrent int, grace time.Duration) *Limiter[K] {
	return &Limiter[K]{maxConcurrent: maxConcurrent, grace: grace, keys: make(map[K]*State)}
}

// Keys returns how many keys are remembered.
func (l *Limiter[K]) Keys() int { return len(l.keys) }

// SetQuota replaces the windows of all keys; the new ones begin with the next call of a key. What a key was told to wait stays.
func (l *Limiter[K]) SetQuota(quota []Window) {
	l.quota = slices.Clone(quota)
	for _, st := range l.keys {
		st.windows = nil
	}
}

// Admit counts a call that arrived, and says whether it is refused and whether it broke a block.
// The caller must end each call with Leave.
func (l *Limiter[K]) Admit(k K, a Arrival) (st *State, refused *Refusal, inBlock bool) {
	st = l.state(k, a.At)
	inBlock = st.block.covers(a, l.grace)
	refused = l.count(st, a.At)
	if refused == nil && l.maxConcurrent > 0 && st.inFlight >= l.maxConcurrent {
		refused = &Refusal{LimitType: "Concurrency", Current: st.inFlight + 1, Max: l.maxConcurrent}
	}
	st.inFlight++
	return st, refused, inBlock
}

// Leave says that a call of the key is answered.
func (l *Limiter[K]) Leave(st *State) { st.inFlight-- }

// count counts a call in every window, also in those that are full. The Refusal is that of the window that ends last.
func (l *Limiter[K]) count(st *State, now time.Time) *Refusal {
	if st.windows == nil {
		st.windows = make([]openWindow, len(l.quota))
	}
	var refused *Refusal
	for i, w := range l.quota {
		open := &st.windows[i]
		if !now.Before(open.ends) {
			*open = openWindow{ends: now.Add(w.Per)}
		}
		open.count++
		if open.count > w.Max && (refused == nil || open.ends.After(refused.Ends)) {
			refused = &Refusal{LimitType: "Rate", Current: open.count, Max: w.Max, Period: w.Per, Ends: open.ends}
		}
	}
	return refused
}

func (l *Limiter[K]) state(k K, now time.Time) *State {
	st := l.keys[k]
	if st == nil {
		if len(l.keys) >= max(l.sweepAt, minSweep) {
			l.sweep(now)
		}
		st = new(State)
		l.keys[k] = st
	}
	return st
}

// sweep forgets idle keys. The next sweep comes only when twice as many keys as are left now are there,
// so that its cost is spread over that many new keys.
func (l *Limiter[K]) sweep(now time.Time) {
	for k, st := range l.keys {
		if st.idle(now) {
			delete(l.keys, k)
		}
	}
	l.sweepAt = 2 * len(l.keys)
}

// idle reports whether forgetting the key changes nothing.
func (st *State) idle(now time.Time) bool {
	if st.inFlight > 0 || now.Before(st.block.until) {
		return false
	}
	for _, open := range st.windows {
		if now.Before(open.ends) {
			return false
		}
	}
	return true
}
