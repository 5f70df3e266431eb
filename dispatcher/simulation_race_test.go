//go:build race

package dispatcher_test

import "time"

// The race detector makes each schedule many times slower: one, and some of those that failed once.
const (
	defaultSeeds = 1
	oldSeeds     = 3
)

// How large the largest of these tests are: the race detector makes each second of each worker five times as dear, and finds what it
// finds in the first of them. What each test says holds at this size as well, and is checked.
const (
	cups     = 4 // senders that have one each
	windows  = 2 // long windows in which one sender uses a backlog's quota, or an outage lasts
	learning = 20 * time.Minute
	learnt   = 12 * time.Minute // in which a quota that was unknown is used
)

// fleets are how many workers share a backlog.
var fleets = []int{2}
