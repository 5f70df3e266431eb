//go:build !race

package embeddedtest

// raceDetector says whether the race detector is on.
const raceDetector = false
