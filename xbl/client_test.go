package xbl

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestACallIsWhatTheServiceExpects(t *testing.T) {
	tests := []struct {
		audience Audience
		sender   string
		prefix   string
		path     string
		body     string
	}{
		{AudienceClient, "alice", "", "/titles/42/invites", `{"invitedUsers":["7"]}`},
		{AudienceServer, "99", "/gateway/", "/gateway/titles/42/invites/server", `{"invitedUsers":["7"],"sender":"99"}`},
	}
	for _, tt := range tests {
		t.Run(tt.audience.String(), func(t *testing.T) {
			seen := make(chan string, 1)
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				body, _ := io.ReadAll(r.Body)
				h := r.Header
				seen <- fmt.Sprintln(r.Method, r.URL.Path, h["Authorization"], h["Content-Type"], h["X-Xbl-Contract-Version"],
					h["User-Agent"], r.ContentLength == int64(len(body)), len(h), string(body))
				w.WriteHeader(http.StatusNoContent)
			}))
			defer server.Close()
			client := newTestClient(t, server.URL+tt.prefix, func(o *Options) { o.Audience = tt.audience })
			require.NoError(t, client.SendInvites(t.Context(), Invite{TitleID: 42, Sender: tt.sender, InvitedUsers: []uint64{7}}))
			assert.Equal(t, fmt.Sprintln("POST", tt.path, []string{testAuthorization}, "[application/json] [1] [invited]", true, 5, tt.body),
				<-seen, "five headers: these and Content-Length")
		})
	}
}

func TestSendInvitesReturnsNilWithoutAType(t *testing.T) {
	client := serve(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) })
	if err := client.SendInvites(t.Context(), testInvite); err != nil { // What callers write; a nil *Error would get in here.
		t.Errorf("sent, but the error is a %T", err)
	}
}

func TestRedirectsAreNotFollowed(t *testing.T) {
	var followed atomic.Int32
	other := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { followed.Add(1) }))
	defer other.Close()
	for _, status := range []int{301, 302, 303, 307, 308} {
		client := serve(t, func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, other.URL+"/elsewhere", status) })
		e := send(t.Context(), t, client)
		assert.Equal(t, Misconfigured, e.Kind)
		assert.Contains(t, e.Detail, other.URL+"/elsewhere", "people want to know where it led")
		assert.Zero(t, followed.Load(), "the token must not travel after a %d", status)
	}
}

// A status decides, whatever becomes of the body.
func TestBrokenBodies(t *testing.T) {
	tests := []struct {
		name    string
		handler http.HandlerFunc
		want    Kind
	}{
		{"shorter than announced", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "1000")
			w.WriteHeader(500)
			_, _ = io.WriteString(w, "{")
		}, Transient},
		{"endless", func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(429)
			for chunk := strings.Repeat("x", 32<<10); ; {
				if _, err := io.WriteString(w, chunk); err != nil {
					return
				}
			}
		}, Throttled},
		{"endless after success", func(w http.ResponseWriter, _ *http.Request) {
			for chunk := strings.Repeat(" ", 32<<10); ; {
				if _, err := io.WriteString(w, chunk); err != nil {
					return
				}
			}
		}, 0},
		{"compressed garbage", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Encoding", "gzip")
			w.WriteHeader(403)
			_, _ = io.WriteString(w, "no gzip")
		}, Forbidden},
		{"cut off", func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(404)
			_, _ = io.WriteString(w, strings.Repeat("x", 8<<10))
			panic(http.ErrAbortHandler)
		}, Misconfigured},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			client := serve(t, tt.handler)
			err := client.SendInvites(t.Context(), testInvite)
			if tt.want == 0 {
				require.NoError(t, err)
				return
			}
			var e *Error
			require.ErrorAs(t, err, &e)
			assert.Equal(t, tt.want.String(), e.Kind.String())
		})
	}
}

func TestOneConnectionServesManyCalls(t *testing.T) {
	for _, protocol := range []string{"HTTP/1.1", "HTTP/2.0"} {
		for _, status := range []int{204, 400, 429} {
			t.Run(fmt.Sprint(protocol, " ", status), func(t *testing.T) {
				var connections, other atomic.Int32
				server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					if r.Proto != protocol {
						other.Add(1)
					}
					w.WriteHeader(status)
					if status != 204 {
						_, _ = io.WriteString(w, strings.Repeat("x", maxBody+1000))
					}
				}))
				server.Config.ConnState = func(_ net.Conn, state http.ConnState) {
					if state == http.StateNew {
						connections.Add(1)
					}
				}
				server.EnableHTTP2 = protocol == "HTTP/2.0"
				server.StartTLS()
				defer server.Close()
				client := newTestClient(t, server.URL, func(o *Options) { o.Transport = trusting(server) })
				const calls = 20
				for range calls {
					err := client.SendInvites(t.Context(), testInvite)
					assert.Equal(t, status == 204, err == nil)
				}
				assert.Zero(t, other.Load(), "every call is made with the protocol that was offered")
				// net/http gives a connection up that took long to write a request, and the client one whose body took long: on a machine
				// that is busy both happen now and then.
				assert.Less(t, connections.Load(), int32(calls/2), "also after an answer that is larger than what is read of it")
			})
		}
	}
}

// trusting is the default transport, with the certificate of a test server.
func trusting(server *httptest.Server) *http.Transport {
	transport := NewTransport(8)
	transport.TLSClientConfig = server.Client().Transport.(*http.Transport).TLSClientConfig.Clone()
	transport.TLSClientConfig.NextProtos = nil
	return transport
}

