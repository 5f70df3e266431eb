package xbl

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// FuzzAnswer reads whole answers as they are on the wire: status line, headers, chunks and body.
func FuzzAnswer(f *testing.F) {
	for _, seed := range []string{
		"HTTP/1.1 204 No Content\r\n\r\n", "HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\nhello",
		"HTTP/1.1 429 Too Many Requests\r\nRetry-After: 9\r\nContent-Length: " + strconv.Itoa(len(entity)) + "\r\n\r\n" + entity,
		"HTTP/1.1 503 x\r\nRetry-After: Fri, 31 Dec 9999 23:59:59 GMT\r\nDate: Thu, 01 Jan 1970 00:00:00 GMT\r\n\r\n",
		"HTTP/1.1 400 Bad\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{\"err\r\n9999999999\r\norCode", "HTTP/1.1 101 Switching\r\n\r\nhello",
		"HTTP/1.1 302 Found\r\nLocation: https://u:p@a.example/?" + testAuthorization + "\r\n\r\n<html>", "HTTP/1.0 200 OK\r\n\r\n{}", "HTTP/1.1 000 \r\n\r\n",
		"HTTP/1.1 401 No\r\nWWW-Authenticate: " + testAuthorization + "\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n\x1f\x8b",
		"HTTP/1.1 999 x\r\nContent-Length: -1\r\n\r\n", "HTTP/2 200", "\xef\xbb\xbf", "HTTP/1.1 500 x\r\n\r\n\xef\xbb\xbf {\"debugMessage\":\"\u202e\"}",
	} {
		f.Add([]byte(seed))
	}
	tokens := Static(testAuthorization)
	token := testToken(f)
	f.Fuzz(func(t *testing.T, wire []byte) {
		response, err := http.ReadResponse(bufio.NewReader(bytes.NewReader(wire)), nil)
		if err != nil {
			return // net/http refuses it, and the call has no answer
		}
		defer response.Body.Close()
		c := &Client{options: Options{Tokens: tokens, MaxRetryAfter: time.Hour}}
		e := c.judge(response, "alice", token)
		if e == nil {
			assert.True(t, response.StatusCode >= 200 && response.StatusCode < 300, "status %d counts as sent", response.StatusCode)
			return
		}
		assert.Contains(t, Kinds(), e.Kind)
		assert.True(t, e.Written, "there was an answer")
		assert.Equal(t, e.Kind == Throttled, e.RetryAfter >= time.Second && e.RetryAfter <= time.Hour, "RetryAfter is %v", e.RetryAfter)
		assert.True(t, utf8.ValidString(e.Error()) && len(e.Detail) <= maxDetail && len(e.Code) <= maxCode, "%q", e.Error())
		assert.Empty(t, leaks(e.Error(), testAuthorization))
		assert.False(t, strings.ContainsAny(e.Error(), "\r\n\x1b"), "%q", e.Error())
	})
}

// FuzzThrottledEntity: its numbers mean the same as JSON numbers and as strings, and none is out of range.
func FuzzThrottledEntity(f *testing.F) {
	f.Add("rate", int64(13), int64(7), int64(15))
	f.Add(" Concurrency", int64(-1), int64(0), int64(86401))
	f.Add("\u212a", int64(1<<62), int64(1_000_000_000), int64(86400))
	f.Add("", int64(0), int64(-1<<63), int64(1<<53+1))
	f.Fuzz(func(t *testing.T, limit string, current, most, period int64) {
		entityOf := func(number func(int64) any) *Error {
			body, err := json.Marshal(map[string]any{
				"limitType": limit, "currentRequests": number(current), "maxRequests": number(most), "periodInSeconds": number(period),
			})
			require.NoError(t, err)
			return classify(answer{status: http.StatusTooManyRequests, body: body, maxRetryAfter: 24 * time.Hour})
		}
		e := entityOf(func(n int64) any { return n })
		require.Equal(t, e, entityOf(func(n int64) any { return strconv.FormatInt(n, 10) }), "as strings")
		require.Equal(t, e, entityOf(func(n int64) any { return " " + strconv.FormatInt(n, 10) + ".0 " }), "as strings of fractions")
		within := func(n, least, most int64) int64 {
			if n < least || n > most {
				return 0
			}
			return n
		}
		require.Equal(t, Throttled, e.Kind)
		require.EqualValues(t, within(most, 1, 1e9), e.Throttle.MaxRequests)
		require.EqualValues(t, within(current, 0, 1e9), e.Throttle.CurrentRequests)
		require.Equal(t, time.Duration(within(period, 1, 86400))*time.Second, e.Throttle.Period)
		require.Contains(t, []string{"", "rate", "concurrency"}, e.Throttle.LimitType)
		require.True(t, e.RetryAfter >= time.Second && e.RetryAfter <= 24*time.Hour)
	})
}

// FuzzRedaction puts a token, whole or in part, into the words of others: what is shown of them has no part of it.
func FuzzRedaction(f *testing.F) {
	const ours = redacted + " (the answer repeats the token)"
	secret := strings.TrimPrefix(testAuthorization, scheme)
	for _, words := range []string{"", "no luck", "XBL3.0 x=", "\"Authorization\": \"", "\xff\u202e\n", strings.Repeat("a", maxDetail), strings.Repeat("XBL3.0 x=1;a ", 400),
		strings.Repeat("AuthorizationOf", 1000)} {
		f.Add(secret, words, "", uint16(0), uint16(1<<15))
		f.Add(secret, words, words, uint16(5), uint16(30))
		f.Add("1;"+strings.Repeat("ab", 40), words, "ab", uint16(1), uint16(20))
	}
	f.Add("1;abcd", "abcd", "abcd", uint16(0), uint16(9))
	f.Fuzz(func(t *testing.T, secret, before, after string, from, to uint16) {
		token, err := NewToken(scheme + secret)
		if err != nil || strings.Contains(secret, "redacted") {
			return
		}
		authorization := token.authorization()
		from, to = min(from, uint16(len(authorization))), min(to, uint16(len(authorization)))
		words := before + authorization[min(from, to):max(from, to)] + after
		for _, shown := range []string{humanText(words, token, maxDetail), withoutToken(errors.New(words), token).Error()} {
			require.Empty(t, leaks(shown, authorization), "%q", shown)
			require.LessOrEqual(t, len(shown), 8*maxDetail, "an error is bounded")
			_, bare, _ := strings.Cut(secret, ";")
			if len(bare) >= 4 && !strings.Contains(ours, bare) {
				require.NotContains(t, shown, bare)
			}
		}
		shown := humanText(words, token, maxDetail)
		require.True(t, utf8.ValidString(shown) && len(shown) <= maxDetail && !strings.ContainsAny(shown, "\r\n\x1b"), "%q", shown)
	})
}
