//go:build race

package plan

import "time"

// alignments of the service's windows at which an unknown quota is to be found: two, because a planner has one goroutine, and the race
// detector makes each second of it ten times as dear. Without it there are four.
func alignments() []time.Duration { return []time.Duration{4300 * time.Millisecond, -1} }
