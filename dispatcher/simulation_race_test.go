//go:build race

package dispatcher_test

// defaultSeeds are few: the race detector makes each many times slower.
const defaultSeeds = 5

// fleet is how many workers share a backlog in the largest of these tests: each second of each costs.
const fleet = 2
