package plan

import (
	"time"

	"github.com/cenkalti/backoff/v4"
)

// Config says how a [Planner] decides. The zero value of a limit is not
// usable: the configs package has the defaults.
type Config struct {
	// Limits are the limits of a title that has none of its own.
	Limits Limits
	// Titles are the limits of single titles, whole: nothing is inherited.
	Titles map[uint32]Limits
	// MaxInFlight is the most calls at once of this worker, over all keys,
	// those whose endings are not stored yet included: Next has to be called
	// again once they are.
	MaxInFlight int
	// MaxAttempts is how many transient failures of its own end a job as exhausted.
	MaxAttempts int
	// DeadLetterAmbiguous dead-letters what may have been sent, instead of sending it again.
	DeadLetterAmbiguous bool
	// Retry makes the waits between a job's own transient failures.
	Retry func() backoff.BackOff
	// Probe makes the waits between calls that ask whether a title's outage is over.
	Probe func() backoff.BackOff
}

// Limits are what the service, or the operator, allows one key.
type Limits struct {
	// Windows are all in force at once; none means that no quota is known.
	Windows []Window
	// MaxInFlight is the most calls at once for one key.
	MaxInFlight int
	// Reserve is the share of each window, 0 to below 1, that bulk calls leave
	// free on a key that had interactive jobs lately.
	Reserve float64
}

// Window allows Max calls in any time of length Per.
type Window struct {
	Max int
	Per time.Duration
}

func (c *Config) limits(title uint32) Limits {
	if l, ok := c.Titles[title]; ok {
		return l
	}
	return c.Limits
}
