package xblsim

import (
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/go-json-experiment/json"
)

// verdict is what the service decided about a call. Nothing in it depends on when the answer goes out.
type verdict struct {
	status   int           // 0: no answer, the connection is dropped
	code     string        // of an ErrorResponse
	message  string        // of an ErrorResponse, or the reason of a 401
	refusal  *refusal      // of a 429
	wait     time.Duration // the Retry-After of a 503; 0: none
	slow     time.Duration // on top of the latency
	recorded bool
	fault    string
}

func invalid(err error) verdict {
	return verdict{status: http.StatusBadRequest, code: "RequestValidationError", message: err.Error()}
}

// forbidden has the code in the long form that the service documents: what follows the colon must be ignored.
func forbidden(reason string) verdict {
	return verdict{status: http.StatusBadRequest, code: "AuthorizationError: " + reason, message: reason}
}

func unauthorized(reason string) verdict {
	return verdict{status: http.StatusUnauthorized, message: reason}
}

func noSuchPath() verdict {
	return verdict{status: http.StatusNotFound, code: "NotFound",
		message: "path: only /titles/{titleId}/invites and /titles/{titleId}/invites/server are here"}
}

func wrongMethod() verdict {
	return verdict{status: http.StatusMethodNotAllowed, code: "MethodNotAllowed", message: "method: only POST is allowed"}
}

// retryAfter returns the header's value for an answer that goes out now, and the instant it names.
// The value is "" where the answer has no such header.
func (v verdict) retryAfter(form RetryAfter, now time.Time) (value string, until time.Time) {
	switch {
	case v.wait > 0:
		return inSeconds(now, v.wait)
	case v.refusal == nil || form == NoRetryAfter:
		return "", time.Time{}
	case form == HTTPDate:
		return asDate(now, v.refusal.ends)
	}
	return inSeconds(now, v.refusal.ends.Sub(now))
}

func inSeconds(now time.Time, wait time.Duration) (string, time.Time) {
	n := max(1, wholeSeconds(wait))
	return strconv.Itoa(n), now.Add(time.Duration(n) * time.Second)
}

// asDate rounds up to the next second that is at least a second away.
func asDate(now, ends time.Time) (string, time.Time) {
	if earliest := now.Add(time.Second); ends.Before(earliest) {
		ends = earliest
	}
	date := ends.Truncate(time.Second)
	if date.Before(ends) {
		date = date.Add(time.Second)
	}
	return date.UTC().Format(http.TimeFormat), date
}

// wholeSeconds rounds up.
func wholeSeconds(d time.Duration) int {
	n := int(d / time.Second)
	if d%time.Second > 0 {
		n++
	}
	return n
}

// write sends the answer.
func (v verdict) write(w http.ResponseWriter, retryAfter string, body ThrottleBody) {
	h := w.Header()
	if retryAfter != "" {
		h.Set("Retry-After", retryAfter)
	}
	switch v.status {
	case http.StatusNoContent:
		w.WriteHeader(v.status)
	case http.StatusBadRequest, http.StatusNotFound, http.StatusMethodNotAllowed:
		writeJSON(w, v.status, errorResponse{v.code, v.message})
	case http.StatusUnauthorized:
		h.Set("WWW-Authenticate", fmt.Sprintf("XBL3.0 error=%q", v.message))
		w.WriteHeader(v.status)
	case http.StatusTooManyRequests:
		v.refusal.write(w, body)
	default:
		http.Error(w, http.StatusText(v.status), v.status)
	}
}

type errorResponse struct {
	ErrorCode    string `json:"errorCode"`
	DebugMessage string `json:"debugMessage"`
}

// throttledEntity is the body of a 429. T is int, or string for services that quote their numbers.
type throttledEntity[T any] struct {
	Version         T      `json:"version"`
	CurrentRequests T      `json:"currentRequests"`
	MaxRequests     T      `json:"maxRequests"`
	PeriodInSeconds T      `json:"periodInSeconds"`
	LimitType       string `json:"limitType"`
}

func (r *refusal) write(w http.ResponseWriter, body ThrottleBody) {
	period := wholeSeconds(r.period)
	switch body {
	case Numbers:
		writeJSON(w, http.StatusTooManyRequests, throttledEntity[int]{1, r.current, r.max, period, r.limitType})
	case Strings:
		text := strconv.Itoa
		writeJSON(w, http.StatusTooManyRequests,
			throttledEntity[string]{"1", text(r.current), text(r.max), text(period), r.limitType})
	case NoBody:
		w.WriteHeader(http.StatusTooManyRequests)
	}
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.MarshalWrite(w, v) // fails only when the client is gone
}
