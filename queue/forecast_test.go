package queue_test

import (
	"math"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/invitedhq/invited/queue"
)

// That the worker then takes as long is tested with the real planner, in dispatcher/plan.

var (
	published = []queue.Window{{Max: 7, Per: 15 * time.Second}, {Max: 50, Per: 300 * time.Second}}
	noon      = time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)
)

func least(o queue.Outlook, w queue.Work) time.Duration { return o.Forecast(w).Least }

func TestACampaignTakesItsWindows(t *testing.T) {
	o := queue.Outlook{At: noon, Windows: published}
	for recipients, want := range map[int]time.Duration{
		1: 0, 7 * 16: 0, 7*16 + 1: 15 * time.Second, 50 * 16: 105 * time.Second, 50*16 + 1: 300 * time.Second,
		100_000: 10*time.Hour + 21*time.Minute + 45*time.Second,
	} {
		f := o.Forecast(queue.Work{Recipients: recipients})
		assert.Equal(t, want, f.Least, "%d recipients", recipients)
		assert.Equal(t, want, f.Alone)
		assert.Equal(t, queue.ByQuota, f.Basis)
		assert.False(t, f.Rough)
	}
	assert.Equal(t, queue.Forecast{}, o.Forecast(queue.Work{}), "there is nothing left to do")
}

func TestWhatWasSentBeforeAndABlockPutItOff(t *testing.T) {
	o := queue.Outlook{At: noon, Windows: published}
	o.Key.Calls = []queue.CallRun{{At: noon.Add(-10 * time.Second), N: 6}}
	assert.Zero(t, least(o, queue.Work{Calls: 1}))
	assert.Equal(t, 5*time.Second, least(o, queue.Work{Calls: 2}))
	o.Key.Open = 1
	assert.Equal(t, 5*time.Second, least(o, queue.Work{Calls: 1}), "a call in flight counts from its answer on")
	assert.Equal(t, 15*time.Second, least(o, queue.Work{Calls: 7}))

	o.Key.BlockedUntil = noon.Add(-time.Second)
	assert.True(t, o.Forecast(queue.Work{Calls: 1}).BlockedUntil.IsZero(), "it is over")
	o.Key.BlockedUntil = noon.Add(time.Minute)
	f := o.Forecast(queue.Work{Calls: 8})
	assert.Equal(t, time.Minute+15*time.Second, f.Least)
	assert.Equal(t, o.Key.BlockedUntil, f.BlockedUntil)
}

func TestWhileTheReserveHoldsPlayersKeepTheirShare(t *testing.T) {
	o := queue.Outlook{At: noon, Windows: []queue.Window{{Max: 10, Per: time.Minute}}, Reserve: 0.25}
	assert.Equal(t, 3*time.Minute, least(o, queue.Work{Calls: 40}))
	o.Key.ReservedUntil = noon.Add(90 * time.Second)
	f := o.Forecast(queue.Work{Calls: 40})
	// 7 at once, 7 after a minute, 3 when the reserve is over, and then 10 a minute.
	assert.Equal(t, 4*time.Minute, f.Least)
	assert.InDelta(t, 0.25, f.Reserve, 0)
	assert.Equal(t, o.Key.ReservedUntil, f.ReservedUntil)
	assert.Equal(t, 90*time.Second, least(o, queue.Work{Calls: 17}))

	o.Windows[0].Max = 1
	assert.Equal(t, time.Minute, least(o, queue.Work{Calls: 2}), "a window is never all reserved")
}

func TestCampaignsOfAKeyTakeTurns(t *testing.T) {
	o := queue.Outlook{At: noon, Windows: []queue.Window{{Max: 1, Per: time.Second}}, Others: []queue.OtherCampaign{
		{Name: "long", Jobs: 1000}, {Name: "short", Jobs: 5},
	}}
	f := o.Forecast(queue.Work{Calls: 10})
	assert.Equal(t, 9*time.Second, f.Alone)
	assert.Equal(t, (9+9+5)*time.Second, f.Least, "no more of the long one go before its last than of its own")
	assert.Equal(t, o.Others, f.Others)
	assert.False(t, f.Rough)
	o.Others[1].Raw = true
	assert.True(t, o.Forecast(queue.Work{Calls: 10}).Rough, "how many calls its jobs are is not known")
}

