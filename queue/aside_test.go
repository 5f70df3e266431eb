package queue_test

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/invitedhq/invited/queue"
)

// hog publishes n jobs of a key that will not get on.
func (f *fixture) hog(n int) {
	f.Helper()
	var last *queue.Future
	for i := range n {
		var err error
		last, err = f.pub.PublishAsync(f.Context(), alice, job(fmt.Sprint("hog-", i)))
		require.NoError(f, err)
	}
	_, err := last.Wait(f.Context())
	require.NoError(f, err)
}

func TestABlockedKeysBacklogDoesNotHoldUpItsPartition(t *testing.T) {
	inFakeTime(t, queue.Options{Partitions: 1, MaxInHand: 256}, func(t *testing.T, f *fixture) {
		w := f.consume()
		time.Sleep(time.Second)
		f.hog(2000)
		time.Sleep(time.Second)
		var held []*queue.Delivery
		for len(w.deliveries) > 0 {
			held = append(held, w.next())
		}
		assert.Len(t, held, 256, "no more than its hand")

		for i := range 100 {
			began := time.Now()
			f.publish(queue.Address{TitleID: 5, Sender: fmt.Sprint("s", i)}, job(fmt.Sprint(i)))
			d := w.next()
			require.Equal(t, fmt.Sprint(i), d.ID())
			require.Less(t, time.Since(began), 10*time.Millisecond)
			require.NoError(t, d.Ack())
		}
		for range 25 * 3 { // 25 minutes: leases of thirty seconds, and of ten minutes
			time.Sleep(20 * time.Second)
			for _, d := range held {
				require.NoError(t, d.Extend())
			}
		}
		require.Empty(t, w.deliveries, "what is set aside does not come again and again")

		began := time.Now()
		for n := 0; n < 2000; { // the key gets on
			for _, d := range held {
				require.Equal(t, fmt.Sprint("hog-", n), d.ID(), "in order")
				require.NoError(t, d.Ack())
				n++
			}
			held = held[:0]
			if n < 2000 {
				held = append(held, w.next())
			}
		}
		require.Less(t, time.Since(began), 5*time.Second)
		f.eventually("INVITES", 0)
	})
}

// waiter is a worker that says of alice that nothing of hers can be sent.
type waiter struct{ queue.DeliverFunc }

func (waiter) Waits(a queue.Address) bool { return a == alice }

// TestWhatWaitsForItsQuotaIsSetAsideAtOnce: who comes behind it waits for nothing.
func TestWhatWaitsForItsQuotaIsSetAsideAtOnce(t *testing.T) {
	inFakeTime(t, queue.Options{Partitions: 1, MaxInHand: 64}, func(t *testing.T, f *fixture) {
		var mu sync.Mutex
		came := map[string]time.Time{}
		f.work(waiter{func(d *queue.Delivery) {
			mu.Lock()
			defer mu.Unlock()
			came[d.ID()] = time.Now()
		}})
		time.Sleep(time.Second)
		f.hog(500)
		began := time.Now()
		f.publish(queue.Address{TitleID: 5, Sender: "bob"}, job("bob"))
		time.Sleep(time.Second)
		mu.Lock()
		defer mu.Unlock()
		require.Contains(t, came, "bob")
		assert.Less(t, came["bob"].Sub(began), 10*time.Millisecond)
		assert.Len(t, came, 65, "and of the other no more than its hand")
	})
}

func TestWhatIsSetAsideComesToTheNextOwnerAtOnce(t *testing.T) {
	for name, end := range map[string]func(*worker){"in order": func(w *worker) { w.stop() }, "crashed": func(w *worker) { w.die() }} {
		t.Run(name, func(t *testing.T) {
			inFakeTime(t, queue.Options{Partitions: 1, MaxInHand: 64}, func(t *testing.T, f *fixture) {
				first := connect(t, f.server)
				first.open(queue.Options{MaxInHand: 64})
				w := first.consume()
				time.Sleep(time.Second)
				f.hog(500)
				time.Sleep(time.Second)
				end(w)
				for name == "in order" && len(w.deliveries) > 0 {
					require.NoError(t, w.next().Release(0)) // as a worker does with what it holds
				}
				next := f.consume()
				seen := map[string]bool{}
				for range 500 {
					d := next.next()
					require.False(t, seen[d.ID()])
					seen[d.ID()] = true
					require.NoError(t, d.Ack())
				}
				f.eventually("INVITES", 0)
			})
		})
	}
}

func TestAPurgedJobThatWasSetAsideIsForgotten(t *testing.T) {
	inFakeTime(t, queue.Options{Partitions: 1, MaxInHand: 10}, func(t *testing.T, f *fixture) {
		w := f.consume()
		time.Sleep(time.Second)
		f.hog(50)
		time.Sleep(time.Second)
		s, err := f.js.Stream(t.Context(), queue.JobsStream)
		require.NoError(t, err)
		require.NoError(t, s.Purge(t.Context()))
		for len(w.deliveries) > 0 {
			require.NoError(t, w.next().Ack())
		}
		time.Sleep(time.Minute)
		f.publish(alice, job("after"))
		require.Equal(t, "after", w.next().ID())
	})
}