// source is a TokenSource made of functions.
type source struct {
	token   func(context.Context, string) (Token, error)
	refused func(string, Token)
}

func (s source) Token(ctx context.Context, sender string) (Token, error) { return s.token(ctx, sender) }
func (s source) Refused(sender string, t Token)                          { s.refused(sender, t) }

func TestAFailedTokenSourceMakesNoCall(t *testing.T) {
	var calls atomic.Int32
	handler := func(http.ResponseWriter, *http.Request) { calls.Add(1) }
	cause := &TokenError{Kind: TokenMissing, Sender: "alice", Detail: "write it"}
	tests := []struct {
		name   string
		tokens source
		detail string
	}{
		{"an error", source{token: func(context.Context, string) (Token, error) { return Token{}, cause }},
			`token of sender "alice" is missing: write it`},
		{"an error with a token in it", source{token: func(context.Context, string) (Token, error) {
			return Token{}, errors.New("no good: " + testAuthorization)
		}}, "no good: [redacted]"},
		{"no token and no error", source{token: func(context.Context, string) (Token, error) { return Token{}, nil }},
			"the token source gave an empty token"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			e := send(t.Context(), t, serve(t, handler, func(o *Options) { o.Tokens = tt.tokens }))
			assert.Equal(t, Unauthorized, e.Kind)
			assert.False(t, e.Written)
			assert.Equal(t, tt.detail, e.Detail)
			assert.Empty(t, leaks(fmt.Sprintf("%+v %v", e, e.Err), testAuthorization))
			var te *TokenError
			assert.Equal(t, tt.name == "an error", errors.As(e, &te), "a *TokenError is found in the call's error")
		})
	}
	assert.Zero(t, calls.Load(), "no call without a token")
}

func TestACallerThatGaveUpIsNoProblemOfTheToken(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	client := newTestClient(t, "http://127.0.0.1:1", func(o *Options) {
		o.Tokens = source{token: func(ctx context.Context, _ string) (Token, error) {
			cancel()
			<-ctx.Done()
			return Token{}, ctx.Err()
		}}
	})
	e := send(ctx, t, client)
	assert.Equal(t, Transient, e.Kind)
	assert.ErrorIs(t, e, context.Canceled)
}

func TestARefusedTokenIsReported(t *testing.T) {
	token := testToken(t)
	for status, want := range map[int]int{401: 1, 403: 0, 204: 0, 400: 0, 500: 0} {
		reports := 0
		client := serve(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) }, func(o *Options) {
			o.Tokens = source{
				token: func(context.Context, string) (Token, error) { return token, nil },
				refused: func(sender string, refused Token) {
					reports++
					assert.Equal(t, "alice", sender)
					assert.True(t, token.Equal(refused), "exactly the token of the call")
				},
			}
		})
		_ = client.SendInvites(t.Context(), testInvite)
		assert.Equal(t, want, reports, "reports after a %d", status)
	}
}

func TestOptionsAreChecked(t *testing.T) {
	good := Options{Tokens: Static("")}
	with := func(change func(*Options)) Options { o := good; change(&o); return o }
	base := func(s string) Options { return with(func(o *Options) { o.BaseURL = s }) }
	for _, o := range []Options{good, base("https://a.example"), base("https://a.example:8443/x/"), base("http://127.0.0.1:80"),
		base("http://127.9.9.9"), base("http://[::1]:8080"), base("http://LOCALHOST"), base("HTTPS://a.example")} {
		_, err := NewClient(o)
		assert.NoError(t, err, "base URL %q", o.BaseURL)
	}
	bad := map[string]Options{
		"Tokens is missing":          {},
		"host \"a.example\"":         base("http://a.example"),
		"host \"localhost.example\"": base("http://localhost.example"),
		"begin with https://":        base("a.example"),
		"and a host":                 base("https:///x"),
		"must begin":                 base("ftp://a.example"),
		"user name or password":      base("https://me:hunter2@a.example"),
		"query":                      base("https://a.example?key=hunter2"),
		"fragment":                   base("https://a.example#x"),
		"can't be read":              base("https://me:hunter2@a.example:port"),
		"escaping":                   base("https://a.example/a%2fb"),
		"timeout is -1s":             with(func(o *Options) { o.Timeout = -time.Second }),
		"Retry-After is 1ms":         with(func(o *Options) { o.MaxRetryAfter = time.Millisecond }),
		"MaxInFlight":                with(func(o *Options) { o.MaxInFlight = -1 }),
		"Audience 2":                 with(func(o *Options) { o.Audience = 2 }),
		"UserAgent":                  with(func(o *Options) { o.UserAgent = "a\r\nb: c" }),
	}
	for want, o := range bad {
		_, err := NewClient(o)
		require.ErrorContains(t, err, want)
		assert.NotContains(t, err.Error(), "hunter2", "a URL may hold a password")
	}
}

func TestAudienceIsReadFromItsName(t *testing.T) {
	for _, a := range []Audience{AudienceClient, AudienceServer} {
		got, err := ParseAudience(a.String())
		require.NoError(t, err)
		assert.Equal(t, a, got)
	}
	_, err := ParseAudience("Server")
	assert.EqualError(t, err, `audience is "Server", not client or server`)
}

// BenchmarkSendInvites is a whole call over loopback, with the test server's own cost in it.
func BenchmarkSendInvites(b *testing.B) {
	client := serve(b, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) })
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if err := client.SendInvites(b.Context(), testInvite); err != nil {
				b.Error(err)
			}
		}
	})
}
