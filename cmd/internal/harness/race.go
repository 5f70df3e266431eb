//go:build race

package harness

// Race says whether the programs are built with the race detector.
const Race = true

// Slower is how many times slower that makes them, about: loads are divided by it, and bounds of time are multiplied.
const Slower = 4

// raceFlags build the programs as this test was built: a fresh machine then
// compiles everything once, and the real processes are watched for races too.
func raceFlags() []string { return []string{"-race"} }
