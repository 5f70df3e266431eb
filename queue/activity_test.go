package queue_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/invitedhq/invited/queue"
)

func TestEachWorkerHearsWhatAllSayOfTheirWork(t *testing.T) {
	inFakeTime(t, queue.Options{Partitions: 4}, func(t *testing.T, f *fixture) {
		assert.Nil(t, f.queue.Activities(), "it takes no part yet")
		said := queue.Activity{
			Sent: 7, Calls: map[string]uint64{"sent": 3}, InHand: 2, Partitions: []int{1, 2},
			Keys: &queue.KeysActivity{Blocked: 1, BlockedTop: []queue.KeyActivity{{TitleID: 5, Sender: "ada", Opens: 1500}}},
		}
		f.queue.ReportActivity(func() queue.Activity { return said })
		w := f.consume()
		other := open(t, f.server, queue.Options{Partitions: 4})
		second := other.consume() // and says nothing
		f.raw("invites.workers.alive.hostile", `{"forMs":5,"activity":{"sent":"many"}}`)
		f.raw("invites.workers.alive.older", `{"forMs":60000}`)
		time.Sleep(1500 * time.Millisecond)

		all := other.queue.Activities()
		require.Len(t, all, 4)
		byName := make(map[string]queue.WorkerActivity)
		self := 0
		for _, a := range all {
			byName[a.Name] = a
			if a.Self {
				self++
			}
			if a.Sent > 0 {
				assert.Equal(t, said, a.Activity)
				assert.InDelta(t, 1.5, a.Up.Seconds(), 1)
				assert.False(t, a.Self)
			}
		}
		assert.Equal(t, 1, self)
		assert.Equal(t, queue.Activity{}, byName["hostile"].Activity, "what can't be read is nothing")
		assert.Equal(t, time.Minute, byName["older"].Up)

		time.Sleep(5 * time.Second)
		assert.Len(t, other.queue.Activities(), 2, "who is silent is gone")
		w.stop()
		time.Sleep(time.Second)
		assert.Len(t, other.queue.Activities(), 1)
		second.stop()
	})
}
