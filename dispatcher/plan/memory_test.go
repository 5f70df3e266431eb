package plan

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/invitedhq/invited/xbl"
)

// restart replaces the planner by a new one that is told what was stored.
func (w *world) restart(cfg Config) {
	if w.stored == nil {
		w.stored = make(map[Key]State)
	}
	for _, s := range w.planner.Changed(w.now) {
		w.stored[s.Key] = s
	}
	w.planner = newWorld(w.t, cfg, &service{}).planner
	for _, s := range w.stored {
		w.planner.Remember(w.now, s)
	}
}

func TestARestartForgetsNeitherCallsNorBlocks(t *testing.T) {
	s := &service{offset: -1, windows: published}
	cfg := Config{Limits: Limits{Windows: published}}
	w := newWorld(t, cfg, s)
	for range 60 { // a restart every 7 s
		w.add(jobs(3, func() *Job { return bulk("cup", "finals", 16) })...)
		w.run(7 * time.Second)
		w.restart(cfg) // what was parked comes again; here it does not matter
	}
	assert.Zero(t, s.refused)
	assert.GreaterOrEqual(t, s.calls, 50, "and the quota is used")

	s.faulty = func(*Call) *xbl.Error {
		return &xbl.Error{Kind: xbl.Throttled, Status: 429, Written: true, RetryAfter: 10 * time.Minute}
	}
	w.run(10 * time.Minute)
	w.add(interactive("ada", 1))
	w.run(time.Second)
	w.restart(cfg)
	calls := 0
	w.onCall = func(*Call) { calls++ }
	w.add(interactive("ada", 1))
	w.run(8 * time.Minute)
	assert.Zero(t, calls, "the Retry-After that was given before the restart")
	w.run(3 * time.Minute)
	assert.Equal(t, 1, calls)
}

func TestLearntWindowsSurviveARestart(t *testing.T) {
	s := &service{offset: -1, windows: published}
	s.says = func(w Window) xbl.Throttle { return xbl.Throttle{MaxRequests: w.Max, Period: w.Per} }
	w := newWorld(t, Config{}, s)
	w.add(jobs(100, func() *Job { return bulk("cup", "finals", 16) })...)
	w.run(time.Minute)
	require.Positive(t, s.refused)
	w.restart(Config{})
	assert.Equal(t, []Window{{7, 15 * time.Second}}, w.planner.keys[Key{"cup", 730}].log.windows)
}

func TestOnlyWhatChangedIsTold(t *testing.T) {
	w := newWorld(t, Config{Limits: Limits{Windows: published}}, &service{offset: -1, windows: published})
	w.add(interactive("ada", 1))
	w.run(time.Second)
	require.Len(t, w.planner.Changed(w.now), 1)
	assert.Empty(t, w.planner.Changed(w.now), "once")
	w.add(interactive("ada", 1))
	w.run(time.Hour)
	w.requireForgotten()
	assert.Empty(t, w.planner.Changed(w.now), "nor is a key that was forgotten: the next one of its name would be overwritten")
	unlimited := newWorld(t, Config{}, &service{offset: -1})
	unlimited.add(interactive("ada", 1))
	unlimited.run(time.Second)
	assert.Empty(t, unlimited.planner.Changed(unlimited.now), "without windows there is nothing to remember")
}

func TestACallFromAClockThatIsAheadCountsFromNow(t *testing.T) {
	one := []Window{{1, time.Minute}}
	w := newWorld(t, Config{Limits: Limits{Windows: one}}, &service{offset: -1, windows: one})
	w.planner.Remember(w.now, State{Key: Key{"ada", 730}, Calls: []time.Time{w.now.Add(time.Hour)}})
	j := interactive("ada", 1)
	w.add(j)
	w.run(2 * time.Minute)
	assert.Equal(t, 1, w.ended[j], "not in an hour and a minute")
}
