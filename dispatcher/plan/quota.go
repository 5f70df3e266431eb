package plan

import (
	"math"
	"time"
)

// callLog is the sliding log of one key's calls. A call occupies every window
// from the moment it is sent until Per after its answer: the service counted
// it at some unknown moment in between, in a window of unknown alignment, so
// nothing shorter is safe. A token bucket would not do: one of size b lets
// b + r·t calls through in a time t.
type callLog struct {
	windows  []Window
	unknown  bool // no windows are configured: calls are kept to find them out
	inFlight int
	ends     moments // when calls were answered that still occupy a window
}

// free reports whether one more call may be sent now that leaves this share of
// each window unused. If not, it says from when; a zero time means that only
// the answer to a call in flight can tell.
func (l *callLog) free(now time.Time, reserve float64) (bool, time.Time) {
	return l.freeIn(now, l.windows, reserve)
}

func (l *callLog) freeIn(now time.Time, windows []Window, reserve float64) (bool, time.Time) {
	var at time.Time
	for _, w := range windows {
		room := w.Max - reserved(w.Max, reserve) - 1 - l.inFlight // how many answered calls may still occupy w
		if room < 0 {
			return false, time.Time{}
		}
		occupying := l.answeredAfter(now.Add(-w.Per))
		if occupying <= room {
			continue
		}
		if open := l.ends.at(l.ends.len() - room - 1).Add(w.Per); open.After(at) {
			at = open
		}
	}
	return at.IsZero(), at
}

// turn is when the n-th call from now (0: the next) may be sent at the
// earliest: if all calls before it are sent as early as can be, and are answered
// at once. It never says later than what then happens within these windows.
func (l *callLog) turn(now time.Time, n int, windows []Window) time.Time {
	at := now
	for _, w := range windows {
		// A window has Max slots. Each is free again Per after it was used, so
		// calls beyond the first Max go round them in the same order.
		round := time.Duration(n/w.Max) * w.Per
		if slot := l.slot(now, w, n%w.Max).Add(round); slot.After(at) {
			at = slot
		}
	}
	return at
}

// slot is when the i-th slot of a window is free, the earliest first.
func (l *callLog) slot(now time.Time, w Window, i int) time.Time {
	first := l.ends.firstAfter(now.Add(-w.Per))
	occupying := l.ends.len() - first
	i -= w.Max - occupying - l.inFlight // the free ones come first
	switch {
	case i < 0:
		return now
	case i < occupying:
		return l.ends.at(first + i).Add(w.Per)
	}
	return now.Add(w.Per)
}

// reserved is a share of a window in calls: rounded up, because a share of less
// than a call would be none, but never the whole window.
func reserved(most int, share float64) int {
	return min(int(math.Ceil(share*float64(most))), most-1)
}

func (l *callLog) start() { l.inFlight++ }

// answered ends a call. One that never reached the service counts nowhere.
func (l *callLog) answered(now time.Time, reached bool) {
	l.inFlight--
	l.prune(now)
	if reached && (len(l.windows) > 0 || l.unknown) {
		l.ends.add(now)
	}
}

// emptyAt is when the last answered call leaves its last window.
func (l *callLog) emptyAt() time.Time {
	if l.ends.len() == 0 {
		return time.Time{}
	}
	return l.ends.last().Add(l.longest())
}

func (l *callLog) prune(now time.Time) {
	reach := l.longest()
	if l.unknown {
		reach = max(reach, unknownFor)
	}
	if l.ends.len() == 0 || l.ends.len() <= maxEnds && l.ends.at(0).After(now.Add(-reach)) {
		return // none is old, as after most calls
	}
	n := l.ends.firstAfter(now.Add(-l.longest()))
	if l.unknown {
		n = min(n, max(l.ends.firstAfter(now.Add(-unknownFor)), l.ends.len()-maxEnds))
	}
	if n > l.ends.len()/4 { // now and then: it moves all others
		l.ends.drop(n)
	}
}

// How far back calls are kept beyond their windows where the windows are not known.
const (
	unknownFor = 10 * time.Minute
	maxEnds    = 1024
)

func (l *callLog) longest() time.Duration {
	var d time.Duration
	for _, w := range l.windows {
		d = max(d, w.Per)
	}
	return d
}

// occupying is how many calls occupy a window: one whose answer came exactly Per ago no longer does.
func (l *callLog) occupying(now time.Time, w Window) int {
	return l.inFlight + l.answeredAfter(now.Add(-w.Per))
}

func (l *callLog) answeredAfter(t time.Time) int { return l.ends.len() - l.ends.firstAfter(t) }
