package tokens

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"pgregory.net/rapid"
)

// The service counts in fixed windows that begin anywhere, and a request at any moment between its beginning and its answer.
func TestNoWindowOfTheServiceIsExceededWhereverItBegins(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l := limiter{windows: []Window{{Max: 3, Per: 15 * time.Second}, {Max: 8, Per: 60 * time.Second}}}
		now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
		var counted []time.Time
		for range rapid.IntRange(10, 80).Draw(t, "steps") {
			ok, at := l.free(now, 1, 0)
			if !ok {
				if at.IsZero() || !at.After(now) {
					t.Fatalf("all are answered, and it waits for %v at %v", at, now)
				}
				now = at
				continue
			}
			l.begin(1)
			took := time.Duration(rapid.IntRange(0, 3000).Draw(t, "ms")) * time.Millisecond
			counted = append(counted, now.Add(took/time.Duration(rapid.IntRange(1, 3).Draw(t, "at"))))
			now = now.Add(took)
			l.end(now, 1)
		}
		for _, w := range l.windows {
			for _, from := range counted {
				n := 0
				for _, c := range counted {
					if !c.Before(from) && c.Before(from.Add(w.Per)) {
						n++
					}
				}
				if n > w.Max {
					t.Fatalf("%d in %v, from %v", n, w.Per, from)
				}
			}
		}
	})
}

func TestAShareOfEachWindowIsLeftToThoseBefore(t *testing.T) {
	l := limiter{windows: []Window{{Max: 10, Per: 10 * time.Second}}}
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	used := 0
	use := func(c class) (n int) {
		for {
			if ok, _ := l.free(now, 1, c.share()); !ok {
				used += n
				return n
			}
			l.begin(1)
			l.end(now, 1)
			n++
		}
	}
	assert.Equal(t, 5, use(doubtful))
	assert.Equal(t, 2, use(ahead))
	assert.Equal(t, 2, use(needed))
	assert.Equal(t, 1, use(urgent))
	ok, at := l.free(now, 2, 0)
	assert.False(t, ok)
	assert.Equal(t, now.Add(10*time.Second), at)
	l = limiter{windows: []Window{{Max: 1, Per: time.Second}}}
	ok, _ = l.free(now, 1, 0.5)
	assert.True(t, ok, "a window of one is nobody's alone")
	ok, _ = l.free(now, 2, 0)
	assert.True(t, ok, "what costs more than the window can still be done")
}

func TestTheLeadIsATenthOfTheLifeAndLongerWhereThereAreMany(t *testing.T) {
	assert.Equal(t, 48*time.Minute, lead(8*time.Hour, 10, 6*time.Second))
	assert.Equal(t, 15*time.Minute, lead(time.Hour, 10, 0))
	assert.Equal(t, 5*time.Minute, lead(10*time.Minute, 10, 0), "never more than half")
	assert.Equal(t, 100*time.Minute, lead(8*time.Hour, 1000, 6*time.Second), "all of them may end at once")
}

func TestDatesCorrectAClockThatIsWrong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(time.Until(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC))) // a bubble begins in 2000, which is nobody's time of today
		var c Clock
		here := time.Now()
		c.Heard(here.Add(2 * time.Second))
		assert.WithinDuration(t, here, c.Now(), time.Second, "a Date has whole seconds, and took some time: that says nothing")
		there := here.Add(-3 * time.Hour)
		c.Heard(there)
		assert.WithinDuration(t, there, c.Now(), 2*time.Second)
		assert.WithinDuration(t, here.Add(time.Hour), c.Here(there.Add(time.Hour)), 2*time.Second, "what ends there in an hour ends here in one")
		c.Heard(time.Date(1970, 1, 1, 0, 0, 0, 0, time.UTC))
		assert.WithinDuration(t, there, c.Now(), 2*time.Second, "that is nobody's time of today")
		c.Heard(here)
		assert.WithinDuration(t, here, c.Now(), 2*time.Second, "somebody has set a clock")
	})
}
