package queue_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/invitedhq/invited/queue"
	"github.com/invitedhq/invited/queue/embedded/embeddedtest"
)

func TestWhatIsKnownOfAKeyIsThereForTheNextWorker(t *testing.T) {
	conn := embeddedtest.Connect(t, embeddedtest.Start(t))
	open := func() *queue.Queue {
		q, err := queue.Open(t.Context(), conn, queue.Options{Logger: discard()})
		require.NoError(t, err)
		t.Cleanup(q.Close)
		return q
	}
	save := func(q *queue.Queue, states ...queue.KeyState) {
		done := make(chan error, 1)
		q.SaveKeys(t.Context(), states, func(err error) { done <- err })
		require.NoError(t, <-done)
	}
	at := time.UnixMilli(1_800_000_000_000)
	ada := queue.KeyState{TitleID: 730, Sender: "ada", Calls: []time.Time{at, at.Add(time.Second)}, BlockedUntil: at.Add(time.Minute)}
	learnt := queue.KeyState{TitleID: 730, Sender: "bob", Windows: []queue.QuotaWindow{{Max: 7, Per: 15 * time.Second}}}
	first := open()
	save(first, queue.KeyState{TitleID: 730, Sender: "ada"}, learnt)
	save(first, ada) // replaces the first
	save(first)      // nothing is fine

	got, err := open().LoadKeys(t.Context())
	require.NoError(t, err)
	require.Len(t, got, 2)
	states := map[string]queue.KeyState{got[0].Sender: got[0], got[1].Sender: got[1]}
	assert.Equal(t, learnt, states["bob"])
	assert.Equal(t, ada.BlockedUntil.Add(time.Millisecond), states["ada"].BlockedUntil, "rounded up, never down")
	assert.Len(t, states["ada"].Calls, 2)
}
