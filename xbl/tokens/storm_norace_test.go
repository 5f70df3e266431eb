//go:build !race

package tokens_test

const stormSenders = 10_000
