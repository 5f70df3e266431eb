package wire

import (
	"strconv"
	"time"

	"github.com/invitedhq/invited/xbl/xblsim/internal/limit"
)

// ThrottledEntity is the body of a 429. T is int, or string for services that quote their numbers.
type ThrottledEntity[T any] struct {
	Version         T      `json:"version"`
	CurrentRequests T      `json:"currentRequests"`
	MaxRequests     T      `json:"maxRequests"`
	PeriodInSeconds T      `json:"periodInSeconds"`
	LimitType       string `json:"limitType"`
}

// Numbers says why a call is throttled.
func Numbers(r *limit.Refusal) ThrottledEntity[int] {
	return ThrottledEntity[int]{1, r.Current, r.Max, wholeSeconds(r.Period), r.LimitType}
}

// Strings is Numbers with its numbers in quotes.
func Strings(r *limit.Refusal) ThrottledEntity[string] {
	text := strconv.Itoa
	return ThrottledEntity[string]{"1", text(r.Current), text(r.Max), text(wholeSeconds(r.Period)), r.LimitType}
}

// Seconds is a Retry-After in whole seconds, at least 1, and the instant it names.
func Seconds(now time.Time, wait time.Duration) (string, time.Time) {
	n := max(1, wholeSeconds(wait))
	return strconv.Itoa(n), now.Add(time.Duration(n) * time.Second)
}

// wholeSeconds rounds up.
func wholeSeconds(d time.Duration) int {
	n := int(d / time.Second)
	if d%time.Second > 0 {
		n++
	}
	return n
}
