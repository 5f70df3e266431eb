package dispatcher_test

import (
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/invitedhq/invited/dispatcher"
	"github.com/invitedhq/invited/queue"
	"github.com/invitedhq/invited/xbl"
	"github.com/invitedhq/invited/xbl/xblsim"
)

// audience remembers what it is told.
type audience struct {
	nobody
	mu    sync.Mutex
	calls []dispatcher.CallEnded
	jobs  []dispatcher.JobEnded
}

func (a *audience) CallEnded(c dispatcher.CallEnded) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.calls = append(a.calls, c)
}

func (a *audience) JobEnded(j dispatcher.JobEnded) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.jobs = append(a.jobs, j)
}

func TestACallIsToldWithTheTraceparentsOfItsJobsAndAJobWithItsOwn(t *testing.T) {
	const traceparent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
	inFakeTime(t, xblsim.Options{Latency: time.Second}, func(t *testing.T, s *system) {
		told := &audience{}
		s.observer = told
		s.cfg.Plan.Limits.MaxInFlight = 1 // so that two jobs wait for one call, and share the next
		stop := s.work()
		pass(10 * time.Second)
		s.publish(to("ada"), 1)
		pass(500 * time.Millisecond)
		s.publish(to("ada"), 2)
		_, err := s.publisher.Publish(t.Context(), to("ada"), queue.Job{InvitedUsers: someone(3)}, queue.WithTraceparent(traceparent))
		require.NoError(t, err)
		pass(10 * time.Second)
		require.NoError(t, stop())

		calls, jobs := map[int][]string{}, map[int]string{}
		for _, c := range told.calls {
			calls[c.Recipients] = c.Traceparents
			assert.Equal(t, map[int]int{1: 1, 5: 2}[c.Recipients], c.Jobs, "jobs in a call of %d", c.Recipients)
		}
		for _, j := range told.jobs {
			jobs[j.Sent] = j.Traceparent
		}
		assert.Equal(t, map[int][]string{5: {traceparent}, 1: nil}, calls, "by recipients")
		assert.Equal(t, map[int]string{2: "", 3: traceparent, 1: ""}, jobs, "by recipients")
	})
}

func TestACallIsToldWithItsAttemptItsStatusAndWhatItWasAskedToWait(t *testing.T) {
	type call struct {
		attempt, status int
		kind            xbl.Kind
		retryAfter      time.Duration
	}
	quota := []xblsim.Window{{Max: 1, Per: 30 * time.Second}}
	inFakeTime(t, xblsim.Options{Quota: quota, Latency: time.Second}, func(t *testing.T, s *system) {
		told := &audience{}
		s.observer = told
		s.cfg.Plan.Limits.Windows = nil // so that the second call is refused
		stop := s.work()
		pass(10 * time.Second)
		begun := time.Now()
		s.publish(to("ada"), 1)
		pass(2 * time.Second)
		s.publish(to("ada"), 2)
		pass(5 * time.Minute)
		require.NoError(t, stop())

		var calls []call
		for _, c := range told.calls {
			calls = append(calls, call{c.Attempt, c.Status, c.Kind, c.RetryAfter})
			assert.WithinRange(t, c.Started, begun, begun.Add(2*time.Minute))
			assert.Equal(t, time.Second, c.Took)
		}
		require.Len(t, calls, 3)
		assert.Equal(t, call{attempt: 1}, calls[0], "it is sent")
		assert.Equal(t, xbl.Throttled, calls[1].kind)
		assert.Equal(t, 429, calls[1].status)
		assert.Equal(t, 1, calls[1].attempt)
		assert.Positive(t, calls[1].retryAfter)
		assert.Equal(t, call{attempt: 2}, calls[2], "the same recipients again, and they are sent")
	})
}

func TestTheHalvesOfARefusedCallAreASecondAttempt(t *testing.T) {
	refused := someone(1)[0]
	inFakeTime(t, xblsim.Options{Faults: xblsim.Faults{RefusedXUIDs: []uint64{uint64(refused)}}}, func(t *testing.T, s *system) {
		told := &audience{}
		s.observer = told
		stop := s.work()
		pass(10 * time.Second)
		s.publish(to("ada"), 4, func(j *queue.Job) { j.InvitedUsers[0] = refused })
		pass(10 * time.Second)
		require.NoError(t, stop())

		require.Greater(t, len(told.calls), 2)
		assert.Equal(t, 1, told.calls[0].Attempt)
		for _, c := range told.calls[1:] {
			assert.Equal(t, 2, c.Attempt)
			assert.Equal(t, 1, c.Jobs)
		}
	})
}
