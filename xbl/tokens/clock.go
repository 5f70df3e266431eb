package tokens

import (
	"sync/atomic"
	"time"
)

// Clock is the clock of a service, as far as the Date of its answers tells. The zero Clock is this machine's; it is
// corrected where the two differ by more than dates can be wrong. It is not moved by somebody who sets this machine's
// clock later. Any goroutine may use it.
type Clock struct {
	seen atomic.Pointer[sighting]
}

type sighting struct {
	here, there time.Time // at one moment
}

// dateError is what a Date may be wrong by: it has whole seconds, and took some time to come.
const dateError = 5 * time.Second

// Heard is told the Date of an answer that has just come. A date that no service of today can have is ignored.
func (c *Clock) Heard(date time.Time) {
	if y := date.Year(); y < 2020 || y > 2200 {
		return
	}
	now := time.Now()
	if date.Sub(c.at(now)).Abs() > dateError {
		c.seen.Store(&sighting{now, date.Add(time.Second / 2)}) // in the middle of its second
	}
}

// Now is the service's time.
func (c *Clock) Now() time.Time { return c.at(time.Now()) }

func (c *Clock) at(now time.Time) time.Time {
	s := c.seen.Load()
	if s == nil {
		return now
	}
	return s.there.Add(now.Sub(s.here))
}

// Here is a time of the service's by this machine's clock.
func (c *Clock) Here(there time.Time) time.Time {
	now := time.Now()
	return now.Add(there.Sub(c.at(now)))
}
