package dispatcher_test

import (
	"context"
	"encoding/json"
	"sync"
	"sync/atomic"
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

// cutTenure can be made to have no lease, as when NATS does not answer.
type cutTenure struct {
	dispatcher.Tenure
	cut atomic.Bool
}

func (s *cutTenure) Lease() time.Time {
	if s.cut.Load() {
		return time.Time{}
	}
	return s.Tenure.Lease()
}

func TestAWorkerWithoutALeaseMakesNoCall(t *testing.T) {
	inFakeTime(t, xblsim.Options{}, func(t *testing.T, s *system) {
		s.cfg.Plan.Limits.Windows = []plan.Window{{Max: 1, Per: time.Second}}
		var tenure *cutTenure
		s.tenure = func(inner dispatcher.Tenure) dispatcher.Tenure {
			tenure = &cutTenure{Tenure: inner}
			return tenure
		}
		s.work()
		for range 60 {
			s.publish(campaign("cup", "finals"), 16)
		}
		pass(10 * time.Second)
		tenure.cut.Store(true)
		pass(time.Second)
		before := s.sim.Ledger().Calls
		require.Less(t, before, 20)
		pass(2 * time.Minute)
		assert.Equal(t, before, s.sim.Ledger().Calls)
		tenure.cut.Store(false)
		pass(2 * time.Minute)
		assert.Equal(t, xblsim.Ledger{Calls: 60, Recipients: 960, Unique: 960}, s.sim.Ledger())
		s.requireQueuesEmpty()
	})
}

func TestAWorkerWithoutALeaseSaysOfNobodyThatHeIsDead(t *testing.T) {
	inFakeTime(t, xblsim.Options{}, func(t *testing.T, s *system) {
		tenure := &cutTenure{}
		s.tenure = func(inner dispatcher.Tenure) dispatcher.Tenure {
			tenure.Tenure = inner
			return tenure
		}
		s.work()
		pass(time.Second)
		tenure.cut.Store(true)
		s.publish(to("ada"), 3, func(j *queue.Job) { j.ExpiresAt = time.Now().Add(5 * time.Second) })
		pass(20 * time.Second)
		assert.Empty(t, s.deadLetters(), "another worker may have sent it in time")
		tenure.cut.Store(false)
		pass(time.Minute)
		require.Len(t, s.deadLetters(), 1)
		assert.Equal(t, queue.Expired, s.deadLetters()[0].Reason)
		require.Len(t, s.ended(), 1)
		assert.Equal(t, 3, s.ended()[0].Dead)
		s.requireQueuesEmpty()
	})
}

// stuckStore takes nothing, as a store does when NATS does not answer.
type stuckStore struct{ dispatcher.Store }

func (stuckStore) Settle(ctx context.Context, _ *queue.Delivery, _ queue.Ending, done func(error)) {
	<-ctx.Done()
	go done(ctx.Err())
}

func TestAStoreThatTakesNothingDoesNotStopTheLoop(t *testing.T) {
	inFakeTime(t, xblsim.Options{}, func(t *testing.T, s *system) {
		s.cfg.Plan.MaxInFlight = 20
		s.wrap = func(inner dispatcher.Store) dispatcher.Store { return stuckStore{inner} }
		stop := s.work()
		for range 50 {
			s.publish(to("ada"), 16)
		}
		pass(10 * time.Second)
		assert.Equal(t, 20, s.sim.Ledger().Calls, "no more is sent unrecorded than calls may be in flight: a crash would send it twice")
		begun := time.Now()
		require.ErrorIs(t, stop(), dispatcher.ErrGraceOver)
		assert.Less(t, time.Since(begun), s.cfg.Grace+5*time.Second, "and a stop ends after its grace")
	})
}

func TestWhatAStopCouldNotStoreIsNotSentAgain(t *testing.T) {
	inFakeTime(t, xblsim.Options{}, func(t *testing.T, s *system) {
		s.cfg.Grace = time.Second
		s.wrap = func(inner dispatcher.Store) dispatcher.Store { return stuckStore{inner} }
		stop := s.work()
		pass(time.Second)
		s.publish(to("ada"), 4)
		pass(time.Second)
		require.ErrorIs(t, stop(), dispatcher.ErrGraceOver)
		require.Equal(t, 4, s.sim.Ledger().Unique)
		s.wrap = nil
		s.work()
		pass(time.Minute)
		require.Len(t, s.ended(), 1)
		assert.Equal(t, 4, s.ended()[0].Sent)
		assert.Zero(t, s.sim.Ledger().Duplicates, "the next owner only stores how it ended")
		s.requireQueuesEmpty()
	})
}

func TestAnEndingWithoutALeaseSaysThatItMayBeOneOfTwo(t *testing.T) {
	inFakeTime(t, xblsim.Options{Latency: 2 * time.Second}, func(t *testing.T, s *system) {
		tenure := &cutTenure{}
		s.tenure = func(inner dispatcher.Tenure) dispatcher.Tenure {
			tenure.Tenure = inner
			return tenure
		}
		s.work()
		pass(time.Second)
		s.publish(to("ada"), 3)
		pass(time.Second)
		tenure.cut.Store(true)
		pass(5 * time.Second)
		require.Len(t, s.ended(), 1)
		assert.True(t, s.ended()[0].MaybeDuplicate, "another worker may have the job by now")
	})
}

func TestAJobThatWasLostTwiceIsTheNextOwners(t *testing.T) {
	inFakeTime(t, xblsim.Options{}, func(t *testing.T, s *system) {
		wire := &embeddedtest.Wire{Server: s.server}
		s.joinOver(wire)
		pass(time.Second)
		users := someone(1)
		s.sim.SetFaults(xblsim.Faults{Slow: 1, SlowBy: 9900 * time.Millisecond, RefusedXUIDs: []uint64{uint64(users[0])}})
		s.publish(to("ada"), 1, func(j *queue.Job) { j.InvitedUsers = users }) // refused, nearly ten seconds from now
		pass(100 * time.Millisecond)
		s.sim.SetFaults(xblsim.Faults{})
		wire.Cut()
		pass(2600 * time.Millisecond)
		wire.Mend() // the partition comes back, and with it the job
		pass(2 * time.Second)
		wire.Cut()
		next := s.join()
		pass(4 * time.Second) // another worker sends it
		require.Len(t, s.ended(), 1)
		wire.Mend()
		pass(100 * time.Millisecond)
		require.NoError(t, next.stop()) // and the partition is back again, when the answer comes
		pass(time.Minute)
		assert.Empty(t, s.deadLetters(), "what it has of it is not valid any more")
		require.Len(t, s.ended(), 1)
		assert.Equal(t, 1, s.ended()[0].Sent)
		s.requireQueuesEmpty()
	})
}

// A call of its first owner is still under way when the job has come back from the second, which sent more of it; and then the
// first one stops.
func TestWhatAnotherOwnerSentIsNotForgottenWithTheAnswerToAnOldCall(t *testing.T) {
	inFakeTime(t, xblsim.Options{}, func(t *testing.T, s *system) {
		s.cfg.Plan.Limits.MaxInFlight = 1
		s.cfg.Plan.Limits.Windows = []plan.Window{{Max: 4, Per: time.Minute}} // what was in hand counts as a call more
		wire := &embeddedtest.Wire{Server: s.server}
		first := s.joinOver(wire)
		pass(time.Second)
		s.sim.SetFaults(xblsim.Faults{Slow: 1, SlowBy: 9900 * time.Millisecond})
		s.publish(to("ada"), 64)
		pass(100 * time.Millisecond)
		s.sim.SetFaults(xblsim.Faults{})
		wire.Cut()
		second := s.join()
		pass(5 * time.Second)
		require.Equal(t, 3, s.sim.Ledger().Calls, "it sends two calls, and its quota is used")
		wire.Mend()
		pass(2 * time.Second)
		require.NoError(t, second.stop())
		pass(1500 * time.Millisecond) // the job is back, and the first call still under way
		require.NoError(t, first.stop())
		s.join()
		pass(3 * time.Minute)
		require.Len(t, s.ended(), 1)
		assert.Equal(t, 64, s.ended()[0].Sent)
		assert.True(t, s.ended()[0].MaybeDuplicate)
		assert.Equal(t, 16, s.sim.Ledger().Duplicates, "only those of the call whose outcome the second owner did not know")
	})
}

// The answers to all of the job's first calls come when it is back, and given away again.
func TestWhatAnotherOwnerSentIsNotDeadByTheAnswerToAnOldCall(t *testing.T) {
	inFakeTime(t, xblsim.Options{}, func(t *testing.T, s *system) {
		s.cfg.Plan.Limits.MaxInFlight = 2
		s.cfg.Plan.Limits.Windows = []plan.Window{{Max: 4, Per: time.Minute}} // what was in hand counts as a call more
		wire := &embeddedtest.Wire{Server: s.server}
		first := s.joinOver(wire)
		pass(time.Second)
		users := someone(32)
		s.sim.SetFaults(xblsim.Faults{Slow: 1, SlowBy: 9900 * time.Millisecond, ForbiddenXUIDs: []uint64{uint64(users[0])}})
		s.publish(to("ada"), 32, func(j *queue.Job) { j.InvitedUsers = users })
		pass(100 * time.Millisecond)
		s.sim.SetFaults(xblsim.Faults{})
		wire.Cut()
		second := s.join()
		pass(5 * time.Second)
		require.Equal(t, 3, s.sim.Ledger().Calls, "it sends the half that is refused to the first, and its quota is used")
		wire.Mend()
		pass(2 * time.Second)
		require.NoError(t, second.stop())
		pass(1500 * time.Millisecond) // the job is back, and the first calls still under way
		require.NoError(t, first.stop())
		s.join()
		pass(2 * time.Minute)
		require.Len(t, s.ended(), 1)
		assert.Equal(t, 32, s.ended()[0].Sent)
		assert.True(t, s.ended()[0].MaybeDuplicate)
		assert.Empty(t, s.deadLetters(), "a replay would send it again")
	})
}

func TestAnAnswerThatComesAfterTheLeaseHasEndedCounts(t *testing.T) {
	inFakeTime(t, xblsim.Options{Latency: 9500 * time.Millisecond}, func(t *testing.T, s *system) {
		s.cfg.Plan.Limits.MaxInFlight = 1
		wire := &embeddedtest.Wire{Server: s.server}
		s.joinOver(wire)
		pass(time.Second)
		s.publish(to("ada"), 48)
		pass(500 * time.Millisecond)
		wire.Cut()
		pass(9 * time.Second) // the lease ends, and the call is answered
		wire.Mend()
		pass(2 * time.Minute)
		require.Len(t, s.ended(), 1)
		assert.Equal(t, 48, s.ended()[0].Sent)
		assert.Zero(t, s.sim.Ledger().Duplicates, "what was sent is known, though its partition was lost meanwhile")
		s.requireQueuesEmpty()
	})
}

// slowKeys passes the states of keys on when its gate is open, and remembers them.
type slowKeys struct {
	dispatcher.Store
	gate embeddedtest.Gate

	mu     sync.Mutex
	passed []queue.KeyState
}

func (s *slowKeys) SaveKey(ctx context.Context, k queue.KeyState, done func(error)) {
	s.gate.Pass(ctx.Done())
	s.mu.Lock()
	s.passed = append(s.passed, k)
	s.mu.Unlock()
	s.Store.SaveKey(ctx, k, done)
}

func (s *slowKeys) of(sender string) (all []queue.KeyState) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, k := range s.passed {
		if k.Sender == sender {
			all = append(all, k)
		}
	}
	return all
}

