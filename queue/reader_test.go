package queue_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/invitedhq/invited/queue"
	"github.com/invitedhq/invited/queue/embedded/embeddedtest"
)

// endAll consumes n jobs and settles each as end says.
func (f *fixture) endAll(n int, end func(*queue.Delivery) queue.Ending) {
	f.Helper()
	w := f.consume()
	for range n {
		d := w.next()
		f.settle(d, end(d))
	}
	w.stop()
}

func ids[T any](items []T, id func(T) string) (all []string) {
	for _, item := range items {
		all = append(all, id(item))
	}
	return all
}

func TestFiltersSelectDeadLettersAndResults(t *testing.T) {
	inFakeTime(t, queue.Options{}, func(t *testing.T, f *fixture) {
		dead := func(r queue.Reason) func(*queue.Delivery) queue.Ending {
			return func(d *queue.Delivery) queue.Ending {
				return queue.Ending{Dead: []queue.Dead{{Reason: r, Recipients: d.Job.InvitedUsers}}}
			}
		}
		other := queue.Address{TitleID: 200, Sender: "bob"}
		f.publish(alice, job("a"))
		f.endAll(1, dead(queue.Rejected))
		time.Sleep(time.Hour)
		since := time.Now()
		f.publish(other, job("b"))
		f.endAll(1, dead(queue.Expired))
		time.Sleep(time.Second)
		f.publish(campaign, job("c"))
		f.endAll(1, dead(queue.Rejected))

		title := uint32(100)
		for _, test := range []struct {
			filter queue.Filter
			want   []string
		}{
			{queue.Filter{}, []string{"a", "b", "c"}},
			{queue.Filter{TitleID: &title}, []string{"a", "c"}},
			{queue.Filter{Reason: queue.Rejected}, []string{"a", "c"}},
			{queue.Filter{TitleID: &title, Reason: queue.Expired}, nil},
			{queue.Filter{Campaign: "spring"}, []string{"c"}},
			{queue.Filter{Since: since}, []string{"b", "c"}},
			{queue.Filter{Since: since.Add(24 * time.Hour)}, nil},
		} {
			assert.Equal(t, test.want, ids(f.letters(test.filter), func(l queue.DeadLetter) string { return l.JobID }), "%+v", test.filter)
			assert.Equal(t, test.want, ids(f.results(test.filter), func(r queue.Result) string { return r.ID }), "%+v", test.filter)
		}
	})
}

func TestReadingEndsWithWhatWasThereAtTheStart(t *testing.T) {
	f := open(t, embeddedtest.Start(t), queue.Options{})
	const n = 1000
	for i := range n {
		f.raw("invites.dead.1.rejected", "{}", "Invite-Job-Id", fmt.Sprint(i))
	}
	read := 0
	for l, err := range f.reader.DeadLetters(t.Context(), queue.Filter{}) {
		require.NoError(t, err)
		require.Equal(t, fmt.Sprint(read), l.JobID)
		read++
		f.raw("invites.dead.1.rejected", "{}")
	}
	require.GreaterOrEqual(t, read, n)
	require.LessOrEqual(t, read, n+256, "it does not run after what is written meanwhile")

	stopped := 0
	for range f.reader.DeadLetters(t.Context(), queue.Filter{}) {
		stopped++
		break
	}
	require.Equal(t, 1, stopped)
	s, err := f.js.Stream(t.Context(), "INVITE_DEAD")
	require.NoError(t, err)
	require.Zero(t, s.CachedInfo().State.Consumers, "a reader leaves nothing behind")
}

func TestReadingWithoutStreamsIsAnError(t *testing.T) {
	f := connect(t, embeddedtest.Start(t))
	for _, err := range f.reader.DeadLetters(t.Context(), queue.Filter{}) {
		require.ErrorContains(t, err, "INVITE_DEAD")
	}
	for _, err := range f.reader.Results(t.Context(), queue.Filter{}) {
		require.ErrorContains(t, err, "INVITE_RESULTS")
	}
	_, err := f.js.Stream(t.Context(), "INVITES")
	require.Error(t, err, "a reader creates no stream")
}

func TestAWatchSeesResultsFromItsStartOn(t *testing.T) {
	inFakeTime(t, queue.Options{}, func(t *testing.T, f *fixture) {
		sent := func(*queue.Delivery) queue.Ending { return queue.Ending{Sent: 1} }
		f.publish(alice, job("before"))
		f.endAll(1, sent)
		one, err := f.reader.WatchResults(t.Context(), alice)
		require.NoError(t, err)
		defer one.Stop()
		two, err := f.reader.WatchResults(t.Context(), alice, campaign)
		require.NoError(t, err)
		defer two.Stop()
		all, err := f.reader.WatchResults(t.Context())
		require.NoError(t, err)
		defer all.Stop()
		f.publish(alice, job("a"))
		f.endAll(1, sent)
		f.publish(queue.Address{TitleID: 3, Sender: "x"}, job("b"))
		f.endAll(1, sent)
		f.publish(campaign, job("c"))
		f.endAll(1, sent)
		for w, want := range map[*queue.Watch][]string{one: {"a"}, two: {"a", "c"}, all: {"a", "b", "c"}} {
			for _, id := range want {
				r, err := w.Next(t.Context())
				require.NoError(t, err)
				require.Equal(t, id, r.ID)
				require.Equal(t, 1, r.Sent)
				require.NotEmpty(t, r.Job)
			}
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			_, err := w.Next(ctx)
			require.ErrorIs(t, err, context.DeadlineExceeded)
			cancel()
		}
		one.Stop()
		_, err = one.Next(t.Context())
		require.ErrorIs(t, err, nats.ErrBadSubscription)
	})
}

