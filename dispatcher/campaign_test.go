package dispatcher_test

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/invitedhq/invited/dispatcher"
	"github.com/invitedhq/invited/queue"
	"github.com/invitedhq/invited/xbl/xblsim"
)

func (s *system) organize() *queue.Organizer {
	s.t.Helper()
	o, err := queue.NewOrganizer(s.t.Context(), s.conn)
	require.NoError(s.t, err)
	return o
}

// start uploads a campaign.
func (s *system) start(o *queue.Organizer, c queue.CampaignOrder, players []queue.XUID) {
	s.t.Helper()
	var all queue.Recipients
	for _, x := range players {
		all.Add(x)
	}
	_, err := o.Start(s.t.Context(), c, &all, nil)
	require.NoError(s.t, err)
}

func (s *system) standing(o *queue.Organizer, a queue.Address) queue.CampaignStatus {
	s.t.Helper()
	status, err := o.Status(s.t.Context(), a)
	require.NoError(s.t, err)
	return status
}

// slowly lets a call in each 100 ms through.
var slowly = xblsim.Options{Quota: []xblsim.Window{{Max: 1, Per: 100 * time.Millisecond}}, Latency: 20 * time.Millisecond}

func TestAPausedCampaignMakesNoCallWhateverIsRestarted(t *testing.T) {
	inFakeTime(t, slowly, func(t *testing.T, s *system) {
		s.cfg.Plan.Limits.Windows = append(s.cfg.Plan.Limits.Windows, planWindow(slowly.Quota[0]))
		cup, other := campaign("cup", "finals"), campaign("cup", "other")
		o := s.organize()
		w := s.join()
		s.start(o, queue.CampaignOrder{Address: cup}, someone(16*400))
		s.start(o, queue.CampaignOrder{Address: other}, someone(16*1000))
		pass(10 * time.Second)
		_, err := o.Pause(t.Context(), cup)
		require.NoError(t, err)
		pass(time.Second)
		paused := s.standing(o, cup)
		assert.Equal(t, queue.CampaignPaused, paused.State)
		assert.Positive(t, paused.Sent)
		quiet := func(what string) {
			t.Helper()
			pass(10 * time.Second)
			require.Equal(t, paused.Sent, s.standing(o, cup).Sent, "%s: nothing of it is sent", what)
		}
		quiet("paused")
		require.NoError(t, w.stop())
		w = s.join()
		quiet("another worker")
		w.crash()
		w = s.join()
		quiet("after a crash")
		require.NoError(t, w.stop())
		synctest.Wait()
		s.server.Crash(func() {})
		s.server.Restart()
		pass(5 * time.Second)
		w = s.join()
		quiet("after a restart of the server")
		before := s.standing(o, other).Sent
		pass(10 * time.Second)
		assert.GreaterOrEqual(t, s.standing(o, other).Sent, before+16*80, "the other campaign has the quota to itself")

		_, err = o.Resume(t.Context(), cup)
		require.NoError(t, err)
		pass(time.Second)
		assert.Greater(t, s.standing(o, cup).Sent, paused.Sent, "it goes on within a second")
		pass(150 * time.Second)
		for _, a := range []queue.Address{cup, other} {
			end := s.standing(o, a)
			assert.Equal(t, queue.CampaignEnded, end.State)
			assert.Equal(t, end.Recipients, end.Sent)
		}
		ledger := s.sim.Ledger()
		assert.Equal(t, 16*1400, ledger.Unique)
		assert.LessOrEqual(t, ledger.Duplicates, 16*4, "only what was in flight at the crash was sent twice")
		require.NoError(t, w.stop())
	})
}

func TestACampaignsRateIsItsLimitNowAndLater(t *testing.T) {
	inFakeTime(t, xblsim.Options{Latency: 20 * time.Millisecond}, func(t *testing.T, s *system) {
		o, cup := s.organize(), campaign("cup", "finals")
		w := s.join()
		s.start(o, queue.CampaignOrder{Address: cup, Rate: 32}, someone(16*600))
		pass(20 * time.Second)
		first := s.standing(o, cup).Sent
		assert.InDelta(t, 32*20, first, 64)
		_, err := o.SetRate(t.Context(), cup, 160)
		require.NoError(t, err)
		pass(20 * time.Second)
		second := s.standing(o, cup).Sent
		assert.InDelta(t, 160*20, second-first, 160)
		_, err = o.SetRate(t.Context(), cup, 0)
		require.NoError(t, err)
		pass(10 * time.Second)
		assert.Equal(t, 16*600, s.standing(o, cup).Sent, "no limit is left")
		assert.Zero(t, s.sim.Ledger().Duplicates)
		require.NoError(t, w.stop())
	})
}

func TestACampaignBeginsAtItsTime(t *testing.T) {
	inFakeTime(t, xblsim.Options{Latency: 20 * time.Millisecond}, func(t *testing.T, s *system) {
		o, cup := s.organize(), campaign("cup", "finals")
		w := s.join()
		at := time.Now().Add(5 * time.Minute)
		s.start(o, queue.CampaignOrder{Address: cup, StartAt: at}, someone(160))
		pass(time.Minute)
		require.NoError(t, w.stop())
		w = s.join()
		pass(time.Until(at) - time.Second)
		assert.Equal(t, queue.CampaignScheduled, s.standing(o, cup).State)
		require.Zero(t, s.sim.Ledger().Calls)
		pass(2 * time.Second)
		assert.Equal(t, 160, s.standing(o, cup).Sent, "it begins within a second")
		require.NoError(t, w.stop())
	})
}

