//go:build race

package harness

// Race says whether the programs are built with the race detector, which takes several times as much memory and time.
const Race = true

// raceFlags build the programs as this test was built: a fresh machine then
// compiles everything once, and the real processes are watched for races too.
func raceFlags() []string { return []string{"-race"} }