func TestLearntWindowsHoldAndMayGiveWay(t *testing.T) {
	o := queue.Outlook{At: noon, Windows: []queue.Window{{Max: 7, Per: 15 * time.Second}}}
	o.Key.Learnt = []queue.LearntWindow{{Max: 5, Per: 15 * time.Second, Most: 7}}
	f := o.Forecast(queue.Work{Calls: 6})
	assert.Equal(t, 15*time.Second, f.Least)
	assert.Equal(t, []queue.Window{{Max: 5, Per: 15 * time.Second}}, f.Windows)
	assert.True(t, f.Learnt && f.Rough && f.MayRise, "the worker tries for more")
	assert.Equal(t, 7, o.Windows[0].Max, "what was given stays as it is")

	o.Key.Learnt[0].Max = 9
	f = o.Forecast(queue.Work{Calls: 8})
	assert.Equal(t, 15*time.Second, f.Least, "what is configured is the most")
	assert.False(t, f.Learnt || f.Rough)

	o.Key.Learnt[0] = queue.LearntWindow{Max: 3, Per: time.Minute, Most: 3}
	f = o.Forecast(queue.Work{Calls: 4})
	assert.Equal(t, time.Minute, f.Least)
	assert.True(t, f.Learnt)
	assert.False(t, f.Rough || f.MayRise, "the service has said so")

	f = queue.Outlook{At: noon, Key: queue.KeyState{Learnt: []queue.LearntWindow{{Max: 3, Per: time.Minute}}}}.Forecast(queue.Work{Calls: 4})
	assert.Equal(t, time.Minute, f.Least, "also where none is configured")
	assert.True(t, f.Rough)
}

func TestACampaignsOwnLimitHoldsBesideTheQuota(t *testing.T) {
	o := queue.Outlook{At: noon, Windows: []queue.Window{{Max: 1, Per: time.Second}}}
	assert.Equal(t, 9*time.Second, least(o, queue.Work{Recipients: 160, PerSecond: 1000}))
	assert.Equal(t, 18*time.Second, least(o, queue.Work{Recipients: 160, PerSecond: 8}), "the first call goes at once")
	f := queue.Outlook{At: noon}.Forecast(queue.Work{Recipients: 160, PerSecond: 8})
	assert.Equal(t, queue.ByLimit, f.Basis)
	assert.Equal(t, 18*time.Second, f.Least)
}

func TestWithoutAQuotaOnlyWhatWasSeenIsKnown(t *testing.T) {
	o := queue.Outlook{At: noon, Key: queue.KeyState{BlockedUntil: noon.Add(time.Minute)}}
	f := o.Forecast(queue.Work{Recipients: 1000})
	assert.Equal(t, queue.ByNothing, f.Basis)
	assert.Zero(t, f.Least, "no time is made up")
	assert.False(t, f.BlockedUntil.IsZero(), "what is known is told")
	f = o.Forecast(queue.Work{Recipients: 1000, Rate: 10})
	assert.Equal(t, queue.ByRate, f.Basis)
	assert.Equal(t, time.Minute+100*time.Second, f.Least)
	assert.True(t, f.Rough, "it may go faster")
	o.Windows = published
	assert.Equal(t, queue.ByQuota, o.Forecast(queue.Work{Recipients: 1000, Rate: 1e9}).Basis)
}

// slowly is the schedule of a worker that looks at its log of calls anew before each one.
func slowly(o queue.Outlook, calls int) time.Duration {
	var log []time.Duration
	for _, run := range o.Key.Calls {
		for range run.N {
			log = append(log, run.At.Sub(o.At))
		}
	}
	for range o.Key.Open {
		log = append(log, 0)
	}
	now := max(0, o.Key.BlockedUntil.Sub(o.At))
	reserved := o.Key.ReservedUntil.Sub(o.At)
	fits := func(at time.Duration) bool {
		for _, w := range o.Windows {
			room := w.Max
			if at < reserved {
				room -= min(int(math.Ceil(o.Reserve*float64(w.Max))), w.Max-1)
			}
			used := 0
			for _, end := range log {
				if end > at-w.Per {
					used++
				}
			}
			if used >= room {
				return false
			}
		}
		return true
	}
	for range calls {
		moments := []time.Duration{now, max(now, reserved)}
		for _, end := range log {
			for _, w := range o.Windows {
				moments = append(moments, max(now, end+w.Per))
			}
		}
		slices.Sort(moments)
		now = moments[slices.IndexFunc(moments, fits)]
		log = append(log, now)
	}
	return now
}

