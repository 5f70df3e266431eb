package xbl

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const entity = `{"version":1,"currentRequests":13,"maxRequests":7,"periodInSeconds":15,"limitType":"Rate"}`

func TestAnswersHaveOneMeaning(t *testing.T) {
	retry := http.Header{"Retry-After": {"9"}}
	full := Throttle{LimitType: "rate", CurrentRequests: 13, MaxRequests: 7, Period: 15 * time.Second}
	tests := []struct {
		name   string
		status int
		header http.Header
		body   string
		want   Error // zero: sent
	}{
		{name: "204", status: 204},
		{name: "204 with Retry-After", status: 204, header: retry},
		{name: "204 with a ThrottledEntity", status: 204, body: entity},
		{name: "200", status: 200},
		{name: "200 with some JSON", status: 200, body: `{"ok":true}`},
		{name: "202", status: 202},
		{name: "200 of a page", status: 200, body: "<html>Welcome", want: Error{Kind: Ambiguous,
			Detail: "OK with a body that is not this API's (check the base URL)"}},
		{name: "200 with JSON that was cut off", status: 200, body: `{"ok":tr`, want: Error{Kind: Ambiguous}},
		{name: "200 with a ThrottledEntity", status: 200, body: entity,
			want: Error{Kind: Throttled, RetryAfter: 15 * time.Second, Throttle: full}},

		{name: "429", status: 429, want: Error{Kind: Throttled, RetryAfter: 15 * time.Second}},
		{name: "429 with Retry-After", status: 429, header: retry, want: Error{Kind: Throttled, RetryAfter: 9 * time.Second}},
		{name: "429 with both", status: 429, header: retry, body: entity,
			want: Error{Kind: Throttled, RetryAfter: 9 * time.Second, Throttle: full}},
		{name: "429 in words", status: 429, body: "The rate limit has been exceeded",
			want: Error{Kind: Throttled, RetryAfter: 15 * time.Second, Detail: "The rate limit has been exceeded"}},
		{name: "429 of a page", status: 429, body: "<html>", want: Error{Kind: Throttled, RetryAfter: 15 * time.Second, Detail: "Too Many Requests"}},
		{name: "503 with Retry-After", status: 503, header: retry, want: Error{Kind: Throttled, RetryAfter: 9 * time.Second}},
		{name: "503 with unreadable Retry-After", status: 503, header: http.Header{"Retry-After": {"soon"}},
			want: Error{Kind: Throttled, RetryAfter: 15 * time.Second}},
		{name: "503", status: 503, want: Error{Kind: Transient}},
		{name: "500 with a ThrottledEntity", status: 500, body: entity, want: Error{Kind: Throttled, RetryAfter: 15 * time.Second, Throttle: full}},
		{name: "401 with a ThrottledEntity", status: 401, body: entity, want: Error{Kind: Throttled, RetryAfter: 15 * time.Second, Throttle: full}},
		{name: "404 with a ThrottledEntity", status: 404, body: entity, want: Error{Kind: Throttled, RetryAfter: 15 * time.Second, Throttle: full}},
		{name: "502 with a ThrottledEntity", status: 502, body: entity, want: Error{Kind: Throttled, RetryAfter: 15 * time.Second, Throttle: full}},

		{name: "400 with a ThrottledEntity", status: 400, body: entity, want: Error{Kind: Rejected}},
		{name: "400", status: 400, want: Error{Kind: Rejected, Detail: "Bad Request"}},
		{name: "400 of garbage", status: 400, body: "{{{", want: Error{Kind: Rejected}},
		{name: "400 RequestValidationError", status: 400, body: `{"errorCode":"RequestValidationError","debugMessage":"bad user"}`,
			want: Error{Kind: Rejected, Code: "RequestValidationError", Detail: "bad user"}},
		{name: "400 InvalidRequest", status: 400, body: `{"errorCode":"InvalidRequest"}`, want: Error{Kind: Rejected, Code: "InvalidRequest"}},
		{name: "400 AuthorizationError", status: 400, body: `{"errorCode":" AuthorizationError : The caller may not","debugMessage":null}`,
			want: Error{Kind: Forbidden, Code: "AuthorizationError", Detail: "The caller may not"}},
		{name: "400 with a number", status: 400, body: `{"errorCode":1000,"errorMessage":"x"}`, want: Error{Kind: Rejected, Code: "1000", Detail: "x"}},
		{name: "400 with fields of odd types", status: 400, body: `{"errorCode":{"a":1},"debugMessage":["x"],"message":"why"}`,
			want: Error{Kind: Rejected, Detail: "why"}},
		{name: "403", status: 403, body: `{"code":1000,"source":"x","description":"no claim"}`, want: Error{Kind: Forbidden, Code: "1000", Detail: "no claim"}},
		{name: "401", status: 401, header: http.Header{"Www-Authenticate": {`XSTS error="expired"`}},
			want: Error{Kind: Unauthorized, Detail: `XSTS error="expired"`}},
		{name: "401 that echoes the token", status: 401, header: http.Header{"Www-Authenticate": {testAuthorization + " is old"}},
			want: Error{Kind: Unauthorized, Detail: "[redacted] is old"}},

		{name: "404", status: 404, want: Error{Kind: Misconfigured}}, {name: "405", status: 405, want: Error{Kind: Misconfigured}},
		{name: "410", status: 410, want: Error{Kind: Misconfigured}}, {name: "413", status: 413, want: Error{Kind: Misconfigured}},
		{name: "415", status: 415, want: Error{Kind: Misconfigured}}, {name: "501", status: 501, want: Error{Kind: Misconfigured}},
		{name: "301", status: 301, want: Error{Kind: Misconfigured}}, {name: "304", status: 304, want: Error{Kind: Misconfigured}},
		{name: "399", status: 399, want: Error{Kind: Misconfigured}},
		{name: "307 with secrets in its target", status: 307, header: http.Header{"Location": {"https://me:pass@login.example/a?code=1#x"}},
			want: Error{Kind: Misconfigured,
				Detail: "Temporary Redirect to https://login.example/a (check the base URL, the title and the contract version)"}},
		{name: "502", status: 502, want: Error{Kind: Ambiguous}}, {name: "504", status: 504, want: Error{Kind: Ambiguous}},
		{name: "408", status: 408, want: Error{Kind: Transient}}, {name: "500", status: 500, want: Error{Kind: Transient}},
		{name: "406", status: 406, want: Error{Kind: Transient}}, {name: "101", status: 101, want: Error{Kind: Transient}},
		{name: "599", status: 599, want: Error{Kind: Transient, Detail: "status 599"}}, {name: "999", status: 999, want: Error{Kind: Transient}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := classify(answer{
				status: tt.status, header: tt.header, body: []byte(tt.body), now: time.Now(), maxRetryAfter: time.Hour, token: testToken(t),
			})
			if tt.want.Kind == 0 {
				require.Nil(t, got, "sent")
				return
			}
			require.NotNil(t, got, "not sent")
			assert.Equal(t, tt.want.Kind.String(), got.Kind.String())
			assert.Equal(t, tt.status, got.Status)
			assert.True(t, got.Written, "there was an answer, so the request was written")
			assert.Equal(t, tt.want.Code, got.Code)
			assert.Equal(t, tt.want.RetryAfter, got.RetryAfter)
			assert.Equal(t, tt.want.Throttle, got.Throttle)
			if tt.want.Detail != "" {
				assert.Equal(t, tt.want.Detail, got.Detail)
			}
			assert.NotEmpty(t, got.Detail, "there is always something to tell")
		})
	}
}

