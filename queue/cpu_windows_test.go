package queue_test

import (
	"syscall"
	"time"
)

// cpu is what this process has taken so far.
func cpu() time.Duration {
	var created, exited, kernel, user syscall.Filetime
	self, _ := syscall.GetCurrentProcess()
	_ = syscall.GetProcessTimes(self, &created, &exited, &kernel, &user)
	// Durations, unlike times, are counts of 100 ns from zero.
	ticks := func(f syscall.Filetime) int64 { return int64(f.HighDateTime)<<32 + int64(f.LowDateTime) }
	return time.Duration(100 * (ticks(kernel) + ticks(user)))
}
