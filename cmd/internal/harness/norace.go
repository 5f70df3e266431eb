//go:build !race

package harness

// Race says whether the programs are built with the race detector.
const Race = false

// Slower is how many times slower that makes them, about: loads are divided by it, and bounds of time are multiplied.
const Slower = 1

func raceFlags() []string { return nil }
