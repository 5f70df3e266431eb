//go:build !race

package dispatcher_test

// defaultSeeds are a few hundred, in a minute or two.
const defaultSeeds = 300

// fleet is how many workers share a backlog in the largest of these tests.
const fleet = 8
