package xblsim

import (
	"slices"
	"time"
)

// key is what the service limits: a user and a title. On /invites/server, where one token speaks for many
// users, the user is the sender.
type key struct {
	token  tokenKey
	title  uint32
	sender uint64
}

// arrival is the instant a call reached the server. seq puts it in order with the answers given at the same time.
type arrival struct {
	seq uint64
	at  time.Time
}

// refusal is why a call is throttled.
type refusal struct {
	limitType    string
	current, max int
	period       time.Duration
	ends         time.Time // when calls are let through again; zero where nobody can know
}

// keyState is all that is known of one key.
type keyState struct {
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
	given arrival
	until time.Time
}

// give extends the block. Its argument given must be later than all that were given before.
func (b *block) give(given arrival, until time.Time) {
	if !given.at.Before(b.until) {
		b.given = given
		b.until = until
		return
	}
	if until.After(b.until) {
		b.until = until
	}
}

// covers reports whether a call broke the block: it arrived after the block was given and before its end.
func (b *block) covers(a arrival, grace time.Duration) bool {
	return a.seq > b.given.seq && !a.at.Before(b.given.at.Add(grace)) && a.at.Before(b.until)
}

// limiter counts the calls of each key. It is not safe for concurrent use.
type limiter struct {
	quota         []Window
	maxConcurrent int
	grace         time.Duration
	keys          map[key]*keyState
	sweepAt       int // number of keys at which the idle ones are forgotten
}

// minSweep keeps a server with few keys from sweeping at all.
const minSweep = 1024

func (l *limiter) setQuota(quota []Window) {
	l.quota = slices.Clone(quota)
	for _, st := range l.keys {
		st.windows = nil
	}
}

// admit counts a call that arrived, and says whether it is refused and whether it broke a block.
// The caller must end each call with leave.
func (l *limiter) admit(k key, a arrival) (st *keyState, refused *refusal, inBlock bool) {
	st = l.state(k, a.at)
	inBlock = st.block.covers(a, l.grace)
	refused = l.count(st, a.at)
	if refused == nil && l.maxConcurrent > 0 && st.inFlight >= l.maxConcurrent {
		refused = &refusal{limitType: "Concurrency", current: st.inFlight + 1, max: l.maxConcurrent}
	}
	st.inFlight++
	return st, refused, inBlock
}

// leave says that a call of the key is answered.
func (l *limiter) leave(st *keyState) { st.inFlight-- }

// count counts a call in every window, also in those that are full. The refusal is that of the window that ends last.
func (l *limiter) count(st *keyState, now time.Time) *refusal {
	if st.windows == nil {
		st.windows = make([]openWindow, len(l.quota))
	}
	var refused *refusal
	for i, w := range l.quota {
		open := &st.windows[i]
		if !now.Before(open.ends) {
			*open = openWindow{ends: now.Add(w.Per)}
		}
		open.count++
		if open.count > w.Max && (refused == nil || open.ends.After(refused.ends)) {
			refused = &refusal{limitType: "Rate", current: open.count, max: w.Max, period: w.Per, ends: open.ends}
		}
	}
	return refused
}

func (l *limiter) state(k key, now time.Time) *keyState {
	st := l.keys[k]
	if st == nil {
		if len(l.keys) >= max(l.sweepAt, minSweep) {
			l.sweep(now)
		}
		st = new(keyState)
		l.keys[k] = st
	}
	return st
}

// sweep forgets idle keys. The next sweep comes only when twice as many keys as are left now are there,
// so that its cost is spread over that many new keys.
func (l *limiter) sweep(now time.Time) {
	for k, st := range l.keys {
		if st.idle(now) {
			delete(l.keys, k)
		}
	}
	l.sweepAt = 2 * len(l.keys)
}

// idle reports whether forgetting the key changes nothing.
func (st *keyState) idle(now time.Time) bool {
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