func TestWhatWasKnownOfAKeyBeforeItsPartitionWasLostIsNotStoredWhenItHasComeBack(t *testing.T) {
	inFakeTime(t, xblsim.Options{}, func(t *testing.T, s *system) {
		s.cfg.Plan.Limits.Windows = []plan.Window{{Max: 5, Per: time.Minute}}
		slow := &slowKeys{}
		s.wrap = func(inner dispatcher.Store) dispatcher.Store { slow.Store = inner; return slow }
		wire := &embeddedtest.Wire{Server: s.server}
		s.joinOver(wire)
		pass(time.Second)
		slow.gate.Shut()
		s.publish(to("ada"), 1)
		pass(100 * time.Millisecond)
		s.publish(to("bob"), 1) // what is to be stored of it waits behind the other
		pass(100 * time.Millisecond)
		wire.Cut()
		pass(5 * time.Second) // the lease ends
		wire.Mend()
		pass(2 * time.Second)
		back := time.Now()
		slow.gate.Open()
		pass(10 * time.Millisecond)
		for _, k := range slow.of("bob") {
			assert.Falsef(t, k.Until.Before(back.Add(time.Minute)), "%+v is of before its partition was lost: another may have stored more", k)
		}
		pass(2 * time.Minute)
		s.requireQueuesEmpty()
	})
}

