//go:build !race

package harness

// Race says whether the programs are built with the race detector, which takes several times as much memory and time.
const Race = false

func raceFlags() []string { return nil }
