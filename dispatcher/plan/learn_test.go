package plan

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/invitedhq/invited/xbl"
)

// numbers is what a refusal says where it says all.
func numbers(w Window) xbl.Throttle {
	return xbl.Throttle{LimitType: "rate", MaxRequests: w.Max, Period: w.Per}
}

// endless is a world with a backlog that does not end.
func endless(t *testing.T, cfg Config, s *service) *world {
	t.Helper()
	w := newWorld(t, cfg, s)
	w.add(bulk("cup", "finals", 400_000))
	return w
}

// game is somebody else who makes n calls every interval, on the same key.
func (w *world) game(n int, every time.Duration, until time.Time) {
	k := w.service.keys[Key{"cup", 730}]
	if k == nil {
		k = &serviceKey{opened: make([]time.Time, len(w.service.windows))}
		w.service.keys[Key{"cup", 730}] = k
	}
	for range n {
		w.service.count(w.now, k)
	}
	if next := w.now.Add(every); next.Before(until) {
		w.at(next, func() { w.game(n, every, until) })
	}
}

// during runs on and says what share of so many calls was sent, and what share of those made was refused.
func (w *world) during(d time.Duration, possible float64) (sent, refused float64) {
	calls, no := w.service.calls, w.service.refused
	w.run(d)
	calls, no = w.service.calls-calls, w.service.refused-no
	return float64(calls-no) / possible, float64(no) / float64(calls)
}

// uneven is a latency of 10 to 100 ms each way.
func uneven() func() (time.Duration, time.Duration) {
	r := rand.New(rand.NewPCG(1, 2))
	one := func() time.Duration { return time.Duration(10+r.IntN(90)) * time.Millisecond }
	return func() (time.Duration, time.Duration) { return one(), one() }
}

func TestAnUnknownQuotaIsFound(t *testing.T) {
	for name, q := range map[string]struct {
		windows  []Window
		possible float64 // in an hour
		rough    bool
	}{
		"published":       {published, 600, false},
		"one short":       {[]Window{{3, 10 * time.Second}}, 1080, true},
		"one long":        {[]Window{{100, time.Minute}}, 6000, false},
		"few and many":    {[]Window{{1, 5 * time.Second}, {20, 10 * time.Minute}}, 120, true},
		"one in a minute": {[]Window{{1, time.Minute}}, 60, true},
	} {
		for _, says := range []func(Window) xbl.Throttle{nil, numbers} {
			for _, offset := range alignments() {
				if says == nil && q.rough && offset > 0 {
					continue // docs/decisions/0006-learning.md: what it can get wrong
				}
				hours := 2.0
				if q.possible > 5000 { // ten times as many calls as all the others, and they show no more
					hours = 0.5
					if offset > 0 {
						continue
					}
				}
				t.Run(fmt.Sprintf("%s, numbers %t, offset %s", name, says != nil, offset), func(t *testing.T) {
					s := &service{offset: offset, windows: q.windows, says: says, latency: uneven()}
					w := endless(t, Config{}, s)
					w.run(20 * time.Minute)
					t.Logf("learning: %d of %d refused", s.refused, s.calls)
					sent, refused := w.during(time.Duration(hours*float64(time.Hour)), hours*q.possible)
					t.Logf("then: %.3f sent, %.4f refused; windows %v", sent, refused, w.planner.keys[Key{"cup", 730}].log.windows)
					assert.GreaterOrEqual(t, sent, 0.92, "of the quota is used")
					assert.LessOrEqual(t, refused, 0.03, "of the calls are refused")
					assert.Zero(t, s.inBlock)
				})
			}
		}
	}
}

func TestConfiguredWindowsThatAreTooWideAreTightened(t *testing.T) {
	for _, says := range []func(Window) xbl.Throttle{nil, numbers} {
		s := &service{offset: -1, windows: published, says: says}
		configured := []Window{{30, 15 * time.Second}, {100, 300 * time.Second}}
		w := endless(t, Config{Limits: Limits{Windows: configured}}, s)
		w.run(20 * time.Minute)
		sent, refused := w.during(2*time.Hour, 1200)
		assert.GreaterOrEqual(t, sent, 0.92)
		assert.LessOrEqual(t, refused, 0.03)
		assert.Zero(t, s.inBlock)
		assert.Equal(t, []Window{{30, 15 * time.Second}, {100, 300 * time.Second}}, configured, "what one key learns is not told to others")
	}
}

func TestTheWorkerSettlesOnWhatAGameLeaves(t *testing.T) {
	for name, g := range map[string]struct {
		n     int
		every time.Duration
	}{"evenly": {1, 18 * time.Second}, "in bursts": {5, 90 * time.Second}} {
		for _, says := range []func(Window) xbl.Throttle{nil, numbers} {
			t.Run(fmt.Sprintf("%s, numbers %t", name, says != nil), func(t *testing.T) {
				s := &service{offset: -1, windows: published, says: says}
				w := endless(t, Config{Limits: Limits{Windows: published}}, s)
				w.run(10 * time.Minute)
				w.game(g.n, g.every, w.now.Add(90*time.Minute))
				w.run(30 * time.Minute)
				left := 600.0 - 3600/g.every.Seconds()*float64(g.n)
				sent, refused := w.during(time.Hour, left)
				t.Logf("%.3f of what is left, %.4f refused", sent, refused)
				assert.GreaterOrEqual(t, sent, 0.9, "of what is left is used")
				assert.LessOrEqual(t, refused, 0.03)
				w.run(30 * time.Minute)
				sent, refused = w.during(time.Hour, 600)
				t.Logf("%.3f after it, %.4f refused", sent, refused)
				assert.GreaterOrEqual(t, sent, 0.92, "half an hour after the game has stopped")
				assert.LessOrEqual(t, refused, 0.03)
				assert.Zero(t, s.inBlock)
			})
		}
	}
}

