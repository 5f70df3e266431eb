package queue_test

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/invitedhq/invited/queue"
)

func TestRecipientsAreEachOnceInTheOrderTheyWereAdded(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		// Few values, so that there are repeats; and neighbours in the table that push each other along.
		added := rapid.SliceOf(rapid.OneOf(rapid.Uint64Range(1, 50), rapid.Uint64Range(1<<63, 1<<63+50), rapid.Uint64Min(1))).Draw(t, "added")
		var r queue.Recipients
		var want []queue.XUID
		for _, x := range added {
			if x%8 == 0 {
				r.Compact()
			}
			isNew := !slices.Contains(want, queue.XUID(x))
			require.Equal(t, isNew, r.Add(queue.XUID(x)))
			if isNew {
				want = append(want, queue.XUID(x))
			}
		}
		require.Equal(t, want, slices.Collect(r.All()))
		require.Equal(t, len(want), r.Len())
	})
}

func TestManyRecipientsAreKept(t *testing.T) {
	const many = 300_000 // several chunks
	var r queue.Recipients
	for range 2 {
		for x := range many {
			r.Add(queue.XUID(2533274790000000 + 7*x))
		}
	}
	require.Equal(t, many, r.Len())
	n := 0
	for x := range r.All() {
		require.Equal(t, queue.XUID(2533274790000000+7*n), x)
		n++
	}
	assert.Equal(t, many, n)
}

func BenchmarkRecipients(b *testing.B) {
	for b.Loop() {
		var r queue.Recipients
		for x := range 1_000_000 {
			r.Add(queue.XUID(2533274790000000 + x))
		}
	}
}
