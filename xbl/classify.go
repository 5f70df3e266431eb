package xbl

import (
	"bytes"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// answer is all that the meaning of a response depends on.
type answer struct {
	status        int
	header        http.Header
	body          []byte // at most maxBody bytes; what could be read of it
	now           time.Time
	maxRetryAfter time.Duration
	token         Token // that the call was made with, to keep it out of the error
}

// classify is the one place that reads status codes: it turns an answer into its meaning, nil for sent.
func classify(a answer) *Error {
	if a.status == http.StatusNoContent {
		return nil
	}
	body := readBody(a.body)
	code, _ := body.code()
	e := &Error{
		Kind:    kindOf(a.status, code),
		Status:  a.status,
		Code:    humanText(code, a.token, maxCode),
		Written: true,

		Overloaded: a.status == http.StatusServiceUnavailable,
	}
	throttle, isThrottled := body.throttle()
	switch {
	case a.status == http.StatusBadRequest:
		// Whatever a 400 carries, it is about this request and not about the quota.
	case isThrottled, a.status == http.StatusTooManyRequests,
		a.status == http.StatusServiceUnavailable && a.header.Get("Retry-After") != "":
		e.Kind = Throttled
		e.Throttle = throttle
		e.RetryAfter = retryAfter(a.header, throttle.Period, a.now, a.maxRetryAfter)
	case a.status >= 200 && a.status < 300:
		if body.isObject || len(bytes.TrimSpace(a.body)) == 0 {
			return nil
		}
		// A web page, or JSON that was cut off. Something on the way may have put it in the place of the API's own answer; and
		// as long as it does, no job must die of it.
		e.Kind = Ambiguous
	}
	e.Detail = humanText(detail(e.Kind, a, &body), a.token, maxDetail)
	return e
}

// kindOf is the meaning of a status alone, for every status but the ones that mean sent or throttled.
func kindOf(status int, code string) Kind {
	switch status {
	case http.StatusBadRequest:
		if strings.EqualFold(code, "AuthorizationError") {
			return Forbidden
		}
		return Rejected
	case http.StatusUnauthorized:
		return Unauthorized
	case http.StatusForbidden:
		return Forbidden
	case http.StatusBadGateway, http.StatusGatewayTimeout:
		// A gateway speaks for itself. The service behind it may have done its work.
		return Ambiguous
	case http.StatusNotFound, http.StatusMethodNotAllowed, http.StatusGone, http.StatusRequestEntityTooLarge,
		http.StatusUnsupportedMediaType, http.StatusNotImplemented:
		return Misconfigured
	}
	if status >= 300 && status < 400 {
		return Misconfigured
	}
	return Transient
}

// detail is what to tell people: the API's own words where it has any, else the name of the status.
func detail(kind Kind, a answer, body *answerBody) string {
	words := body.message()
	if words == "" {
		words = plain(a.header, a.body)
	}
	switch {
	case a.status == http.StatusUnauthorized && a.header.Get("WWW-Authenticate") != "":
		words = strings.TrimSpace(a.header.Get("WWW-Authenticate") + " " + words)
	case kind == Ambiguous && a.status < 300:
		words = strings.TrimSpace(statusText(a.status) + " with a body that is not this API's (check the base URL) " + words)
	case kind == Misconfigured:
		words = strings.TrimSpace(statusText(a.status) + redirectTarget(a.header) +
			" (check the base URL, the title and the contract version) " + words)
	}
	if words == "" {
		words = statusText(a.status)
	}
	return words
}

// redirectTarget tells where an answer wanted to lead, without the parts of a URL that may hold secrets.
func redirectTarget(header http.Header) string {
	u, err := url.Parse(header.Get("Location"))
	if err != nil || *u == (url.URL{}) {
		return ""
	}
	return " to " + (&url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path}).String()
}

func statusText(status int) string {
	if s := http.StatusText(status); s != "" {
		return s
	}
	return "status " + strconv.Itoa(status)
}
