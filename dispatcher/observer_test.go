package dispatcher_test

import (
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/invitedhq/invited/dispatcher"
	"github.com/invitedhq/invited/queue"
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
		}
		for _, j := range told.jobs {
			jobs[j.Sent] = j.Traceparent
		}
		assert.Equal(t, map[int][]string{5: {traceparent}, 1: nil}, calls, "by recipients")
		assert.Equal(t, map[int]string{2: "", 3: traceparent, 1: ""}, jobs, "by recipients")
	})
}