func TestAForecastIsExactWhateverWasBefore(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		seconds := func(least, most int, what string) time.Duration {
			return time.Duration(rapid.IntRange(least, most).Draw(t, what)) * time.Second
		}
		o := queue.Outlook{At: noon, Reserve: rapid.SampledFrom([]float64{0, 0.1, 0.5, 0.9}).Draw(t, "reserve")}
		for range rapid.IntRange(1, 3).Draw(t, "windows") {
			o.Windows = append(o.Windows, queue.Window{Max: rapid.IntRange(1, 9).Draw(t, "max"), Per: seconds(1, 30, "per")})
		}
		before := -seconds(0, 40, "before")
		for range rapid.IntRange(0, 5).Draw(t, "runs") {
			o.Key.Calls = append(o.Key.Calls, queue.CallRun{At: noon.Add(before), N: rapid.IntRange(1, 4).Draw(t, "n")})
			before += min(seconds(0, 9, "pause"), -before)
		}
		o.Key.Open = rapid.IntRange(0, 3).Draw(t, "open")
		o.Key.BlockedUntil = noon.Add(seconds(-1, 50, "blocked"))
		o.Key.ReservedUntil = noon.Add(seconds(-1, 100, "reserved"))
		calls := rapid.IntRange(1, 150).Draw(t, "calls")
		require.Equal(t, slowly(o, calls), least(o, queue.Work{Calls: calls}))
	})
}

// millions is a key with ten campaigns of 10 million recipients each.
func millions() (queue.Outlook, queue.Work) {
	o := queue.Outlook{At: noon, Windows: published, Reserve: 0.1, Key: queue.KeyState{ReservedUntil: noon.Add(15 * time.Minute)}}
	for range 9 {
		o.Others = append(o.Others, queue.OtherCampaign{Jobs: 625_000})
	}
	return o, queue.Work{Recipients: 10_000_000}
}

func TestMillionsOfCallsAreForecastToTheSecond(t *testing.T) {
	o, w := millions()
	all := o.Forecast(w)
	assert.Equal(t, 625_000, all.Calls)
	// Once the reserve is over it is 50 calls in 300 s, for ever.
	calls, others := 10*(625_000-1)+1, o.Others
	few := 1000 + calls%50
	o.Others = nil
	assert.Equal(t, least(o, queue.Work{Calls: few})+time.Duration((calls-few)/50)*300*time.Second, all.Least)
	assert.Equal(t, others, all.Others)
}

// BenchmarkForecast: a page may ask for it as often as it is drawn.
func BenchmarkForecast(b *testing.B) {
	o, w := millions()
	for b.Loop() {
		o.Forecast(w)
	}
}

func TestNumbersBeyondReasonEndInATimeBeyondReason(t *testing.T) {
	o := queue.Outlook{At: noon, Windows: []queue.Window{{Max: 1, Per: 24 * time.Hour}, {Max: 1_000_000, Per: time.Millisecond}}}
	o.Key.Learnt = []queue.LearntWindow{{Max: math.MaxInt, Per: time.Hour}}
	o.Key.ReservedUntil, o.Reserve = noon.Add(24*time.Hour), 0.9
	f := o.Forecast(queue.Work{Calls: math.MaxInt32})
	assert.Equal(t, 100*365*24*time.Hour, f.Least)
	f = queue.Outlook{At: noon}.Forecast(queue.Work{Recipients: math.MaxInt32, PerSecond: 1e-300})
	assert.Equal(t, 100*365*24*time.Hour, f.Least)
}
