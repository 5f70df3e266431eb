package queue_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/invitedhq/invited/queue"
)

func TestTheStatusOfACampaignIsWhatIsStoredOfIt(t *testing.T) {
	inFakeTime(t, queue.Options{}, func(t *testing.T, f *fixture) {
		f.start(queue.CampaignOrder{Address: campaign}, players(1, 16*3))
		s := f.status(campaign)
		assert.Equal(t, queue.CampaignWaiting, s.State)
		assert.True(t, s.Ordered)
		assert.Equal(t, []int{48, 48, 48, 3}, []int{s.Recipients, s.Uploaded, s.Left, s.Waiting})

		w := f.consume()
		d := w.next()
		users := d.Job.InvitedUsers
		f.settle(d, queue.Ending{Sent: 10, Attempts: 3, Dead: []queue.Dead{
			{Reason: queue.Rejected, Recipients: users[10:15]}, {Reason: queue.Expired, Recipients: users[15:]},
		}})
		s = f.status(campaign)
		assert.Equal(t, queue.CampaignSending, s.State)
		assert.Equal(t, []int{1, 10, 32, 2}, []int{s.Jobs, s.Sent, s.Left, s.Waiting})
		assert.Equal(t, map[queue.Reason]int{queue.Rejected: 5, queue.Expired: 1}, s.Dead, "by each reason, not by that of most")

		f.settle(w.next(), queue.Ending{Sent: 16, Attempts: 1, MaybeDuplicate: true})
		f.settle(w.next(), queue.Ending{Sent: 16, Attempts: 1})
		s = f.awaitState(campaign, queue.CampaignEnded)
		assert.Equal(t, []int{3, 42, 6, 0, 0, 1}, []int{s.Jobs, s.Sent, s.DeadRecipients(), s.Left, s.Waiting, s.MaybeDuplicate})
		assert.True(t, s.Complete)
		assert.WithinDuration(t, time.Now(), s.LastEndedAt, time.Minute)
	})
}

func TestACampaignThatWasPublishedByHandHasAStatusToo(t *testing.T) {
	inFakeTime(t, queue.Options{}, func(t *testing.T, f *fixture) {
		o := organize(t, f.nc, 3)
		_, err := o.Status(t.Context(), campaign)
		require.ErrorIs(t, err, queue.ErrNoCampaign)

		f.publish(campaign, job("a", 1, 2, 3))
		f.raw(campaign.Subject(), "no job")
		s := f.status(campaign)
		assert.False(t, s.Ordered)
		assert.Equal(t, queue.CampaignWaiting, s.State)
		assert.Equal(t, 2, s.Waiting)
		w := f.consume()
		f.settle(w.next(), queue.Ending{Sent: 3, Attempts: 1})
		f.settle(w.next(), queue.Ending{Dead: []queue.Dead{{Reason: queue.Invalid}}})
		s = f.awaitState(campaign, queue.CampaignEnded)
		assert.Equal(t, []int{2, 3, 0, 1, 0}, []int{s.Jobs, s.Sent, s.DeadRecipients(), s.NoJobs, s.Left})
	})
}

func TestCampaignsAreFoundWhateverIsThereOfThem(t *testing.T) {
	inFakeTime(t, queue.Options{}, func(t *testing.T, f *fixture) {
		named := func(title uint32, name string) queue.Address {
			return queue.Address{TitleID: title, Sender: "s", Campaign: name}
		}
		w := f.consume()
		f.publish(alice, job("no campaign"))
		f.settle(w.next(), queue.Ending{Sent: 1})
		f.publish(named(2, "ended"), job("x"))
		f.settle(w.next(), queue.Ending{Sent: 1})
		f.publish(named(1, "waiting"), job("y"))
		f.start(queue.CampaignOrder{Address: named(1, "ordered")}, players(1, 1))
		o := organize(t, f.nc, 3)
		all, err := o.Campaigns(t.Context(), queue.CampaignFilter{})
		require.NoError(t, err)
		assert.Equal(t, []queue.Address{named(2, "ended"), named(1, "ordered"), named(1, "waiting")}, all)
		some, err := o.Campaigns(t.Context(), queue.CampaignFilter{TitleID: 1, Campaign: "waiting"})
		require.NoError(t, err)
		assert.Equal(t, []queue.Address{named(1, "waiting")}, some)
	})
}

// forgetResults removes the results, as the stream does when they are a day old.
func (f *fixture) forgetResults() {
	f.Helper()
	s, err := f.js.Stream(f.Context(), "INVITE_RESULTS")
	require.NoError(f, err)
	require.NoError(f, s.Purge(f.Context()))
}

// awaitState waits until the acknowledgements have reached the server.
func (f *fixture) awaitState(a queue.Address, state queue.CampaignState) queue.CampaignStatus {
	f.Helper()
	var s queue.CampaignStatus
	require.Eventually(f, func() bool { s = f.status(a); return s.State == state }, 30*time.Second, 10*time.Millisecond)
	return s
}

