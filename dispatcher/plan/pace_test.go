package plan

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func limited(rate float64, j *Job) *Job {
	j.Rate = rate
	return j
}

// sentIn is how many recipients of each campaign are asked for in some time.
func (w *world) sentIn(d time.Duration) map[string]int {
	w.t.Helper()
	sent := make(map[string]int)
	w.onCall = func(c *Call) { sent[c.parcels[0].job().Campaign] += len(c.InvitedUsers) }
	w.run(d)
	w.onCall = nil
	return sent
}

func TestACampaignKeepsToItsRate(t *testing.T) {
	for name, rate := range map[string]float64{"slow": 0.5, "a call a second": 16, "fast": 500} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, Config{}, &service{offset: -1})
			w.add(jobs(30_000, func() *Job { return limited(rate, bulk("cup", "paced", 16)) })...)
			const long = 10 * time.Minute
			sent := w.sentIn(long)["paced"]
			assert.InDelta(t, rate*long.Seconds(), sent, 32, "all of it is used, and two calls more at the most")
		})
	}
}

func TestALimitedCampaignHoldsUpNobodyElse(t *testing.T) {
	quota := []Window{{Max: 10, Per: 10 * time.Second}}
	w := newWorld(t, Config{Limits: Limits{Windows: quota}}, &service{offset: -1, windows: quota})
	w.add(jobs(2000, func() *Job { return limited(1.6, bulk("cup", "paced", 16)) })...)
	w.add(jobs(2000, func() *Job { return bulk("cup", "free", 16) })...)
	sent := w.sentIn(100 * time.Second)
	assert.InDelta(t, 1.6*100, sent["paced"], 32)
	assert.GreaterOrEqual(t, sent["paced"]+sent["free"], 98*16, "what it leaves of the quota is the other's")

	j := interactive("cup", 1)
	w.add(j)
	w.run(2 * time.Second)
	assert.Equal(t, 1, w.ended[j], "a player waits for the quota alone")
}

func TestARateIsKeptThroughPausesInItsJobs(t *testing.T) {
	w := newWorld(t, Config{}, &service{offset: -1})
	sent := 0
	w.onCall = func(c *Call) { sent += len(c.InvitedUsers) }
	for range 100 { // each job is alone in line, and the line is gone when it was sent
		w.add(limited(16, bulk("cup", "paced", 16)))
		w.run(100 * time.Millisecond)
	}
	assert.InDelta(t, 16*10, sent, 32)
	w.run(time.Hour)
	assert.Equal(t, 100*16, sent)
	assert.Empty(t, w.planner.keys, "nothing of it is remembered in the end")
}

func TestARateCanBeChangedAndLifted(t *testing.T) {
	w := newWorld(t, Config{}, &service{offset: -1})
	w.add(jobs(100, func() *Job { return limited(0.0001, bulk("cup", "paced", 16)) })...)
	require.Zero(t, w.sentIn(time.Hour)["paced"], "the first call was made at once")
	for k := range w.planner.keys { // as when it is withdrawn and delivered again
		for _, j := range w.planner.keys[k].campaigns[0].line.jobs() {
			w.planner.Drop(w.now, j)
		}
	}
	w.add(jobs(100, func() *Job { return limited(16, bulk("cup", "paced", 16)) })...)
	sent := w.sentIn(10 * time.Second)["paced"]
	assert.InDelta(t, 160, sent, 32, "the long wait of the old rate is not kept")
	w.add(bulk("cup", "paced", 16))
	assert.InDelta(t, 16*101-sent, w.sentIn(time.Minute)["paced"], 4*16, "all the others, the first four calls before we look")
}

// jobs are those of a line's parcels.
func (l *line) jobs() (all []*Job) {
	for e := l.order.first; e != nil; e = e.next {
		all = append(all, e.of.job())
	}
	return all
}

func TestWhoWaitsForARateIsBoundByIt(t *testing.T) {
	w := newWorld(t, Config{}, &service{offset: -1})
	w.add(jobs(100, func() *Job { return limited(1, bulk("cup", "paced", 16)) })...)
	w.run(time.Second)
	assert.True(t, w.planner.Held(w.now).QuotaBound, "another worker would not help")
}
