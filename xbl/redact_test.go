package xbl

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// leaks says which part of authorization s contains, "" if none. The scheme is no secret.
func leaks(s, authorization string) string {
	secret := strings.TrimPrefix(authorization, scheme)
	for i := 0; i+leak <= len(secret); i++ {
		if strings.Contains(s, secret[i:i+leak]) {
			return secret[i : i+leak]
		}
	}
	return ""
}

func TestTokenNeverShowsItself(t *testing.T) {
	token := testToken(t)
	type holder struct{ token Token } // unexported: fmt can't call the methods of Token here
	type exported struct{ Token Token }
	var shown []string
	for _, v := range []any{token, &token, holder{token}, &holder{token}, exported{token}, []Token{token}, map[string]Token{"a": token},
		Static(testAuthorization), &Error{Kind: Unauthorized, Err: &TokenError{Kind: TokenRefused}}} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d", "%10.3s"} {
			shown = append(shown, fmt.Sprintf(verb, v))
		}
	}
	var log bytes.Buffer
	slog.New(slog.NewTextHandler(&log, nil)).Info("x", "a", token, "b", &token, "c", exported{token}, "d", holder{token})
	slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "a", token, "b", &token, "c", exported{token}, "d", holder{token})
	asJSON, err := json.Marshal([]any{token, &token, exported{token}, holder{token}})
	require.NoError(t, err)
	asXML, err := xml.Marshal(exported{token})
	require.NoError(t, err)
	shown = append(shown, log.String(), string(asJSON), string(asXML))
	for _, s := range shown {
		assert.Empty(t, leaks(s, testAuthorization), "shown as %s", s)
	}
	assert.Equal(t, "[redacted]", fmt.Sprint(token))
}

func TestATokenInPiecesIsRedactedWhole(t *testing.T) {
	token, err := NewToken("XBL3.0 x=hash;" + strings.Repeat("AbCdEfGh0123", 10))
	require.NoError(t, err)
	said := "you sent:"
	for rest := token.authorization(); len(rest) > 12; rest = rest[12:] {
		said += "\n" + rest[:12]
	}
	assert.Equal(t, "[redacted] (the answer repeats the token)", humanText(said, token, maxDetail))
	assert.Equal(t, "the user is not allowed to do that", humanText("the user is not allowed to do that", token, maxDetail))
}

// An answer may contain the token whole or in pieces, anywhere; no part of it that could be used comes through.
func TestNoErrorRepeatsTheToken(t *testing.T) {
	alphabet := rapid.StringMatching(`[A-Za-z0-9+/=._-]{20,300}`)
	rapid.Check(t, func(t *rapid.T) {
		authorization := scheme + rapid.StringMatching(`[0-9]{1,20}|-`).Draw(t, "hash") + ";" + alphabet.Draw(t, "token")
		token, err := NewToken(authorization)
		require.NoError(t, err)
		piece := func(name string) string {
			from := rapid.IntRange(0, len(authorization)).Draw(t, name+" from")
			to := rapid.IntRange(from, len(authorization)).Draw(t, name+" to")
			return rapid.String().Draw(t, name+" before") + authorization[from:to] + rapid.String().Draw(t, name+" after")
		}
		body, err := json.Marshal(map[string]string{"errorCode": piece("code"), "debugMessage": piece("message") + piece("again")})
		require.NoError(t, err)
		if rapid.Bool().Draw(t, "plain text") {
			body = []byte(piece("plain"))
		}
		e := classify(answer{
			status: rapid.SampledFrom([]int{301, 400, 401, 403, 404, 429, 500, 502}).Draw(t, "status"),
			header: http.Header{"Www-Authenticate": {piece("header")}, "Location": {"/" + piece("location")}},
			body:   body, now: time.Now(), maxRetryAfter: time.Hour, token: token,
		})
		if part := leaks(e.Error()+"\n"+e.Detail+"\n"+e.Code, authorization); part != "" {
			t.Fatalf("%q of the token is in %q", part, e.Error())
		}
		if !utf8.ValidString(e.Detail) || len(e.Detail) > maxDetail || len(e.Code) > maxCode {
			t.Fatalf("unfit text: %q", e.Error())
		}
	})
}

func TestOtherTokensAreRedactedToo(t *testing.T) {
	const other = `proxy got "XBL3.0 x=9;abc" and XBL3.0 x=8;def end`
	assert.Equal(t, `proxy got "[redacted]" and [redacted] end`, redact(other, Token{}))
	assert.Equal(t, "nothing to hide", redact("nothing to hide", testToken(t)))
	short, err := NewToken("XBL3.0 x=1;tok-a")
	require.NoError(t, err)
	assert.Equal(t, "bad [redacted].", redact("bad tok-a.", short), "short tokens of tests and demos as well")
}

func FuzzErrorBody(f *testing.F) {
	for _, body := range []string{entity, "", "{", `{"errorCode":"AuthorizationError: x"}`, "<html>", "plain", `{"maxRequests":1e999}`,
		`{"errorCode":"` + testAuthorization + `"}`, "\xff\xfe", `{"debugMessage":"\ud800\u0000"}`} {
		f.Add(400, "5", "", []byte(body))
		f.Add(429, "", testAuthorization, []byte(body))
		f.Add(503, "x", "https://a.example/", []byte(body))
	}
	token, err := NewToken(testAuthorization)
	require.NoError(f, err)
	f.Fuzz(func(t *testing.T, status int, retry, other string, body []byte) {
		header := http.Header{"Retry-After": {retry}, "Www-Authenticate": {other}, "Location": {other}, "Date": {other}}
		e := classify(answer{status: status, header: header, body: body, now: time.Unix(1785585600, 0), maxRetryAfter: time.Hour, token: token})
		if e == nil {
			assert.True(t, status >= 200 && status < 300, "status %d counts as sent", status)
			return
		}
		assert.Contains(t, Kinds(), e.Kind)
		assert.Equal(t, e.Kind == Throttled, e.RetryAfter != 0, "only a throttle says when to come back")
		assert.True(t, e.Kind != Throttled || e.RetryAfter >= time.Second && e.RetryAfter <= time.Hour, "RetryAfter is %v", e.RetryAfter)
		assert.True(t, utf8.ValidString(e.Error()) && len(e.Detail) <= maxDetail && len(e.Code) <= maxCode, "%q", e.Error())
		assert.Empty(t, leaks(e.Error(), testAuthorization))
		assert.NotContains(t, e.Error(), "\n")
	})
}

// BenchmarkClassify is the cost of an answer's meaning: nothing for a 204, some microseconds for a refusal.
func BenchmarkClassify(b *testing.B) {
	secret := make([]byte, 2000)
	for i := range secret {
		secret[i] = 'A' + byte(rand.N(58))
	}
	token, _ := NewToken(scheme + "1;" + string(secret))
	for name, a := range map[string]answer{
		"204": {status: 204},
		"429": {status: 429, header: http.Header{"Retry-After": {"9"}}, body: []byte(entity)},
		"400": {status: 400, body: []byte(`{"errorCode":"RequestValidationError","debugMessage":"invitedUsers[3] can not be invited"}`)},
	} {
		a.token, a.maxRetryAfter = token, time.Hour
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				classify(a)
			}
		})
	}
}
