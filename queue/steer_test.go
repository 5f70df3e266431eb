package queue_test

import (
	"fmt"
	"math"
	"runtime"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/invitedhq/invited/queue"
)

func TestWhatIsWantedOfACampaignIsKept(t *testing.T) {
	inFakeTime(t, queue.Options{}, func(t *testing.T, f *fixture) {
		o := organize(t, f.nc, 3)
		_, err := o.Pause(t.Context(), campaign)
		require.ErrorIs(t, err, queue.ErrNoCampaign)
		f.start(queue.CampaignOrder{Address: campaign}, players(1, 48))
		assert.Equal(t, queue.CampaignWaiting, f.status(campaign).State)

		_, err = o.Pause(t.Context(), campaign)
		require.NoError(t, err)
		s := f.status(campaign)
		assert.Equal(t, queue.CampaignPaused, s.State)
		assert.WithinDuration(t, time.Now(), s.TermsChanged, time.Second)

		at := time.Now().Add(time.Hour)
		_, err = o.SetStart(t.Context(), campaign, at)
		require.NoError(t, err)
		_, err = o.SetRate(t.Context(), campaign, 2.5)
		require.NoError(t, err)
		terms, err := o.Resume(t.Context(), campaign)
		require.NoError(t, err)
		assert.Equal(t, queue.CampaignTerms{StartAt: at.UTC().Round(0), Rate: 2.5}, terms, "each change leaves the others")
		s = f.status(campaign)
		assert.Equal(t, queue.CampaignScheduled, s.State)
		assert.Equal(t, terms, s.Terms)
		time.Sleep(time.Hour)
		assert.Equal(t, queue.CampaignWaiting, f.status(campaign).State)

		for _, rate := range []float64{-1, math.NaN(), math.Inf(1), queue.MinCampaignRate / 2, queue.MaxCampaignRate * 2} {
			_, err = o.SetRate(t.Context(), campaign, rate)
			require.ErrorIs(t, err, queue.ErrRate, "%g", rate)
		}
	})
}

func TestACancelledCampaignStaysSo(t *testing.T) {
	inFakeTime(t, queue.Options{}, func(t *testing.T, f *fixture) {
		o := organize(t, f.nc, 3)
		f.start(queue.CampaignOrder{Address: campaign}, players(1, 48))
		for range 2 { // again does no harm
			terms, err := o.Cancel(t.Context(), campaign)
			require.NoError(t, err)
			require.True(t, terms.Cancelled)
		}
		assert.Equal(t, queue.CampaignCancelling, f.status(campaign).State, "no worker has dropped anything")
		_, err := o.Resume(t.Context(), campaign)
		require.ErrorIs(t, err, queue.ErrCancelled)
		_, err = o.Start(t.Context(), queue.CampaignOrder{Address: campaign}, players(1, 48), nil)
		require.ErrorIs(t, err, queue.ErrCancelled)
	})
}

func TestAnUploadThatIsCancelledStops(t *testing.T) {
	inFakeTime(t, queue.Options{}, func(t *testing.T, f *fixture) {
		o := organize(t, f.nc, 1)
		_, err := o.Start(t.Context(), queue.CampaignOrder{Address: campaign}, players(1, 16*10), func(u queue.Upload) {
			if u.Stored == 16*4 {
				_, err := o.Cancel(t.Context(), campaign)
				require.NoError(t, err)
			}
		})
		require.ErrorIs(t, err, queue.ErrCancelled)
		assert.Equal(t, 4, f.count(queue.CampaignsStream))
	})
}

// What is stored of an upload can end faster than the upload goes on.
func TestACampaignThatWasCancelledDuringItsUploadStaysSo(t *testing.T) {
	inFakeTime(t, queue.Options{}, func(t *testing.T, f *fixture) {
		uploader, o, w := organize(t, f.nc, 1), organize(t, f.nc, 1), f.consume()
		cancelled := false
		uploader.Interpose(func(stream, _ string) {
			s, err := o.Status(t.Context(), campaign)
			if err != nil || stream != queue.ControlStream || s.Uploaded < 16*4 || cancelled {
				return
			}
			// Just before it looks whether it is cancelled, with the fifth batch written down.
			cancelled = true
			for range 4 {
				f.settle(w.next(), queue.Ending{Cancelled: 16})
			}
			f.eventually(queue.CampaignsStream, 0)
			_, err = o.Cancel(t.Context(), campaign)
			require.NoError(t, err)
			s = f.status(campaign)
			assert.Equal(t, queue.CampaignCancelling, s.State, "the fifth batch may be stored yet")
			assert.Equal(t, []int{16 * 4, 16 * 6}, []int{s.Cancelled, s.Left})
		})
		_, err := uploader.Start(t.Context(), queue.CampaignOrder{Address: campaign}, players(1, 16*10), nil)
		require.ErrorIs(t, err, queue.ErrCancelled)
		require.True(t, cancelled)
		time.Sleep(2 * time.Minute)
		s := f.status(campaign)
		assert.Equal(t, queue.CampaignCancelled, s.State, "it can't be stored any more")
		assert.Equal(t, []int{16 * 10, 0}, []int{s.Cancelled, s.Left})
	})
}