func TestStatsCountWhatWaits(t *testing.T) {
	inFakeTime(t, queue.Options{}, func(t *testing.T, f *fixture) {
		stats := func() queue.Stats {
			s, err := f.queue.Stats(t.Context())
			require.NoError(t, err)
			return s
		}
		require.Empty(t, stats().Waiting)
		require.Empty(t, stats().Oldest)
		began := time.Now()
		for i := range 5 {
			f.publish(queue.Address{TitleID: 100, Sender: fmt.Sprint("s", i)}, job(""))
		}
		f.publish(queue.Address{TitleID: 200, Sender: "x"}, job(""))
		f.publish(campaign, job(""))
		f.raw("invites.jobs.nonsense.x", "")
		time.Sleep(time.Minute)
		s := stats()
		require.ElementsMatch(t, []queue.Waiting{
			{TitleID: 100, Lane: queue.Interactive, Jobs: 5}, {TitleID: 200, Lane: queue.Interactive, Jobs: 1},
			{TitleID: 0, Lane: queue.Interactive, Jobs: 1}, {TitleID: 100, Lane: queue.Bulk, Jobs: 1},
		}, s.Waiting)
		require.WithinDuration(t, began, s.Oldest[queue.Interactive], time.Second)
		require.WithinDuration(t, began, s.Oldest[queue.Bulk], time.Second)

		f.endAll(8, func(*queue.Delivery) queue.Ending { return queue.Ending{} })
		f.eventually("INVITES", 0)
		f.eventually("INVITE_CAMPAIGNS", 0)
		require.Empty(t, stats().Waiting, "jobs that ended are not counted")
		require.Empty(t, stats().Oldest)
		require.Equal(t, f.queue.Partitions(), stats().Partitions)
	})
}

// Who watches the queue has to tell what waits because somebody wants it to from what should be on its way.
func TestStatsTellWhatIsHeldBackOnPurpose(t *testing.T) {
	inFakeTime(t, queue.Options{}, func(t *testing.T, f *fixture) {
		o := organize(t, f.nc, 3)
		held := func() (jobs, held uint64) {
			s, err := f.queue.Stats(t.Context())
			require.NoError(t, err)
			require.Len(t, s.Waiting, 1)
			return s.Waiting[0].Jobs, s.Waiting[0].Held
		}
		requireHeld := func(want uint64, why string) {
			jobs, n := held()
			require.EqualValues(t, 5, jobs)
			require.Equal(t, want, n, why)
		}
		later := queue.Address{TitleID: campaign.TitleID, Sender: campaign.Sender, Campaign: "later"}
		f.start(queue.CampaignOrder{Address: campaign}, players(1, 48))
		f.start(queue.CampaignOrder{Address: later, StartAt: time.Now().Add(time.Hour)}, players(1, 32))
		requireHeld(2, "the start is still to come")
		_, err := o.Pause(t.Context(), campaign)
		require.NoError(t, err)
		requireHeld(5, "paused, and nothing else in the queue has changed")
		time.Sleep(time.Hour)
		requireHeld(3, "the start has come")
		_, err = o.Resume(t.Context(), campaign)
		require.NoError(t, err)
		requireHeld(0, "resumed")
		_, err = o.Pause(t.Context(), campaign)
		require.NoError(t, err)
		_, err = o.Cancel(t.Context(), campaign)
		require.NoError(t, err)
		requireHeld(0, "a cancelled campaign's jobs are to be dropped now, paused or not")
	})
}

func TestStatsAreThereThoughWhatIsWantedOfCampaignsIsNot(t *testing.T) {
	inFakeTime(t, queue.Options{}, func(t *testing.T, f *fixture) {
		f.publish(alice, job("a player waits"))
		f.publish(campaign, job("b"))
		require.NoError(t, f.js.DeleteStream(t.Context(), queue.ControlStream))
		s, err := f.queue.Stats(t.Context())
		require.NoError(t, err)
		waiting := make(map[queue.Lane]uint64)
		for _, w := range s.Waiting {
			waiting[w.Lane] += w.Jobs
		}
		assert.Equal(t, map[queue.Lane]uint64{queue.Interactive: 1, queue.Bulk: 1}, waiting)
		assert.Contains(t, s.Oldest, queue.Interactive)
	})
}
