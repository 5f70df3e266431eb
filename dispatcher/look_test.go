package dispatcher_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/invitedhq/invited/dispatcher"
	"github.com/invitedhq/invited/queue"
	"github.com/invitedhq/invited/xbl/xblsim"
)

func TestAJobInHandIsFoundByItsIDOrItsPlaceAndSaysWhatItWaitsFor(t *testing.T) {
	quota := []xblsim.Window{{Max: 1, Per: time.Minute}}
	inFakeTime(t, xblsim.Options{Quota: quota, Latency: 2 * time.Second}, func(t *testing.T, s *system) {
		s.cfg.Plan.Limits.Windows = nil
		s.publish(to("ada"), 20, func(j *queue.Job) { j.ID = "mine" })
		w := s.join()
		pass(time.Second)
		find := func(id string) *dispatcher.JobInHand {
			j, err := w.d.Find(t.Context(), id)
			require.NoError(t, err)
			return j
		}
		j := find("mine")
		require.NotNil(t, j)
		assert.Equal(t, dispatcher.JobInCall, j.State)
		assert.Equal(t, []int{20, 0, 0, 0}, []int{j.Recipients, j.Sent, j.Dead, j.Attempts})
		assert.Equal(t, j, find("INVITES:1"))
		assert.Nil(t, find("nobody's"))

		pass(10 * time.Second) // one call is sent, the other is told to wait for its minute
		j = find("mine")
		require.NotNil(t, j)
		assert.Equal(t, dispatcher.JobParked, j.State)
		assert.Positive(t, j.Sent)

		owned, err := w.d.Owned(t.Context())
		require.NoError(t, err)
		assert.Len(t, owned, 16)
		c, err := w.d.Closeup(t.Context(), 8)
		require.NoError(t, err)
		require.Len(t, c.Blocked, 1)
		assert.Equal(t, "ada", c.Blocked[0].Sender)
		assert.Equal(t, 20-j.Sent, c.Blocked[0].Waiting)
		assert.Greater(t, time.Until(c.Blocked[0].Until), 30*time.Second)

		require.NoError(t, w.stop())
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err = w.d.Find(ctx, "mine")
		require.ErrorContains(t, err, "does not answer", "a worker that has stopped has nothing in hand")
	})
}
