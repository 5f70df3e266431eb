package xbl

import (
	"strconv"
	"strings"
	"time"
)

// Kind says what a failed call means for whoever made it. The set is closed: a new meaning is a new constant here and
// a new line in [Kind.String], so that every switch over it can be complete.
type Kind uint8

const (
	// Throttled: the pair of sender and title has used up its quota. Nothing was sent; [Error.RetryAfter] says how
	// long to leave that pair alone. It is not the fault of the invite.
	Throttled Kind = iota + 1
	// Rejected: the API refuses a recipient or the request. One bad recipient refuses the whole call, so a call of
	// several is worth narrowing; the same call again is not.
	Rejected
	// Forbidden: the sender may not do this. Neither another token nor another try helps.
	Forbidden
	// Unauthorized: the token is missing, unusable or was refused. The invite is fine and waits for a better token.
	Unauthorized
	// Transient: nothing was sent, as far as the service's own answer or the connection tells; try again later.
	Transient
	// Ambiguous: the invites may have been sent. Another try may send them twice.
	Ambiguous
	// Misconfigured: the base URL, the title or the contract version is wrong, or what is at that address is not this API.
	Misconfigured
)

// Kinds returns every kind, in the order of declaration.
func Kinds() []Kind {
	return []Kind{Throttled, Rejected, Forbidden, Unauthorized, Transient, Ambiguous, Misconfigured}
}

// String is the kind in lower case: the value of the label result of invited_calls_total.
func (k Kind) String() string {
	switch k {
	case Throttled:
		return "throttled"
	case Rejected:
		return "rejected"
	case Forbidden:
		return "forbidden"
	case Unauthorized:
		return "unauthorized"
	case Transient:
		return "transient"
	case Ambiguous:
		return "ambiguous"
	case Misconfigured:
		return "misconfigured"
	default:
		return "Kind(" + strconv.Itoa(int(k)) + ")"
	}
}

// Error is the only error that [Client.SendInvites] returns. It holds all that is known about a call that did not end
// as sent, and never a token.
type Error struct {
	// Kind is what to do about it. Always set.
	Kind Kind
	// Status is the HTTP status, 0 where no answer came.
	Status int
	// Code is the errorCode of an ErrorResponse: the part before ':', spaces trimmed, at most 128 bytes.
	Code string
	// Detail is for people: at most 1 KiB of valid UTF-8 on one line, no control characters, no token.
	Detail string
	// Written says that the request may have reached the service, and so counts against the quota there.
	// false: it certainly has not.
	Written bool
	// RetryAfter is set for Throttled only: how long, from the answer on, the pair of sender and title must be left
	// alone. Always between one second and [Options.MaxRetryAfter].
	RetryAfter time.Duration
	// Overloaded says that the service as a whole can't keep up (503), or a gateway before it: that says nothing of the pair's quota.
	Overloaded bool
	// Throttle holds the numbers of a ThrottledEntity; a field is zero where the answer had no usable value for it.
	Throttle Throttle
	// Err is the cause where there is one: a network error, an error of the token source, an ended context.
	Err error
}

// Throttle is what a ThrottledEntity tells about the limit that was hit.
type Throttle struct {
	// LimitType is "rate", "concurrency", or "" where unknown.
	LimitType string
	// CurrentRequests is how many calls the service has counted.
	CurrentRequests int
	// MaxRequests is how many it allows in one Period.
	MaxRequests int
	// Period is the length of the window, in whole seconds, at most one day.
	Period time.Duration
}

// Error is one line: the kind, the status and code where there are any, the wait, the detail.
func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString("xbl: ")
	b.WriteString(e.Kind.String())
	if e.Status != 0 {
		b.WriteString(", status ")
		b.WriteString(strconv.Itoa(e.Status))
	}
	if e.Code != "" {
		b.WriteString(", code ")
		b.WriteString(e.Code)
	}
	if e.RetryAfter > 0 {
		b.WriteString(", retry after ")
		b.WriteString(e.RetryAfter.String())
	}
	if e.Detail != "" {
		b.WriteString(": ")
		b.WriteString(e.Detail)
	}
	return b.String()
}

// Unwrap returns the cause, for [errors.Is] and [errors.As].
func (e *Error) Unwrap() error { return e.Err }