func TestThrottledEntityIsRecognised(t *testing.T) {
	const none = "none"
	day := 24 * time.Hour
	tests := []struct {
		body string
		want any
	}{
		{entity, Throttle{"rate", 13, 7, 15 * time.Second}},
		{`{"currentRequests":"13","maxRequests":"7","periodInSeconds":"15","limitType":"RATE"}`, Throttle{"rate", 13, 7, 15 * time.Second}},
		{`{"type":"burst","maxRequests":7}`, Throttle{LimitType: "rate", MaxRequests: 7}},
		{`{"limitType":" Concurrency "}`, Throttle{LimitType: "concurrency"}},
		{`{"limitType":null,"type":"rate"}`, Throttle{LimitType: "rate"}},
		{`{"limitType":"odd","maxRequests":3}`, Throttle{MaxRequests: 3}},
		{`{"maxRequests":[1],"periodInSeconds":300}`, Throttle{Period: 300 * time.Second}},
		{`{"maxRequests":7.0,"periodInSeconds":1.5e1}`, Throttle{MaxRequests: 7, Period: 15 * time.Second}},
		{"\xef\xbb\xbf \n" + `{"maxRequests":7}` + "\n", Throttle{MaxRequests: 7}},
		{`{"periodInSeconds":86400}`, Throttle{Period: day}},
		// Values out of a sane range are as good as absent.
		{`{"limitType":"rate","maxRequests":-1,"periodInSeconds":86401,"currentRequests":-3}`, Throttle{LimitType: "rate"}},
		{`{"limitType":"rate","maxRequests":1e300,"periodInSeconds":"1e300"}`, Throttle{LimitType: "rate"}},
		{`{"limitType":"rate","maxRequests":"NaN","periodInSeconds":"Inf"}`, Throttle{LimitType: "rate"}},
		{`{"limitType":"rate","maxRequests":7.5,"periodInSeconds":0.1}`, Throttle{LimitType: "rate"}},
		{`{"limitType":"rate","maxRequests":0,"periodInSeconds":0}`, Throttle{LimitType: "rate"}},
		{`{"maxRequests":0}`, none}, {`{"maxRequests":"many"}`, none}, {`{"currentRequests":3}`, none}, {`{"version":1}`, none},
		{`{"type":"https://example/error"}`, none}, {`{"limitType":"daily"}`, none},
		{`[` + entity + `]`, none}, {`"rate"`, none}, {`null`, none}, {``, none}, {entity[:40], none}, {entity + "x", none},
		{`{"status":` + entity + `}`, none},
		{strings.Repeat(`{"a":`, 12_000), none},
	}
	for _, tt := range tests {
		body := readBody([]byte(tt.body))
		got, ok := body.throttle()
		if tt.want == none {
			assert.False(t, ok, "%.80s is no ThrottledEntity", tt.body)
			continue
		}
		assert.True(t, ok, "%.80s is a ThrottledEntity", tt.body)
		assert.Equal(t, tt.want, got, "of %.80s", tt.body)
	}
}

