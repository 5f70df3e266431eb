//go:build race

package harness

// raceFlags build the programs as this test was built: a fresh machine then
// compiles everything once, and the real processes are watched for races too.
func raceFlags() []string { return []string{"-race"} }
