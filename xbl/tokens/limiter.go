package tokens

import (
	"math"
	"slices"
	"time"
)

// limiter counts requests against windows. A request occupies each window from when it is made until the window's length
// after its answer: a fixed window of the service, wherever it begins, then never counts one too many.
type limiter struct {
	windows []Window
	ends    []time.Time // of answered requests, the oldest first
	open    int         // requests without an answer yet
}

// free says whether n requests may be made now that leave a share of each window free. If not, at is when they may;
// zero: once an open one is answered. Even the largest share leaves one request.
func (l *limiter) free(now time.Time, n int, share float64) (ok bool, at time.Time) {
	ok = true
	for _, w := range l.windows {
		most := max(w.Max-int(math.Ceil(float64(w.Max)*share)), n, 1)
		counting := l.ends[l.firstAfter(now.Add(-w.Per)):]
		over := l.open + len(counting) + n - most
		if over <= 0 {
			continue
		}
		ok = false
		if over > len(counting) {
			return false, time.Time{}
		}
		if end := counting[over-1].Add(w.Per); end.After(at) {
			at = end
		}
	}
	return ok, at
}

// firstAfter is the index of the first end later than t.
func (l *limiter) firstAfter(t time.Time) int {
	i, _ := slices.BinarySearchFunc(l.ends, t, func(end, t time.Time) int {
		if end.After(t) {
			return 1
		}
		return -1
	})
	return i
}

func (l *limiter) begin(n int) { l.open += n }

func (l *limiter) end(now time.Time, n int) {
	l.open -= n
	if len(l.windows) == 0 {
		return
	}
	longest := time.Duration(0)
	for _, w := range l.windows {
		longest = max(longest, w.Per)
	}
	l.ends = slices.Delete(l.ends, 0, l.firstAfter(now.Add(-longest)))
	for range n {
		l.ends = append(l.ends, now)
	}
}

// each is the time that one request takes in the long run, for somebody who leaves a share free; 0: no limit.
func (l *limiter) each(share float64) (d time.Duration) {
	for _, w := range l.windows {
		most := max(w.Max-int(math.Ceil(float64(w.Max)*share)), 1)
		d = max(d, w.Per/time.Duration(most))
	}
	return d
}
