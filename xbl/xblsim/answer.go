package xblsim

import (
	"fmt"
	"net/http"
	"time"

	"github.com/invitedhq/invited/xbl/xblsim/auth"
	"github.com/invitedhq/invited/xbl/xblsim/internal/limit"
	"github.com/invitedhq/invited/xbl/xblsim/internal/wire"
)

// verdict is what the service decided about a call. Nothing in it depends on when the answer goes out.
type verdict struct {
	status   int            // 0: no answer, the connection is dropped
	code     string         // of an ErrorResponse, or the reason of a 401
	message  string         // of an ErrorResponse
	refusal  *limit.Refusal // of a 429
	wait     time.Duration  // the Retry-After of a 503; 0: none
	slow     time.Duration  // on top of the latency
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
	return verdict{status: http.StatusUnauthorized, code: reason}
}

func denied(d *auth.Denial) verdict {
	return verdict{status: d.Status, code: d.Reason, message: d.Message}
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
		return wire.Seconds(now, v.wait)
	case v.refusal == nil || form == NoRetryAfter:
		return "", time.Time{}
	case form == HTTPDate:
		return asDate(now, v.refusal.Ends)
	}
	return wire.Seconds(now, v.refusal.Ends.Sub(now))
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

// write sends the answer.
func (v verdict) write(w http.ResponseWriter, retryAfter string, body ThrottleBody) {
	h := w.Header()
	if retryAfter != "" {
		h.Set("Retry-After", retryAfter)
	}
	switch v.status {
	case http.StatusNoContent:
		w.WriteHeader(v.status)
	case http.StatusBadRequest, http.StatusForbidden, http.StatusNotFound, http.StatusMethodNotAllowed:
		wire.WriteJSON(w, v.status, wire.ErrorResponse{ErrorCode: v.code, DebugMessage: v.message})
	case http.StatusUnauthorized:
		h.Set("WWW-Authenticate", fmt.Sprintf("XBL3.0 error=%q", v.code))
		if v.message == "" {
			w.WriteHeader(v.status)
			return
		}
		wire.WriteJSON(w, v.status, wire.ErrorResponse{ErrorCode: v.code, DebugMessage: v.message})
	case http.StatusTooManyRequests:
		writeThrottled(w, v.refusal, body)
	default:
		http.Error(w, http.StatusText(v.status), v.status)
	}
}

func writeThrottled(w http.ResponseWriter, r *limit.Refusal, body ThrottleBody) {
	switch body {
	case Numbers:
		wire.WriteJSON(w, http.StatusTooManyRequests, wire.Numbers(r))
	case Strings:
		wire.WriteJSON(w, http.StatusTooManyRequests, wire.Strings(r))
	case NoBody:
		w.WriteHeader(http.StatusTooManyRequests)
	}
}
