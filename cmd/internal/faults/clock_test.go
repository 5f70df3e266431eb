package faults

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/invitedhq/invited/queue"
)

// A worker whose clock is ten minutes off, and is set forth and back while it sends, takes neither too many calls of a quota nor
// jobs for expired that are not.
func TestAWorkersClockThatIsOffAndSetChangesNothing(t *testing.T) {
	s := stage(t, "--quota", "4/1s")
	s.options.Quota, s.options.OffClock = "4/1s", true
	worker := s.join()
	for _, ahead := range []time.Duration{10 * time.Minute, -10 * time.Minute, 0, -10 * time.Minute, 10 * time.Minute} {
		worker.SetClock(ahead)
		s.requireServersTime(ahead)
	}
	worker.Stop()
	worker.TellClock(-10 * time.Minute)
	worker.Start() // with a clock that has always been wrong
	worker.AwaitReady()
	s.requireServersTime(-10 * time.Minute)
	s.audit(0).report("the worker's clock ten minutes off, and set", 0)
}

// requireServersTime sends jobs that expire soon, by the server's clock, and have not yet; and one that has.
func (s *scene) requireServersTime(ahead time.Duration) {
	t := s.t
	t.Helper()
	watch, err := s.reader.WatchResults(t.Context())
	require.NoError(t, err)
	defer watch.Stop()
	live := []string{}
	for _, sender := range senders {
		for range 6 { // each a call of its own, and not all of them fit into one window
			j := s.job(most)
			j.ExpiresAt = time.Now().Add(30 * time.Second).UTC()
			live = append(live, j.ID)
			s.publish(queue.Address{TitleID: title, Sender: sender}, j)
		}
	}
	past := s.job(1)
	past.ExpiresAt = time.Now().Add(-time.Second).UTC()
	s.publish(queue.Address{TitleID: title, Sender: senders[0]}, past)
	ended := map[string]queue.Result{}
	for len(ended) < len(live)+1 {
		r, err := watch.Next(t.Context())
		require.NoError(t, err)
		ended[r.ID] = r
	}
	for _, id := range live {
		assert.Equalf(t, most, ended[id].Sent, "with a clock %s ahead, %s had not expired", ahead, id)
		assert.WithinDuration(t, time.Now(), ended[id].EndedAt, time.Minute, "an ending has the server's time")
	}
	assert.Equalf(t, queue.Expired, ended[past.ID].Reason, "with a clock %s ahead, %s had expired", ahead, past.ID)
}
