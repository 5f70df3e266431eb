//go:build race

package dispatcher_test

import "time"

// defaultSeeds is one, besides those that failed once: the race detector makes each many times slower.
const defaultSeeds = 1

// How large the largest of these tests are: the race detector makes each second of each worker five times as dear, and finds what it
// finds in the first of them. What each test says holds at this size as well, and is checked.
const (
	fleet    = 2 // workers that share a backlog
	cups     = 4 // senders that have one each
	windows  = 2 // long windows in which one sender uses a backlog's quota, or an outage lasts
	learning = 20 * time.Minute
	learnt   = 20 * time.Minute // in which a quota that was unknown is used
)