func TestWhatWasLearntSurvivesARestart(t *testing.T) {
	for _, says := range []func(Window) xbl.Throttle{nil, numbers} {
		s := &service{offset: -1, windows: published, says: says}
		w := endless(t, Config{}, s)
		w.run(30 * time.Minute)
		require.Positive(t, s.refused)
		before := s.refused
		for range 10 {
			w.run(time.Minute)
			w.restart(Config{})
			w.add(bulk("cup", "finals", 400_000))
		}
		w.run(10 * time.Minute)
		assert.LessOrEqual(t, s.refused-before, 2, "it is not found out anew")
	}
}

func TestANewKeyStartsWithWhatItsTitleWasTold(t *testing.T) {
	s := &service{offset: -1, windows: published, says: numbers}
	w := endless(t, Config{}, s)
	w.run(10 * time.Minute)
	require.Equal(t, 2, s.refused, "one for each window")
	for range 100 {
		w.add(bulk("bob", "spring", 16))
	}
	w.run(time.Hour)
	assert.Equal(t, 2, s.refused, "another sender's calls are not refused to find it out")
}

func TestNobodysJobEndsForAWindowThatWasOnlyGuessed(t *testing.T) {
	s := &service{offset: -1, windows: []Window{{1, time.Minute}}}
	w := newWorld(t, Config{}, s)
	w.add(jobs(3, func() *Job { return interactive("ada", 16) })...) // the second is refused
	w.run(2 * time.Minute)
	require.NotEmpty(t, w.planner.keys[Key{"ada", 730}].learnt)
	for range 5 {
		j := interactive("ada", 16)
		j.ExpiresAt = w.now.Add(2 * time.Minute)
		w.add(j)
		assert.Zero(t, w.ended[j], "it may be sent in time after all")
	}
}

func TestALimitOfCallsAtOnceLowersThoseAndNotTheRate(t *testing.T) {
	k := &key{limits: Limits{MaxInFlight: 8}, atOnce: 8, title: &title{}}
	concurrency := &xbl.Error{Kind: xbl.Throttled, Throttle: xbl.Throttle{LimitType: "concurrency", MaxRequests: 3, Period: time.Second}}
	now := time.Unix(1_700_000_000, 0)
	k.learn(now, &Call{}, concurrency)
	assert.Equal(t, 4, k.atOnce)
	assert.Empty(t, k.log.windows)
	for range 3 {
		k.learn(now, &Call{}, concurrency)
	}
	assert.Equal(t, 1, k.atOnce, "never none")
	for range 17 * regainAfter {
		k.regain()
	}
	assert.Equal(t, 8, k.atOnce, "one more after every 20 that were sent, up to what is configured")
}

func TestAGatewayThatCantKeepUpSaysNothingOfAQuota(t *testing.T) {
	k := &key{limits: Limits{MaxInFlight: 8}, atOnce: 8, title: &title{}}
	k.learn(time.Unix(1_700_000_000, 0), &Call{}, &xbl.Error{Kind: xbl.Throttled, Overloaded: true, RetryAfter: 5 * time.Second})
	assert.Empty(t, k.log.windows)
	assert.Equal(t, 8, k.atOnce)
}

// TestNoConfiguredWindowIsExceededWhateverIsLearnt from refusals that make no sense.
func TestNoConfiguredWindowIsExceededWhateverIsLearnt(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		windows := drawWindows(r)
		k := &key{limits: Limits{Windows: windows, MaxInFlight: 4}, atOnce: 4, title: &title{}}
		k.log.windows = windows
		now := time.Unix(1_700_000_000, 0)
		var sent []time.Time
		for range rapid.IntRange(1, 200).Draw(r, "calls") {
			for free, at := k.log.free(now, 0); !free; free, at = k.log.free(now, 0) {
				now = at
			}
			now = now.Add(time.Duration(rapid.Int64Range(0, int64(5*time.Second)).Draw(r, "pause")))
			c := &Call{Started: now}
			k.log.start()
			k.log.answered(now, true)
			sent = append(sent, now)
			if rapid.IntRange(0, 3).Draw(r, "refused") > 0 {
				k.regain()
				k.raise(now)
				continue
			}
			err := &xbl.Error{Kind: xbl.Throttled, RetryAfter: time.Duration(rapid.IntRange(0, 400).Draw(r, "retry after")) * time.Second}
			if rapid.Bool().Draw(r, "numbers") {
				err.Throttle = numbers(drawWindows(r)[0])
			}
			k.learn(now, c, err)
			now = now.Add(err.RetryAfter)
		}
		require.LessOrEqual(r, len(k.learnt), maxLearnt)
		for _, w := range k.log.windows {
			require.Positive(r, w.Max)
			require.Positive(r, w.Per)
		}
		for _, w := range windows {
			for i := range sent {
				if i+w.Max < len(sent) {
					require.False(r, sent[i+w.Max].Before(sent[i].Add(w.Per)), "window %v is exceeded", w)
				}
			}
		}
	})
}
