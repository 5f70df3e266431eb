package queue_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/invitedhq/invited/queue"
)

func named(name string) queue.Address {
	return queue.Address{TitleID: campaign.TitleID, Sender: campaign.Sender, Campaign: name}
}

func TestAnOutlookIsWhatWorkersSayAndWhatIsStoredOfTheKey(t *testing.T) {
	inFakeTime(t, queue.Options{}, func(t *testing.T, f *fixture) {
		o := organize(t, f.nc, 3)
		out, err := o.Outlook(t.Context(), campaign)
		require.NoError(t, err)
		assert.Equal(t, queue.Outlook{At: out.At}, out, "no worker ever ran: nothing is known")
		_, err = o.Outlook(t.Context(), queue.Address{Campaign: "c"})
		require.Error(t, err)

		own := []queue.Window{{Max: 10, Per: 20 * time.Second}}
		f.queue.AnnounceQuota(queue.Quota{
			Limits: queue.Limits{Windows: published}, Reserve: 0.1, Titles: map[uint32]queue.Limits{campaign.TitleID: {Windows: own}},
		})
		stop := f.work(queue.DeliverFunc(func(*queue.Delivery) {}))
		time.Sleep(time.Second)
		stop()
		began := time.Now()
		f.saveKey(queue.KeyState{
			Partition: queue.PartitionOf(campaign, f.queue.Partitions()), TitleID: campaign.TitleID, Sender: campaign.Sender,
			Calls: []queue.CallRun{{At: began.Add(-5 * time.Second), N: 4}}, Open: 1, BlockedUntil: began.Add(time.Minute),
			Learnt: []queue.LearntWindow{{Max: 8, Per: 20 * time.Second, Most: 10}}, ReservedUntil: began.Add(2 * time.Minute),
			Until: began.Add(5 * time.Minute),
		})
		time.Sleep(10 * time.Second)
		f.start(queue.CampaignOrder{Address: campaign}, players(1, 16*9))
		f.start(queue.CampaignOrder{Address: named("league")}, players(1, 40))
		f.publish(named("by-hand"), job("a"))
		f.publish(queue.Address{TitleID: campaign.TitleID, Sender: "bob", Campaign: "elsewhere"}, job("b"))

		out, err = o.Outlook(t.Context(), campaign)
		require.NoError(t, err)
		assert.True(t, out.Announced)
		assert.Equal(t, own, out.Windows, "of this title")
		assert.InDelta(t, 0.1, out.Reserve, 0)
		assert.Equal(t, []queue.OtherCampaign{{Name: "by-hand", Jobs: 1, Raw: true}, {Name: "league", Jobs: 3}}, out.Others)
		require.Len(t, out.Key.Calls, 1)
		assert.Equal(t, []int{4, 1}, []int{out.Key.Calls[0].N, out.Key.Open})
		const near = 50 * time.Millisecond
		assert.WithinDuration(t, began.Add(-5*time.Second), out.Key.Calls[0].At, near, "placed by the server's clock")
		assert.WithinDuration(t, began.Add(time.Minute), out.Key.BlockedUntil, near)
		assert.WithinDuration(t, began.Add(2*time.Minute), out.Key.ReservedUntil, near)

		forecast, err := o.Forecast(t.Context(), campaign, 160)
		require.NoError(t, err)
		assert.Equal(t, out.Forecast(queue.Work{Recipients: 160}).Windows, forecast.Windows)
		// 50 s of the block are left; then 14 calls, 7 at a time while the reserve holds: the old ones count no more.
		assert.InDelta(t, (50*time.Second + 20*time.Second).Seconds(), forecast.Least.Seconds(), 0.1)
		assert.InDelta(t, (50*time.Second + 20*time.Second).Seconds(), forecast.Alone.Seconds(), 0.1)
		left, err := o.TimeLeft(t.Context(), f.status(campaign))
		require.NoError(t, err)
		assert.Equal(t, []int{9, 2}, []int{left.Calls, len(left.Others)})
		assert.Equal(t, queue.ByQuota, left.Basis)

		f.raw("invites.control.quota", `{"windows":[{"max":-1}]}`)
		out, err = o.Outlook(t.Context(), campaign)
		require.NoError(t, err)
		assert.False(t, out.Announced, "what no worker writes is not known")
		assert.Empty(t, out.Windows)
	})
}