func TestAnEndingThatIsStoredAfterTheLeaseIsCountedOnce(t *testing.T) {
	for name, full := range map[string]bool{"when the job has not come back yet": false, "when the job has come back": true} {
		t.Run(name, func(t *testing.T) {
			inFakeTime(t, xblsim.Options{Latency: 100 * time.Millisecond}, func(t *testing.T, s *system) {
				told := &audience{}
				s.observer = told
				wire := &embeddedtest.Wire{Server: s.server}
				first := s.joinOver(wire)
				pass(time.Second)
				s.publish(to("ada"), 3)
				pass(50 * time.Millisecond)
				wire.Cut()
				if full {
					s.limitResults(1)
				}
				pass(5 * time.Second) // the call is answered at once; then the lease ends
				wire.Mend()
				if full {
					pass(10 * time.Second)
					s.limitResults(-1)
				}
				pass(time.Minute)
				require.NoError(t, first.stop())
				results := s.storedResults()
				require.Len(t, results, 1)
				assert.False(t, results[0].MaybeDuplicate, "nobody else had it")
				require.Len(t, told.jobs, 1, "by the metrics")
				assert.Equal(t, 3, told.jobs[0].Sent)
				assert.Zero(t, s.sim.Ledger().Duplicates)
				s.requireQueuesEmpty()
			})
		})
	}
}