func TestKindsAreNamedAndComplete(t *testing.T) {
	var names []string
	for _, k := range Kinds() {
		names = append(names, k.String())
	}
	assert.Equal(t, []string{"throttled", "rejected", "forbidden", "unauthorized", "transient", "ambiguous", "misconfigured"}, names)
	assert.Equal(t, "Kind(0)", Kind(0).String())
	assert.Equal(t, "Kind(8)", (Misconfigured + 1).String(), "a new kind must be added to Kinds and String")
}

func TestErrorIsOneLine(t *testing.T) {
	e := &Error{Kind: Throttled, Status: 429, Code: "Busy", RetryAfter: 9 * time.Second, Detail: "slow down"}
	assert.EqualError(t, e, "xbl: throttled, status 429, code Busy, retry after 9s: slow down")
	assert.EqualError(t, &Error{Kind: Transient}, "xbl: transient")
}

func TestTextFromOutsideIsMadeSafe(t *testing.T) {
	body := `{"errorCode":"` + strings.Repeat("C", 500) + `","debugMessage":"a\u0000b\r\nInvite-Reason: x\u001b[31m\u202e\ud800` +
		strings.Repeat("ü", 5000) + `"}`
	e := classify(answer{status: 400, body: []byte(body), maxRetryAfter: time.Hour})
	assert.Len(t, e.Code, maxCode)
	assert.LessOrEqual(t, len(e.Detail), maxDetail)
	assert.True(t, strings.HasPrefix(e.Detail, "a b Invite-Reason: x [31m \uFFFDüü"), "got %.60q", e.Detail)
	assert.True(t, strings.HasSuffix(e.Detail, "ü"), "cut between characters")
}

func TestOnlyA503SpeaksOfTheServiceAsAWhole(t *testing.T) {
	for _, status := range []int{400, 401, 403, 404, 429, 500, 502, 503, 504} {
		e := classify(answer{status: status, maxRetryAfter: time.Hour})
		assert.Equalf(t, status == http.StatusServiceUnavailable, e.Overloaded, "status %d", status)
	}
}
