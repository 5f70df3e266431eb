package harness

import (
	"testing"
	"time"
)

// lookEvery is how often Until looks.
const lookEvery = 25 * time.Millisecond

// Until waits until something holds, and fails the test when that takes longer than limit. What is what is waited for, in words.
func Until(t testing.TB, limit time.Duration, what string, holds func() bool) {
	t.Helper()
	late := time.After(limit)
	again := time.NewTicker(lookEvery)
	defer again.Stop()
	for !holds() {
		select {
		case <-again.C:
		case <-late:
			t.Fatalf("after %s still not: %s", limit, what)
		}
	}
}
