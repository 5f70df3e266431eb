package queue_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/invitedhq/invited/queue"
)

func TestTimesOfADeliveryAreByThisWorkersClockToo(t *testing.T) {
	inFakeTime(t, queue.Options{}, func(t *testing.T, f *fixture) {
		w := f.consume()
		published := time.Now()
		j := job("a")
		j.ExpiresAt = published.Add(time.Minute).UTC()
		f.publish(alice, j)
		d := w.next()
		require.WithinDuration(t, published, d.Published, 10*time.Millisecond)
		require.True(t, d.Expires.Equal(j.ExpiresAt))
		require.True(t, d.Published.Equal(d.PublishedAt), "nothing says that the clocks differ")
	})
}
