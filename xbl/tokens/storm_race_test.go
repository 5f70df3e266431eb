//go:build race

package tokens_test

// stormSenders are fewer with the race detector, where a call costs ten times as much.
const stormSenders = 2_000