// limitResults has the stream of results refuse what is more; -1: no such limit.
func (s *system) limitResults(bytes int) {
	s.t.Helper()
	var info struct{ Config map[string]any }
	s.ask("$JS.API.STREAM.INFO."+queue.ResultsStream, nil, &info)
	info.Config["max_bytes"], info.Config["discard"] = bytes, "new"
	update, err := json.Marshal(info.Config)
	require.NoError(s.t, err)
	s.ask("$JS.API.STREAM.UPDATE."+queue.ResultsStream, update, &struct{}{})
}

// Its next owner has sent some of the job again when the first one's result arrives, and gives it back to the first.
func TestAnEndingThatIsStoredAfterTheLeaseLeavesTheJobToWhoeverSentItAgain(t *testing.T) {
	inFakeTime(t, xblsim.Options{Latency: 100 * time.Millisecond}, func(t *testing.T, s *system) {
		s.cfg.Plan.Limits.MaxInFlight = 1
		wire := &embeddedtest.Wire{Server: s.server}
		s.joinOver(wire)
		pass(time.Second)
		s.publish(to("ada"), 48)
		pass(50 * time.Millisecond)
		wire.Cut() // three calls are made and answered before the lease ends
		second := s.join()
		for s.sim.Ledger().Duplicates == 0 {
			pass(10 * time.Millisecond)
		}
		s.sim.SetFaults(xblsim.Faults{Outage: true}) // which lets it send one call of three
		pass(time.Second)
		again := s.sim.Ledger().Duplicates
		require.Equal(t, 16, again)
		require.Empty(t, s.storedResults())
		wire.Mend()
		pass(10 * time.Millisecond)
		require.NotEmpty(t, s.ended())
		require.False(t, s.ended()[0].MaybeDuplicate, "the first one's arrives")
		require.NoError(t, second.stop())
		s.sim.SetFaults(xblsim.Faults{})
		pass(3 * time.Minute)
		results := s.storedResults()
		require.Len(t, results, 1, "and is replaced")
		assert.Equal(t, 48, results[0].Sent)
		assert.True(t, results[0].MaybeDuplicate)
		assert.Equal(t, again, s.sim.Ledger().Duplicates, "the first one knows what it has sent")
		s.requireQueuesEmpty()
	})
}
