package queue_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/invitedhq/invited/queue"
)

// owner is a worker that remembers what it is told of keys.
type owner struct {
	queue.DeliverFunc
	mu   sync.Mutex
	keys map[string]queue.KeyState
}

func (o *owner) Own(_ int, keys []queue.KeyState) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, k := range keys {
		o.keys[k.Sender] = k
	}
}

// told starts an owner and returns what it is told of keys. It runs in a bubble.
func (f *fixture) told() map[string]queue.KeyState {
	f.Helper()
	o := &owner{DeliverFunc: func(*queue.Delivery) {}, keys: make(map[string]queue.KeyState)}
	ctx, cancel := context.WithCancel(f.Context())
	ended := make(chan error)
	go func() { ended <- f.queue.Consume(ctx, o) }()
	time.Sleep(2 * time.Second)
	cancel()
	require.NoError(f, <-ended)
	return o.keys
}

func (f *fixture) saveKey(s queue.KeyState) {
	f.Helper()
	done := make(chan error, 1)
	f.queue.SaveKey(f.Context(), s, func(err error) { done <- err })
	require.NoError(f, <-done)
}

func TestWhatIsKnownOfAKeyIsThereForTheNextOwner(t *testing.T) {
	inFakeTime(t, queue.Options{}, func(t *testing.T, f *fixture) {
		now := time.Now()
		ada := queue.KeyState{
			Partition: 3, TitleID: 730, Sender: "ada", Calls: []queue.CallRun{{At: now.Add(-2 * time.Second), N: 30}, {At: now, N: 1}}, Open: 2,
			BlockedUntil: now.Add(time.Minute), ReservedUntil: now.Add(3 * time.Minute), Until: now.Add(5 * time.Minute),
		}
		learnt := queue.KeyState{
			Partition: 1, TitleID: 730, Sender: "bob", Learnt: []queue.LearntWindow{{Max: 5, Per: 15 * time.Second, Most: 7}}, Until: now.Add(time.Hour),
		}
		f.saveKey(queue.KeyState{Partition: 3, TitleID: 730, Sender: "ada"})
		f.saveKey(learnt)
		f.saveKey(ada) // replaces the first
		time.Sleep(10 * time.Second)

		got := f.told()
		require.Len(t, got, 2)
		assert.Equal(t, learnt.Learnt, got["bob"].Learnt)
		assert.Equal(t, 1, got["bob"].Partition)
		assert.Equal(t, 2, got["ada"].Open)
		require.Len(t, got["ada"].Calls, 2)
		assert.WithinDuration(t, now, got["ada"].Calls[1].At, 10*time.Millisecond, "placed by the server's clock, whoever reads it when")
		assert.WithinDuration(t, now.Add(-2*time.Second), got["ada"].Calls[0].At, 10*time.Millisecond)
		assert.Equal(t, []int{30, 1}, []int{got["ada"].Calls[0].N, got["ada"].Calls[1].N})
		assert.WithinDuration(t, ada.BlockedUntil, got["ada"].BlockedUntil, 10*time.Millisecond)
		assert.False(t, got["ada"].BlockedUntil.Before(ada.BlockedUntil), "a Retry-After is never shortened")
		assert.WithinDuration(t, ada.ReservedUntil, got["ada"].ReservedUntil, 10*time.Millisecond)
		assert.Zero(t, got["bob"].ReservedUntil)

		time.Sleep(6 * time.Minute)
		got = f.told()
		assert.Len(t, got, 1, "what does not matter any more is gone")
		assert.Contains(t, got, "bob")
	})
}
