package plan

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/invitedhq/invited/queue"
	"github.com/invitedhq/invited/xbl"
)

// outlook is what tools know of a key: what the planner had stored, and what it is configured with.
func (w *world) outlook(l Limits, others ...queue.OtherCampaign) queue.Outlook {
	s := w.stored[Key{"cup", 730}]
	o := queue.Outlook{At: w.now, Reserve: l.Reserve, Others: others, Key: queue.KeyState{
		Calls: s.Calls, Open: s.Open, BlockedUntil: s.Blocked, ReservedUntil: s.Reserved,
	}}
	for _, window := range l.Windows {
		o.Windows = append(o.Windows, queue.Window(window))
	}
	for _, l := range s.Learnt {
		o.Key.Learnt = append(o.Key.Learnt, queue.LearntWindow{Max: l.Max, Per: l.Per, Most: l.Most})
	}
	return o
}

// TestTheForecastIsWhatThePlannerThenDoes: what queue says of a campaign's time is compared with the planner, whose quota,
// reserve and turns it must know.
func TestTheForecastIsWhatThePlannerThenDoes(t *testing.T) {
	scaled := []Window{{700, 15 * time.Second}, {5000, 300 * time.Second}}
	for name, c := range map[string]struct {
		windows []Window
		calls   int
		before  func(*world) // what happens on the key first
		others  []queue.OtherCampaign
	}{
		"published quota":         {windows: published, calls: 400},
		"a hundred times as much": {windows: scaled, calls: 6000},
		"one window":              {windows: []Window{{3, 2 * time.Second}}, calls: 500},
		"three windows":           {windows: []Window{{2, time.Second}, {30, time.Minute}, {200, 10 * time.Minute}}, calls: 1500},
		"after other calls": {windows: published, calls: 200, before: func(w *world) {
			w.add(jobs(45, func() *Job { return bulk("cup", "last", 16) })...)
			w.run(2 * time.Minute)
		}},
		"in a block": {windows: published, calls: 200, others: []queue.OtherCampaign{{Name: "last", Jobs: 1}}, before: func(w *world) {
			w.service.faulty = func(*Call) *xbl.Error {
				return &xbl.Error{Kind: xbl.Throttled, Status: 429, Written: true, RetryAfter: 20 * time.Minute, Overloaded: true}
			}
			w.add(bulk("cup", "last", 16))
			w.run(5 * time.Second)
			w.service.faulty = nil
			require.False(w.t, w.stored[Key{"cup", 730}].Blocked.IsZero())
		}},
		"with the reserve": {windows: []Window{{10, 15 * time.Second}, {50, 300 * time.Second}}, calls: 300, before: func(w *world) {
			w.add(interactive("cup", 1))
			w.run(30 * time.Second)
			require.False(w.t, w.stored[Key{"cup", 730}].Reserved.IsZero())
		}},
		"with two others": {windows: published, calls: 150, others: []queue.OtherCampaign{{Name: "long", Jobs: 400}, {Name: "short", Jobs: 60}}},
		"of a window that was learnt": {windows: published, calls: 300, before: func(w *world) {
			w.service.windows = []Window{{5, 15 * time.Second}}
			w.service.says = func(hit Window) xbl.Throttle { return xbl.Throttle{MaxRequests: hit.Max, Period: hit.Per} }
			w.add(jobs(20, func() *Job { return bulk("cup", "last", 16) })...)
			w.run(2 * time.Minute)
			require.NotEmpty(w.t, w.stored[Key{"cup", 730}].Learnt)
		}},
	} {
		t.Run(name, func(t *testing.T) {
			limits := Limits{Windows: c.windows, MaxInFlight: 16, Reserve: 0.1}
			w := newWorld(t, Config{Limits: limits}, &service{offset: -1, windows: c.windows})
			if c.before != nil {
				c.before(w)
			}
			forecast := w.outlook(limits, c.others...).Forecast(queue.Work{Calls: c.calls})
			began := w.now
			var last time.Time
			w.onCall = func(call *Call) {
				if call.Jobs()[0].Campaign == "mine" {
					last = w.now
				}
			}
			for _, other := range c.others {
				if other.Name == "last" { // it waits already
					continue
				}
				w.add(jobs(other.Jobs, func() *Job { return bulk("cup", other.Name, 16) })...)
			}
			mine := jobs(c.calls, func() *Job { return bulk("cup", "mine", 16) })
			w.add(mine...)
			w.run(5 * time.Hour)
			w.requireEndedOnce(mine...)

			took := last.Sub(began)
			assert.LessOrEqual(t, forecast.Least, took, "at least so long")
			assert.InEpsilon(t, took, forecast.Least, 0.02)
		})
	}
}