func TestTheStatusOutlivesTheResults(t *testing.T) {
	inFakeTime(t, queue.Options{AckWait: time.Hour}, func(t *testing.T, f *fixture) {
		f.start(queue.CampaignOrder{Address: campaign}, players(1, 16*4))
		other := campaign
		other.Campaign = "by-hand"
		f.publish(other, job("a", 1, 2))
		w := f.consume()
		sent := 0
		for range 5 { // one a minute: they are summed up one by one, and removed
			d := w.next()
			f.settle(d, queue.Ending{Sent: len(d.Job.InvitedUsers), Attempts: 1})
			if d.Address == campaign {
				sent += 16
			}
			s := f.status(campaign)
			require.Equal(t, []int{sent, 64 - sent}, []int{s.Sent, s.Left})
			time.Sleep(time.Minute)
			f.forgetResults()
		}
		s := f.status(campaign)
		assert.Equal(t, queue.CampaignEnded, s.State)
		assert.Equal(t, []int{4, 64, 0}, []int{s.Jobs, s.Sent, s.Left})
		assert.True(t, s.Complete)
		assert.Equal(t, 2, f.status(other).Sent)
	})
}

func TestResultsThatWereRemovedBeforeTheyWereSummedUpAreNotClaimedToBeKnown(t *testing.T) {
	inFakeTime(t, queue.Options{}, func(t *testing.T, f *fixture) {
		f.start(queue.CampaignOrder{Address: campaign}, players(1, 16*2))
		w := f.consume()
		f.settle(w.next(), queue.Ending{Sent: 16, Attempts: 1})
		w.stop()
		require.True(t, f.status(campaign).Complete)
		f.forgetResults()
		s := f.status(campaign)
		assert.False(t, s.Complete)
		assert.Zero(t, s.Sent)

		w = f.consume()
		f.settle(w.next(), queue.Ending{Sent: 16, Attempts: 1})
		time.Sleep(time.Minute)
		assert.False(t, f.status(campaign).Complete, "nor when a worker has gone on")
		later := campaign
		later.Campaign = "later"
		time.Sleep(time.Second)
		f.start(queue.CampaignOrder{Address: later}, players(1, 16))
		f.settle(w.next(), queue.Ending{Sent: 16, Attempts: 1})
		assert.True(t, f.status(later).Complete, "a campaign that began after is none of those")
	})
}

func TestAnUploadWhoseResultsWereRemovedIsInDoubt(t *testing.T) {
	inFakeTime(t, queue.Options{}, func(t *testing.T, f *fixture) {
		order, r := queue.CampaignOrder{Address: campaign}, players(1, 16*6)
		first := f.startUntilStored(order, r)
		w := f.consume()
		time.Sleep(time.Second)
		require.Len(t, f.end(w), first)
		w.stop()
		f.forgetResults() // no worker has summed up what was sent
		_, err := organize(t, f.nc, 3).Start(t.Context(), order, r, nil)
		require.ErrorIs(t, err, queue.ErrUploadInDoubt)
		assert.Empty(t, f.waiting(campaign))
	})
}

// A worker that was cut off has a result on its way, and the job's next owner another: see supersede.
func TestAResultInPlaceOfAnotherIsCountedOnce(t *testing.T) {
	for name, between := range map[string]time.Duration{
		"before the first is summed up": 0,
		"after the first was summed up": time.Minute,
	} {
		t.Run(name, func(t *testing.T) {
			inFakeTime(t, queue.Options{}, func(t *testing.T, f *fixture) {
				w := f.consume()
				f.publish(campaign, job("a", 1, 2, 3))
				d := w.next()
				f.settle(d, queue.Ending{Sent: 2, Attempts: 1, Dead: []queue.Dead{{Reason: queue.Exhausted, Recipients: []queue.XUID{3}}}})
				f.publish(campaign, job("b", 4, 5))
				sent := w.next()
				f.settle(sent, queue.Ending{Sent: 2, Attempts: 1})
				time.Sleep(between)
				f.settle(d, queue.Ending{Sent: 3, Attempts: 2, MaybeDuplicate: true})
				f.settle(sent, queue.Ending{Sent: 2, Attempts: 2, MaybeDuplicate: true})
				for range 2 {
					s := f.status(campaign)
					assert.Equal(t, []int{2, 5, 0, 2}, []int{s.Jobs, s.Sent, s.DeadRecipients(), s.MaybeDuplicate}, "the last word counts")
					time.Sleep(time.Minute)
				}
			})
		})
	}
}

func TestAReplayedRecipientIsSentAndWasDead(t *testing.T) {
	inFakeTime(t, queue.Options{}, func(t *testing.T, f *fixture) {
		f.start(queue.CampaignOrder{Address: campaign}, players(1, 16))
		w := f.consume()
		d := w.next()
		f.settle(d, queue.Ending{Sent: 15, Dead: []queue.Dead{{Reason: queue.Rejected, Recipients: d.Job.InvitedUsers[15:]}}})
		require.NoError(t, f.replayer().Replay(t.Context(), f.letters(queue.Filter{})[0]))
		s := f.status(campaign)
		assert.Equal(t, []int{15, 1, 0, 0}, []int{s.Sent, s.DeadRecipients(), s.Left, s.Replayed})
		f.settle(w.next(), queue.Ending{Sent: 1})
		s = f.status(campaign)
		assert.Equal(t, []int{16, 1, 0, 1}, []int{s.Sent, s.DeadRecipients(), s.Left, s.Replayed})
		assert.Equal(t, queue.CampaignEnded, s.State)
	})
}
