//go:build !race

package harness

func raceFlags() []string { return nil }
