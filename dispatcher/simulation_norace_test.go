//go:build !race

package dispatcher_test

// defaultSeeds are a few hundred, in a minute or two.
const defaultSeeds = 300
