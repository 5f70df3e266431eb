package plan

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestAWiderQuotaIsUsedAtOnceAndANarrowerOneIsKept(t *testing.T) {
	narrow, wide := []Window{{10, time.Minute}}, []Window{{30, time.Minute}}
	s := &service{offset: -1, windows: wide}
	w := newWorld(t, Config{Limits: Limits{Windows: narrow}}, s)
	w.add(jobs(1000, func() *Job { return bulk("cup", "finals", 16) })...)
	w.run(30 * time.Second)
	require.Equal(t, 10, s.calls)
	w.planner.Reconfigure(w.now, Limits{Windows: wide, MaxInFlight: 4}, nil)
	w.step()
	w.run(20 * time.Second)
	require.Equal(t, 30, s.calls, "it need not wait for the end of the old window")
	w.planner.Reconfigure(w.now, Limits{Windows: narrow, MaxInFlight: 4}, nil)
	w.step()
	before := s.calls
	w.run(time.Minute)
	assert.LessOrEqual(t, s.calls-before, 10, "calls of before count")
	w.run(10 * time.Minute)
	assert.InDelta(t, 30+10+100, s.calls, 12)
	assert.Zero(t, s.refused)
}

func TestATitlesOwnQuotaComesAndGoes(t *testing.T) {
	general, own := []Window{{10, time.Minute}}, []Window{{20, time.Minute}}
	s := &service{offset: -1, windows: own}
	w := newWorld(t, Config{Limits: Limits{Windows: general}}, s)
	w.add(jobs(1000, func() *Job { return bulk("cup", "finals", 16) })...)
	w.run(time.Second)
	w.planner.Reconfigure(w.now, Limits{Windows: general, MaxInFlight: 4}, map[uint32]Limits{730: {Windows: own, MaxInFlight: 2}})
	w.step()
	w.run(time.Second)
	assert.Equal(t, 20, s.calls)
}

func TestWhatTheServiceAskedForHoldsUnderAnotherQuota(t *testing.T) {
	k := &key{limits: Limits{Windows: []Window{{10, time.Minute}}, MaxInFlight: 8}, atOnce: 2}
	k.learnt = []learnt{
		{Window: Window{4, time.Minute}, Most: 10}, // a game uses a part of what was configured
		{Window: Window{3, 7 * time.Second}, guessed: true},
		{Window: Window{5, time.Hour}, Most: 5}, // stated
	}
	k.reconfigure(Limits{Windows: []Window{{20, time.Minute}}, MaxInFlight: 16})
	assert.Equal(t, []Window{{20, time.Minute}, {3, 7 * time.Second}, {5, time.Hour}}, k.log.windows)
	assert.Equal(t, 2, k.atOnce, "fewer at once, until more are seen to get through")
	k.reconfigure(Limits{MaxInFlight: 1})
	assert.True(t, k.log.unknown)
	assert.Equal(t, 1, k.atOnce)
}
