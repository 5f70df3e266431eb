//go:build !race

package plan

import "time"

// alignments of the service's windows at which an unknown quota is to be found; -1: they begin at the first call.
func alignments() []time.Duration {
	return []time.Duration{-1, 0, 4300 * time.Millisecond, 100 * time.Second}
}
