package queue

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestALeaseIsOverByWhicheverClockIsLater(t *testing.T) {
	now := time.Now()
	until := now.Add(leaseFor)
	require.False(t, over(until, now))
	require.False(t, over(until, until))
	require.True(t, over(until, until.Add(1)))
	// A machine that was suspended for a minute: the monotonic clock stood still.
	require.True(t, over(until, now.Round(0).Add(time.Minute)))
	suspended := until.Round(0).Add(-time.Minute) // how the end of the lease looks from there
	require.True(t, over(suspended, now))

	m := &members{until: now.Add(leaseFor)}
	require.True(t, time.Now().Before(m.lease()))
	m.until = suspended
	require.False(t, time.Now().Before(m.lease()))
}