func TestAStartThatIsGoneOnWithKeepsItsTerms(t *testing.T) {
	inFakeTime(t, queue.Options{}, func(t *testing.T, f *fixture) {
		o := organize(t, f.nc, 3)
		order := queue.CampaignOrder{Address: campaign, StartAt: time.Now().Add(time.Hour), Rate: 10}
		start := func(o *queue.Organizer, order queue.CampaignOrder) error {
			_, err := o.Start(t.Context(), order, players(1, 48), nil)
			return err
		}
		passed := order
		passed.StartAt = time.Now().Add(-time.Second)
		require.ErrorIs(t, start(o, passed), queue.ErrStartPassed)
		require.NoError(t, start(o, order))
		require.NoError(t, start(o, order), "the same again")
		_, err := o.SetRate(t.Context(), campaign, 5)
		require.NoError(t, err)
		require.ErrorIs(t, start(o, order), queue.ErrOtherTerms, "it would go on at another rate than is asked for")
		order.Rate, order.StartAt = 0, time.Time{}
		require.NoError(t, start(o, order))
		assert.InDelta(t, 5, f.status(campaign).Terms.Rate, 0)
		time.Sleep(2 * time.Hour)
		order.StartAt = time.Now().Add(-time.Minute)
		require.ErrorIs(t, start(o, order), queue.ErrOtherTerms)
	})
}

func TestTermsThatNobodyCanHaveMeantAreToldOf(t *testing.T) {
	inFakeTime(t, queue.Options{}, func(t *testing.T, f *fixture) {
		o := organize(t, f.nc, 3)
		f.start(queue.CampaignOrder{Address: campaign}, players(1, 48))
		for _, body := range []string{`{"pause":true}`, `{"rate":-1}`, "no record", `{"rate":1e99}`} {
			f.raw("invites.control.terms.100.alice.spring", body)
			_, err := o.Status(t.Context(), campaign)
			require.ErrorContains(t, err, "invites.control.terms.100.alice.spring", body)
		}
	})
}

func TestWhatMayHaveBeenSentIsKnownThoughTheCampaignIsPausedMeanwhile(t *testing.T) {
	inFakeTime(t, queue.Options{}, func(t *testing.T, f *fixture) {
		gone := connect(t, f.server)
		gone.open(queue.Options{})
		w := gone.consume()
		f.publish(campaign, job("a"))
		w.next() // and it may have sent it
		w.die()
		o := organize(t, f.nc, 3)
		_, err := o.Pause(t.Context(), campaign)
		require.NoError(t, err)

		heir := f.consume()
		heir.none(20 * time.Second)
		heir.stop() // in order
		last := connect(t, f.server)
		last.open(queue.Options{})
		w = last.consume()
		_, err = o.Resume(t.Context(), campaign)
		require.NoError(t, err)
		assert.True(t, w.next().MaybeSent, "the worker in between never had it, and told all the same")
	})
}

// A server that is restarted knows no consumer any more, and not what was delivered by it.
func TestWhatMayHaveBeenSentIsKnownAfterAPauseThoughAllWasRestarted(t *testing.T) {
	for _, another := range []bool{false, true} {
		t.Run(fmt.Sprintf("resumed under another owner %t", another), func(t *testing.T) {
			inFakeTime(t, queue.Options{}, func(t *testing.T, f *fixture) {
				gone := connect(t, f.server)
				gone.open(queue.Options{})
				w := gone.consume()
				f.publish(campaign, job("a"))
				w.next() // and it may have sent it
				o := organize(t, f.nc, 3)
				_, err := o.Pause(t.Context(), campaign)
				require.NoError(t, err)
				w.die()
				for _, name := range f.consumers() { // as a restart does, for they are kept in memory
					s, err := f.js.Stream(t.Context(), queue.CampaignsStream)
					require.NoError(t, err)
					require.NoError(t, s.DeleteConsumer(t.Context(), name))
				}

				heir := f.consume()
				heir.none(20 * time.Second)
				if another {
					heir.stop() // in order
					last := connect(t, f.server)
					last.open(queue.Options{})
					heir = last.consume()
				}
				_, err = o.Resume(t.Context(), campaign)
				require.NoError(t, err)
				assert.True(t, heir.next().MaybeSent)
			})
		})
	}
}

