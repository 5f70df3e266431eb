package xbl

import (
	"math"
	"net/http"
	"strings"
	"time"
)

// defaultRetryAfter counts where an answer names no wait at all: the length of the service's short window.
const defaultRetryAfter = 15 * time.Second

// retryAfter is how long to leave a key alone after a throttled answer: Retry-After, else the length of the window that
// was hit, else 15 s. It is clamped to [1 s, limit] before anyone believes it: zero or a time in the past would make a
// hot loop, and a slip of the service must not block a key for years.
func retryAfter(header http.Header, period time.Duration, now time.Time, limit time.Duration) time.Duration {
	if date, err := http.ParseTime(header.Get("Date")); err == nil {
		now = date // A date in Retry-After was made with the service's clock, so it is compared with that one.
	}
	wait, known := time.Duration(0), false
	for _, value := range header.Values("Retry-After") {
		if d, ok := parseRetryAfter(value, now); ok {
			wait, known = max(wait, d), true
		}
	}
	if !known {
		wait = period
		if period == 0 {
			wait = defaultRetryAfter
		}
	}
	return min(max(wait, time.Second), limit)
}

// parseRetryAfter reads whole seconds or an HTTP date. It reports false for anything else, a sign or a fraction included.
func parseRetryAfter(value string, now time.Time) (time.Duration, bool) {
	value = strings.Trim(value, " \t")
	if value == "" {
		return 0, false
	}
	const most = math.MaxInt64 / int64(time.Second)
	seconds := int64(0)
	for i := range len(value) {
		c := value[i]
		if c < '0' || c > '9' {
			date, err := http.ParseTime(value)
			return date.Sub(now), err == nil
		}
		// Saturates: any number of digits is a number, only a very long time.
		seconds = min(seconds*10+int64(c-'0'), most/10)
	}
	return time.Duration(seconds) * time.Second, true
}

// RetryAfter is how long an answer says to wait, for who reads those of another service by the same rules: Retry-After
// in seconds or as a date, 15 s where there is none that can be read; from one second to limit.
func RetryAfter(header http.Header, now time.Time, limit time.Duration) time.Duration {
	return retryAfter(header, 0, now, limit)
}
