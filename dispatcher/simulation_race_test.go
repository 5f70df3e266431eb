//go:build race

package dispatcher_test

// defaultSeeds are few: the race detector makes each many times slower.
const defaultSeeds = 5
