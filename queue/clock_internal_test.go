package queue

import (
	"bytes"
	"log/slog"
	"reflect"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestTheServersClockIsTheOneThatCounts(t *testing.T) {
	now := time.Now()
	const took = 4 * time.Millisecond
	for _, c := range []struct {
		name   string
		stored time.Duration // after it was sent, by the server's clock
		ahead  time.Duration // what the server's clock is taken to be ahead
	}{
		{"the same as far as anybody can tell", took / 2, 0},
		{"at the very moment it was sent", 0, 0},
		{"at the very moment it was acknowledged", took, 0},
		{"this machine is ten minutes behind", 10 * time.Minute, 10*time.Minute - took},
		{"this machine is ten minutes ahead", -10 * time.Minute, -10 * time.Minute},
		{"a few milliseconds", 7 * time.Millisecond, 3 * time.Millisecond},
	} {
		t.Run(c.name, func(t *testing.T) {
			var clock serverClock
			var log bytes.Buffer
			logger := slog.New(slog.NewTextHandler(&log, nil))
			for range 3 {
				clock.look(logger, now, now.Add(took), now.Round(0).Add(c.stored))
			}
			require.Equal(t, c.ahead.Abs() > time.Second, log.Len() > 0, "somebody should look after a clock that is far off")
			require.LessOrEqual(t, bytes.Count(log.Bytes(), []byte("\n")), 1, "and need not be told each time")

			at := now.Add(time.Hour)
			require.True(t, clock.toServer(at).Equal(at.Round(0).Add(c.ahead)))
			require.True(t, clock.toHere(clock.toServer(at)).Equal(at), "there and back is the same")
			require.Zero(t, clock.toHere(time.Time{}), "no time is no time")
			require.Zero(t, clock.toServer(time.Time{}))
		})
	}
}

// A worker's clock may be set between the moment a renewal is sent and the one it is acknowledged. A time that was read later has
// the new wall time, and a monotonic reading that goes on.
func TestAClockThatIsSetDuringALookIsSeenThrough(t *testing.T) {
	const took = 400 * time.Millisecond
	for _, by := range []time.Duration{10 * time.Minute, -10 * time.Minute} {
		before := time.Now()
		var clock serverClock
		clock.look(slog.New(slog.DiscardHandler), before, set(before.Add(took), by), before.Round(0).Add(took/2))
		now := set(before.Add(time.Minute), by)
		require.WithinDuration(t, before.Round(0).Add(time.Minute), clock.toServer(now), took)
	}
}

// set is what a clock shows at a time after it was set.
func set(at time.Time, by time.Duration) time.Time {
	v := reflect.ValueOf(&at).Elem()
	ext := v.FieldByName("ext")
	before := ext.Int()
	at = at.Add(by)
	*(*int64)(ext.Addr().UnsafePointer()) = before // wall time moves, the monotonic reading stays
	return at
}

func TestWithoutALookTheClocksAreOne(t *testing.T) {
	var clock serverClock
	now := time.Now()
	require.Equal(t, now, clock.toHere(now))
	require.Equal(t, now, clock.toServer(now))
}

func TestATimeFarAwayStaysFarAway(t *testing.T) {
	var clock serverClock
	now := time.Now()
	clock.look(slog.New(slog.DiscardHandler), now, now, now)
	never := time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC)
	require.Greater(t, clock.toHere(never).Sub(now), 200*365*24*time.Hour)
}