func TestACampaignStaysPausedThoughItsRecordIsDeletedWithItsStream(t *testing.T) {
	inFakeTime(t, queue.Options{}, func(t *testing.T, f *fixture) {
		w := f.consume()
		f.publish(campaign, job("a"))
		d := w.next()
		o := organize(t, f.nc, 3)
		_, err := o.Pause(t.Context(), campaign)
		require.NoError(t, err)
		time.Sleep(time.Second)
		require.NoError(t, d.Release(0))
		w.none(10 * time.Second)
		require.NoError(t, f.js.DeleteStream(t.Context(), queue.ControlStream))
		w.none(20 * time.Second)
		w.stop()
		w = f.consume()
		w.none(20 * time.Second)
		assert.Equal(t, queue.CampaignPaused, f.status(campaign).State)
		_, err = o.Resume(t.Context(), campaign)
		require.NoError(t, err)
		assert.Equal(t, "a", w.next().ID())
	})
}

func TestThousandPausedCampaignsCostAWorkerNoRequestsAndLittleMemory(t *testing.T) {
	inFakeTime(t, queue.Options{}, func(t *testing.T, f *fixture) {
		const many = 1000
		for i := range many {
			f.raw(fmt.Sprintf("invites.control.terms.100.%d.cup", i), `{"paused":true}`)
			f.publish(queue.Address{TitleID: 100, Sender: strconv.Itoa(i), Campaign: "cup"}, job("a"))
		}
		heap := func() int {
			runtime.GC()
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			return int(m.HeapAlloc)
		}
		before := heap()
		own := connect(t, f.server)
		own.open(queue.Options{})
		w := own.consume()
		w.none(30 * time.Second)
		assert.Less(t, heap()-before, 8<<20+many*12<<10, "bytes")
		asked := own.nc.Stats().OutMsgs
		w.none(time.Minute)
		assert.Less(t, own.nc.Stats().OutMsgs-asked, uint64(60*20), "it asks for its own lease and what is new, and nothing of each")
	})
}

func TestACampaignWaitsWhileWhatIsWantedOfItCantBeRead(t *testing.T) {
	inFakeTime(t, queue.Options{}, func(t *testing.T, f *fixture) {
		f.raw("invites.control.terms.100.alice.spring", `{"pause":true}`)
		f.publish(campaign, job("a"))
		w := f.consume()
		w.none(20 * time.Second)
		other := campaign
		other.Campaign = "other"
		f.publish(other, job("b"))
		assert.Equal(t, "b", w.next().ID())
		o := organize(t, f.nc, 3)
		_, err := o.SetRate(t.Context(), campaign, 100)
		require.NoError(t, err)
		w.none(20 * time.Second) // nobody has said that it is to be sent
		_, err = o.Resume(t.Context(), campaign)
		require.NoError(t, err, "that mends it")
		assert.Equal(t, "a", w.next().ID())
	})
}

func TestALetterOfACancelledCampaignIsNotReplayed(t *testing.T) {
	inFakeTime(t, queue.Options{}, func(t *testing.T, f *fixture) {
		f.publish(campaign, job("a"))
		w := f.consume()
		d := w.next()
		f.settle(d, queue.Ending{Dead: []queue.Dead{{Reason: queue.Rejected, Recipients: d.Job.InvitedUsers}}})
		_, err := organize(t, f.nc, 3).Cancel(t.Context(), campaign)
		require.NoError(t, err)
		replayer, err := queue.NewReplayer(t.Context(), f.nc)
		require.NoError(t, err)
		letters := f.letters(queue.Filter{})
		require.Len(t, letters, 1)
		require.ErrorIs(t, replayer.Replay(t.Context(), letters[0]), queue.ErrReplayDropped)
		assert.Len(t, f.letters(queue.Filter{}), 1, "it stays")
	})
}

func TestAJobInACallWhenItsCampaignIsPausedIsAcknowledged(t *testing.T) {
	inFakeTime(t, queue.Options{}, func(t *testing.T, f *fixture) {
		f.publish(campaign, job("a"))
		d := f.consume().next()
		_, err := organize(t, f.nc, 3).Pause(t.Context(), campaign)
		require.NoError(t, err)
		time.Sleep(time.Second)
		f.settle(d, queue.Ending{Sent: 1})
		f.eventually(queue.CampaignsStream, 0)
	})
}
