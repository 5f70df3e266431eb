package plan

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/invitedhq/invited/xbl"
)

func TestAnUnknownQuotaIsLearntFromTheAnswers(t *testing.T) {
	s := &service{offset: -1, windows: published}
	s.says = func(w Window) xbl.Throttle {
		return xbl.Throttle{LimitType: "rate", MaxRequests: w.Max, Period: w.Per}
	}
	w := newWorld(t, Config{}, s) // no windows
	w.add(jobs(2000, func() *Job { return bulk("cup", "finals", 16) })...)
	w.run(2 * time.Hour)
	sent := s.calls - s.refused
	assert.GreaterOrEqual(t, sent, 1104, "92 %% of the 1,200 calls that two hours allow")
	assert.LessOrEqual(t, s.refused, s.calls*3/100, "at most 3 %% of the calls are refused: each window is learnt once")
	assert.Zero(t, s.inBlock)
}

func TestAConfiguredWindowThatIsTooWideIsTightened(t *testing.T) {
	s := &service{offset: -1, windows: []Window{{3, 15 * time.Second}}}
	s.says = func(w Window) xbl.Throttle { return xbl.Throttle{MaxRequests: w.Max, Period: w.Per} }
	configured := []Window{{7, 15 * time.Second}}
	w := newWorld(t, Config{Limits: Limits{Windows: configured}}, s)
	w.add(jobs(100, func() *Job { return bulk("cup", "finals", 16) })...)
	w.run(time.Hour)
	assert.LessOrEqual(t, s.refused, 4, "only what was in flight when it was learnt")
	assert.Len(t, w.ended, 100)
	assert.Equal(t, 7, configured[0].Max, "what one key learns is not told to the others")
}

func TestALimitOfCallsAtOnceLowersThoseAndNotTheRate(t *testing.T) {
	k := &key{limits: Limits{MaxInFlight: 8}, atOnce: 8}
	k.learn(xbl.Throttle{LimitType: "concurrency", MaxRequests: 3, Period: time.Second})
	assert.Equal(t, 4, k.atOnce)
	assert.Empty(t, k.log.windows)
	k.learn(xbl.Throttle{LimitType: "concurrency"})
	k.learn(xbl.Throttle{LimitType: "concurrency"})
	k.learn(xbl.Throttle{LimitType: "concurrency"})
	assert.Equal(t, 1, k.atOnce, "never none")
	for range 7 * regainAfter {
		k.regain()
	}
	assert.Equal(t, 8, k.atOnce, "one more after every 20 that were sent")
	for range 10 * regainAfter {
		k.regain()
	}
	assert.Equal(t, 8, k.atOnce, "up to what is configured")
}

func TestNothingIsLearntFromAnAnswerWithoutNumbers(t *testing.T) {
	k := &key{limits: Limits{MaxInFlight: 8}, atOnce: 8}
	k.learn(xbl.Throttle{LimitType: "rate"})
	k.learn(xbl.Throttle{MaxRequests: 5})
	k.learn(xbl.Throttle{Period: time.Second})
	assert.Empty(t, k.log.windows)
	assert.Equal(t, 8, k.atOnce)
}

// TestAdoptingAWindowNeverAllowsMore than before, nor more than the window itself.
func TestAdoptingAWindowNeverAllowsMore(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		before := drawWindows(r)
		l := callLog{windows: before}
		learnt := drawWindows(r)[0]
		l.adopt(learnt)
		now := time.Unix(1_700_000_000, 0)
		var sent []time.Time
		for range 200 {
			for free, at := l.free(now, 0); !free; free, at = l.free(now, 0) {
				now = at
			}
			l.start()
			l.answered(now, true)
			sent = append(sent, now)
		}
		for _, w := range append(before, learnt) {
			for i := range sent {
				if i+w.Max < len(sent) {
					require.False(r, sent[i+w.Max].Before(sent[i].Add(w.Per)), "window %v of %v and %v", w, before, learnt)
				}
			}
		}
	})
}
