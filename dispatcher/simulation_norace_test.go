//go:build !race

package dispatcher_test

import "time"

// A few hundred schedules take a minute or two.
const (
	defaultSeeds = 300
	oldSeeds     = 100 // all
)

// How large the largest of these tests are. What they cost is time that passes, and workers that look around meanwhile, rather than calls.
const (
	cups     = 10 // senders that have one each
	windows  = 4  // long windows in which one sender uses a backlog's quota, or an outage lasts
	learning = 20 * time.Minute
	learnt   = 40 * time.Minute // in which a quota that was unknown is used
)

// fleets are how many workers share a backlog.
var fleets = []int{1, 8}
