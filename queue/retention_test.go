package queue_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/invitedhq/invited/queue"
)

func TestRecordsOfCampaignsAreRemovedLongAfterTheEnd(t *testing.T) {
	const kept = 3 * time.Hour
	inFakeTime(t, queue.Options{}, func(t *testing.T, f *fixture) {
		named := func(name string) queue.Address { return queue.Address{TitleID: 1, Sender: "s", Campaign: name} }
		o := organize(t, f.nc, 3)
		f.start(queue.CampaignOrder{Address: named("ended")}, players(1, 16))
		f.start(queue.CampaignOrder{Address: named("cancelled")}, players(1, 32))
		_, err := o.Cancel(t.Context(), named("cancelled"))
		require.NoError(t, err)
		stop := f.consumeWith(func(d *queue.Delivery) {
			e := queue.Ending{Sent: len(d.Job.InvitedUsers), EndedAt: time.Now()}
			if d.Cancelled {
				e.Sent, e.Cancelled = 0, e.Sent
			}
			f.queue.Settle(t.Context(), d, e, func(error) {})
		})
		time.Sleep(time.Minute) // and they are summed up
		stop()
		f.forgetResults() // after a day
		f.start(queue.CampaignOrder{Address: named("waiting")}, players(1, 16))

		forget := func(after time.Duration) {
			t.Helper()
			time.Sleep(after)
			require.NoError(t, f.queue.ForgetCampaigns(t.Context(), kept))
		}
		forget(kept - time.Hour)
		assert.Equal(t, 32, f.status(named("cancelled")).Cancelled, "it stays readable")
		assert.Equal(t, 16, f.status(named("ended")).Sent)
		forget(2 * time.Hour)
		for _, name := range []string{"ended", "cancelled"} {
			_, err := o.Status(t.Context(), named(name))
			assert.ErrorIs(t, err, queue.ErrNoCampaign, name)
		}
		forget(2 * kept)
		assert.Equal(t, queue.CampaignWaiting, f.status(named("waiting")).State, "one with jobs stays, however old")
		assert.Equal(t, 3, f.count("INVITE_CONTROL"), "its order and its terms, and how far results are summed up")
	})
}

func TestANewCampaignOfACancelledOnesNameIsSent(t *testing.T) {
	inFakeTime(t, queue.Options{}, func(t *testing.T, f *fixture) {
		o := organize(t, f.nc, 3)
		f.publish(campaign, job("a"))
		_, err := o.Cancel(t.Context(), campaign)
		require.NoError(t, err)
		book := f.queue.TermsBook()
		require.NoError(t, book.Update(t.Context()))
		require.True(t, book.Cancelled(campaign))
		w := f.consume()
		d := w.next()
		require.True(t, d.Cancelled)
		require.NoError(t, d.Ack())
		w.stop()

		for range 2 { // they are emptied, and removed
			for range 8 {
				time.Sleep(15 * time.Minute)
				require.NoError(t, book.Update(t.Context()))
			}
			require.NoError(t, f.queue.ForgetCampaigns(t.Context(), time.Hour))
			require.NoError(t, book.Update(t.Context()))
			assert.False(t, book.Cancelled(campaign), "a worker that ran all the time knows of it")
		}
		_, err = o.Cancel(t.Context(), campaign)
		require.ErrorIs(t, err, queue.ErrNoCampaign)
	})
}

func TestAWorkerThatDidNotHearThatTermsAreGoneReadsAllAnew(t *testing.T) {
	inFakeTime(t, queue.Options{}, func(t *testing.T, f *fixture) {
		f.publish(campaign, job("a"))
		_, err := organize(t, f.nc, 3).Cancel(t.Context(), campaign)
		require.NoError(t, err)
		book := f.queue.TermsBook()
		require.NoError(t, book.Update(t.Context()))
		s, err := f.js.Stream(t.Context(), queue.CampaignsStream)
		require.NoError(t, err)
		require.NoError(t, s.Purge(t.Context()))
		for range 2 { // emptied, and removed
			time.Sleep(2 * time.Hour)
			require.NoError(t, f.queue.ForgetCampaigns(t.Context(), time.Hour))
		}
		require.True(t, book.Cancelled(campaign))
		require.NoError(t, book.Update(t.Context()))
		assert.False(t, book.Cancelled(campaign))
	})
}
