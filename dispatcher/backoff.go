package dispatcher

import (
	"time"

	"github.com/cenkalti/backoff/v4"
)

// spread is how far a wait is moved at random, either way, so that what failed
// together does not come again together.
const spread = 0.2

// Retries makes the waits between a job's own transient failures: initial,
// then twice as long each time up to longest.
func Retries(initial, longest time.Duration) func() backoff.BackOff {
	return func() backoff.BackOff {
		return backoff.NewExponentialBackOff(
			backoff.WithInitialInterval(initial), backoff.WithMaxInterval(longest), backoff.WithMultiplier(2),
			backoff.WithRandomizationFactor(spread), backoff.WithMaxElapsedTime(0))
	}
}

// Probes makes the waits between the calls that ask whether a title's outage
// is over: never so long that it goes on later than 5 s after the API's return.
func Probes() func() backoff.BackOff { return Retries(500*time.Millisecond, 3500*time.Millisecond) }