func TestACancelledCampaignDropsWhatIsUnsentAndSaysHowMany(t *testing.T) {
	options := slowly
	all := someone(16 * 1000)
	options.Faults.RefusedXUIDs = []uint64{uint64(all[5])}
	inFakeTime(t, options, func(t *testing.T, s *system) {
		s.cfg.Plan.Limits.Windows = append(s.cfg.Plan.Limits.Windows, planWindow(slowly.Quota[0]))
		o, cup := s.organize(), campaign("cup", "finals")
		w := s.join()
		s.start(o, queue.CampaignOrder{Address: cup}, all)
		pass(10 * time.Second)
		_, err := o.Cancel(t.Context(), cup)
		require.NoError(t, err)
		pass(time.Second)
		calls := s.sim.Ledger().Calls
		pass(30 * time.Second)
		assert.Equal(t, calls, s.sim.Ledger().Calls, "no call is made any more")
		end := s.standing(o, cup)
		assert.Equal(t, queue.CampaignCancelled, end.State)
		assert.Equal(t, s.sim.Ledger().Unique, end.Sent)
		assert.Equal(t, map[queue.Reason]int{queue.Rejected: 1}, end.Dead)
		assert.Equal(t, len(all), end.Sent+end.DeadRecipients()+end.Cancelled)
		assert.Zero(t, end.Left)
		assert.Len(t, s.deadLetters(), 1, "what is dropped makes no dead letter")
		assert.Len(t, s.ended(), 1000, "each job has a result all the same")
		s.requireQueuesEmpty()

		s.publish(cup, 16) // by somebody who does not know
		pass(2 * time.Second)
		assert.Equal(t, calls, s.sim.Ledger().Calls)
		s.requireQueuesEmpty()
		require.NoError(t, w.stop())
	})
}

func TestACampaignThatWasPublishedByHandIsSteeredToo(t *testing.T) {
	inFakeTime(t, slowly, func(t *testing.T, s *system) {
		s.cfg.Plan.Limits.Windows = append(s.cfg.Plan.Limits.Windows, planWindow(slowly.Quota[0]))
		o, cup := s.organize(), campaign("cup", "raw")
		w := s.join()
		s.publish(cup, 2000)
		pass(3 * time.Second)
		_, err := o.Pause(t.Context(), cup)
		require.NoError(t, err)
		pass(time.Second)
		sent := s.sim.Ledger().Unique
		assert.InDelta(t, 16*35, sent, 16*10, "in the middle of its job")
		pass(time.Minute)
		require.Equal(t, sent, s.sim.Ledger().Unique)
		_, err = o.Resume(t.Context(), cup)
		require.NoError(t, err)
		pass(3 * time.Second)
		require.Greater(t, s.sim.Ledger().Unique, sent)
		_, err = o.Cancel(t.Context(), cup)
		require.NoError(t, err)
		pass(3 * time.Second)
		ledger := s.sim.Ledger()
		results := s.ended()
		require.Len(t, results, 1)
		assert.Equal(t, ledger.Unique, results[0].Sent, "what was sent of it is told")
		assert.Equal(t, 2000, results[0].Sent+results[0].Cancelled)
		assert.Zero(t, ledger.Duplicates)
		assert.Equal(t, results[0].Cancelled, s.standing(o, cup).Cancelled)
		s.requireQueuesEmpty()
		require.NoError(t, w.stop())
	})
}

// mutedStore stores no progress once it is muted.
type mutedStore struct {
	dispatcher.Store
	muted *atomic.Bool
}

func (s mutedStore) SaveProgress(ctx context.Context, d *queue.Delivery, p queue.Progress, done func(error)) {
	if !s.muted.Load() {
		s.Store.SaveProgress(ctx, d, p, done)
		return
	}
	go func() {
		<-ctx.Done()
		done(ctx.Err())
	}()
}

func TestWhatAStopCouldNotStoreOfAJobMayHaveBeenSent(t *testing.T) {
	for _, paused := range []bool{false, true} {
		t.Run(fmt.Sprintf("paused %t", paused), func(t *testing.T) {
			inFakeTime(t, slowly, func(t *testing.T, s *system) {
				s.cfg.Plan.Limits.Windows = append(s.cfg.Plan.Limits.Windows, planWindow(slowly.Quota[0]))
				s.cfg.Grace = time.Second
				var muted atomic.Bool
				s.wrap = func(inner dispatcher.Store) dispatcher.Store { return mutedStore{inner, &muted} }
				o, cup := s.organize(), campaign("cup", "raw")
				w := s.join()
				s.publish(cup, 800)
				pass(2 * time.Second)
				muted.Store(true)
				pass(time.Second)
				if paused {
					_, err := o.Pause(t.Context(), cup)
					require.NoError(t, err)
					pass(time.Second)
				}
				require.ErrorIs(t, w.stop(), dispatcher.ErrGraceOver)
				s.wrap = nil
				w = s.join()
				_, err := o.Resume(t.Context(), cup)
				require.NoError(t, err)
				pass(time.Minute)
				results := s.ended()
				require.Len(t, results, 1)
				assert.Equal(t, 800, results[0].Sent)
				assert.Positive(t, s.sim.Ledger().Duplicates)
				assert.True(t, results[0].MaybeDuplicate)
				require.NoError(t, w.stop())
			})
		})
	}
}
