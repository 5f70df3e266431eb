package dispatcher_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/invitedhq/invited/dispatcher"
	"github.com/invitedhq/invited/dispatcher/plan"
	"github.com/invitedhq/invited/queue"
	"github.com/invitedhq/invited/queue/embedded/embeddedtest"
	"github.com/invitedhq/invited/xbl/xblsim"
)

func TestWhatAWorkerLearntWithoutALeaseIsHandedOver(t *testing.T) {
	inFakeTime(t, xblsim.Options{Latency: 3500 * time.Millisecond}, func(t *testing.T, s *system) {
		s.cfg.Plan.Limits.Windows = []plan.Window{{Max: 1, Per: time.Minute}}
		wire := &embeddedtest.Wire{Server: s.server}
		first := s.joinOver(wire)
		pass(time.Second)
		s.publish(campaign("cup", "finals"), 32)
		pass(time.Second)
		wire.Cut()
		pass(5 * time.Second) // half of it is sent, and that can't be stored
		wire.Mend()
		pass(5 * time.Second) // the job comes back, and waits for the quota
		require.NoError(t, first.stop())
		s.work()
		pass(3 * time.Minute)
		assert.Equal(t, 32, s.sim.Ledger().Unique)
		assert.Zero(t, s.sim.Ledger().Duplicates)
		s.requireQueuesEmpty()
	})
}

// A job of a paused campaign does not come back.
func TestWhatAWorkerLearntWithoutALeaseIsHandedOverThoughTheCampaignIsPaused(t *testing.T) {
	inFakeTime(t, xblsim.Options{Latency: 3500 * time.Millisecond}, func(t *testing.T, s *system) {
		s.cfg.Plan.Limits.Windows = []plan.Window{{Max: 1, Per: time.Minute}}
		o, cup := s.organize(), campaign("cup", "finals")
		wire := &embeddedtest.Wire{Server: s.server}
		first := s.joinOver(wire)
		pass(time.Second)
		s.publish(cup, 32)
		pass(time.Second)
		wire.Cut()
		_, err := o.Pause(t.Context(), cup)
		require.NoError(t, err)
		pass(5 * time.Second) // half of it is sent, and that can't be stored
		wire.Mend()
		pass(5 * time.Second)
		require.NoError(t, first.stop())
		s.work()
		_, err = o.Resume(t.Context(), cup)
		require.NoError(t, err)
		pass(5 * time.Minute)
		results := s.ended()
		require.Len(t, results, 1)
		assert.Equal(t, 32, results[0].Sent)
		assert.Zero(t, s.sim.Ledger().Duplicates)
	})
}

// Nothing comes back of a partition whose consumer an operator has paused.
func TestWhatAWorkerLearntWithoutALeaseIsHandedOverThoughTheJobHasNotComeBack(t *testing.T) {
	for name, leave := range map[string]func(t *testing.T, first *worker){
		"it stops":                          func(t *testing.T, first *worker) { pass(5 * time.Second); require.NoError(t, first.stop()) },
		"it hands over":                     func(_ *testing.T, first *worker) { pass(5 * time.Second); first.handOver() },
		"it hands over, and is calling yet": func(_ *testing.T, first *worker) { first.handOver() },
	} {
		t.Run(name, func(t *testing.T) {
			o := xblsim.Options{Latency: 9500 * time.Millisecond}
			inFakeTimeWith(t, o, queue.Options{Partitions: 1}, func(t *testing.T, s *system) {
				s.cfg.Plan.Limits.Windows = []plan.Window{{Max: 1, Per: 20 * time.Second}}
				wire := &embeddedtest.Wire{Server: s.server}
				first := s.joinOver(wire)
				pass(time.Second)
				s.publish(to("ada"), 32)
				pass(time.Second)
				wire.Cut()
				s.pausePartition(20 * time.Second)
				pass(5 * time.Second)
				wire.Mend()
				pass(2 * time.Second) // the partition is back; half of the job is sent in two seconds more
				leave(t, first)
				pass(5 * time.Second)
				require.Empty(t, s.ended())
				s.work()
				pass(time.Minute)
				results := s.ended()
				require.Len(t, results, 1)
				assert.Equal(t, 32, results[0].Sent)
				assert.Zero(t, s.sim.Ledger().Duplicates, "the next owner knows what was sent")
				s.requireQueuesEmpty()
			})
		})
	}
}

func TestAnEndingThatCouldNotBeStoredIsHandedOverThoughTheJobHasNotComeBack(t *testing.T) {
	o := xblsim.Options{Latency: 100 * time.Millisecond}
	inFakeTimeWith(t, o, queue.Options{Partitions: 1}, func(t *testing.T, s *system) {
		wire := &embeddedtest.Wire{Server: s.server}
		first := s.joinOver(wire)
		pass(time.Second)
		s.publish(to("ada"), 3)
		pass(50 * time.Millisecond)
		wire.Cut()
		s.pausePartition(time.Minute)
		s.limitResults(1)
		pass(5 * time.Second) // the call is answered at once; then the lease ends
		wire.Mend()
		pass(5 * time.Second)
		require.ErrorIs(t, first.stop(), dispatcher.ErrGraceOver)
		s.limitResults(-1)
		s.work()
		pass(2 * time.Minute)
		results := s.storedResults()
		require.Len(t, results, 1)
		assert.Equal(t, 3, results[0].Sent)
		assert.Zero(t, s.sim.Ledger().Duplicates, "the next owner only stores how it ended")
		s.requireQueuesEmpty()
	})
}

// pausePartition is what an operator does to the first partition's consumer.
func (s *system) pausePartition(d time.Duration) {
	s.t.Helper()
	until, err := time.Now().Add(d).MarshalText()
	require.NoError(s.t, err)
	s.ask("$JS.API.CONSUMER.PAUSE."+queue.JobsStream+".partition-0", fmt.Appendf(nil, `{"pause_until":%q}`, until), &struct{}{})
}