func TestTheTimeLeftIsOfWhatIsLeft(t *testing.T) {
	inFakeTime(t, queue.Options{}, func(t *testing.T, f *fixture) {
		f.queue.AnnounceQuota(queue.Quota{Limits: queue.Limits{Windows: []queue.Window{{Max: 1, Per: time.Minute}}}})
		f.start(queue.CampaignOrder{Address: campaign}, players(1, 16*3))
		o := organize(t, f.nc, 3)
		w := f.consume()
		time.Sleep(2 * time.Second)
		for calls := 3; calls >= 0; calls-- {
			s := f.awaitLeft(campaign, calls*16)
			left, err := o.TimeLeft(t.Context(), s)
			require.NoError(t, err)
			assert.Equal(t, calls, left.Calls)
			assert.Equal(t, time.Duration(max(calls-1, 0))*time.Minute, left.Least)
			if calls > 0 {
				f.settle(w.next(), queue.Ending{Sent: 16, Attempts: 1})
			}
		}
	})
}

// awaitLeft waits until so many recipients are left of a campaign, and nothing waits where that is none.
func (f *fixture) awaitLeft(a queue.Address, left int) (s queue.CampaignStatus) {
	f.Helper()
	require.Eventually(f, func() bool {
		s = f.status(a)
		return s.Left == left && (left > 0 || s.State == queue.CampaignEnded)
	}, 30*time.Second, 50*time.Millisecond)
	return s
}

func TestTheWorkThatIsLeftOfACampaignPublishedByHandIsAGuess(t *testing.T) {
	s := queue.CampaignStatus{
		Waiting: 100, Jobs: 50, Sent: 90, Dead: map[queue.Reason]int{queue.Rejected: 20}, Replayed: 10,
		Rate: 2, FirstEndedAt: noon.Add(-time.Minute), LastEndedAt: noon.Add(-10 * time.Second),
	}
	assert.Equal(t, queue.Work{Recipients: 200, Calls: 13, Raw: true, Rate: 2}, s.Work(noon),
		"as large as those that have ended, and they share calls")
	assert.Zero(t, s.Work(noon.Add(time.Hour)).Rate, "it has stopped")
	assert.Equal(t, queue.Work{Calls: 100, Raw: true}, queue.CampaignStatus{Waiting: 100}.Work(noon), "a call each, as long as none has ended")
	s.NoJobs, s.Sent, s.Dead, s.Replayed = 50, 0, nil, 0
	assert.Equal(t, 100, s.Work(noon).Calls)
}

func TestCampaignsThatDoNotSendTakeNoTurns(t *testing.T) {
	inFakeTime(t, queue.Options{}, func(t *testing.T, f *fixture) {
		o := organize(t, f.nc, 3)
		named := func(name string) queue.Address { return queue.Address{TitleID: 100, Sender: "alice", Campaign: name} }
		for _, name := range []string{"slow", "paused", "later", "cancelled", "sending"} {
			f.start(queue.CampaignOrder{Address: named(name)}, players(1, 160))
		}
		must := func(_ queue.CampaignTerms, err error) { t.Helper(); require.NoError(t, err) }
		must(o.Pause(t.Context(), named("paused")))
		must(o.SetStart(t.Context(), named("later"), time.Now().Add(time.Hour)))
		must(o.Cancel(t.Context(), named("cancelled")))
		must(o.SetRate(t.Context(), named("slow"), 1))
		out, err := o.Outlook(t.Context(), named("new"))
		require.NoError(t, err)
		assert.Equal(t, []queue.OtherCampaign{{Name: "sending", Jobs: 10}, {Name: "slow", Jobs: 10, Limited: true}}, out.Others)

		out.Windows, out.Others = []queue.Window{{Max: 1, Per: time.Second}}, nil
		later, err := o.Status(t.Context(), named("later"))
		require.NoError(t, err)
		forecast := out.Forecast(later.Work(out.At))
		assert.InDelta(t, (time.Hour + 9*time.Second).Seconds(), forecast.Least.Seconds(), 1, "from now, and it begins in an hour")
		slow, err := o.Status(t.Context(), named("slow"))
		require.NoError(t, err)
		assert.Equal(t, 144*time.Second, out.Forecast(slow.Work(out.At)).Least, "its own rate is less than the quota")
		left, err := o.TimeLeft(t.Context(), f.status(named("cancelled")))
		require.NoError(t, err)
		assert.Zero(t, left)
	})
}
