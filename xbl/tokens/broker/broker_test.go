package broker_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/invitedhq/invited/xbl"
	"github.com/invitedhq/invited/xbl/tokens/broker"
	"github.com/invitedhq/invited/xbl/tokens/wire"
	"github.com/invitedhq/invited/xbl/tokens/wire/wiretest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	good = `{"authorization":"XBL3.0 x=me;t0ken","notAfter":"2126-12-24T20:00:00.1234567Z","gamertag":"whoever"}`
	bad  = "hunter2" // what no error may say
)

// serve is a broker of one handler.
func serve(t *testing.T, h http.HandlerFunc, change ...func(*broker.Options)) *broker.Source {
	t.Helper()
	server := httptest.NewServer(h)
	t.Cleanup(server.Close)
	o := broker.Options{URL: server.URL + "/tokens/{sender}?user={sender}"}
	for _, c := range change {
		c(&o)
	}
	s, err := broker.New(o)
	require.NoError(t, err)
	t.Cleanup(s.Close)
	return s
}

func problemOf(t *testing.T, s *broker.Source) *xbl.TokenError {
	t.Helper()
	_, err := s.Fetch(t.Context(), "ada", 1)
	var problem *xbl.TokenError
	require.ErrorAs(t, err, &problem)
	assert.NotContains(t, err.Error(), bad)
	return problem
}

func TestABrokerIsAskedForTheSenderAndAnswersWithATokenAndItsEnd(t *testing.T) {
	seen := make(chan string, 1)
	headers := filepath.Join(t.TempDir(), "headers")
	require.NoError(t, os.WriteFile(headers, []byte("# who we are\nX-Api-Key: one\n\nx-api-key:two\nUser-Agent: studio\n"), 0o600))
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		seen <- fmt.Sprint(r.Method, r.RequestURI, r.Header["X-Api-Key"], r.Header["User-Agent"], r.Header["Accept"])
		fmt.Fprint(w, good)
	}, func(o *broker.Options) { o.HeadersFile = headers })
	grant, err := s.Fetch(t.Context(), "lobby-1", 1)
	require.NoError(t, err)
	assert.Equal(t, "GET/tokens/lobby-1?user=lobby-1[one two] [studio] [application/json]", <-seen)
	assert.Equal(t, "XBL3.0 x=me;t0ken", grant.Token.Authorization())
	assert.WithinDuration(t, time.Date(2126, 12, 24, 20, 0, 0, 0, time.UTC), grant.Token.NotAfter, 2*time.Second)
	assert.False(t, grant.Token.IsSigned())

	require.NoError(t, os.WriteFile(headers, []byte("X-Api-Key: renewed\n"), 0o600))
	_, err = s.Fetch(t.Context(), "a", 1)
	require.NoError(t, err)
	assert.Contains(t, <-seen, "[renewed]", "the file is read again")
}

func TestASenderCannotLeadElsewhere(t *testing.T) {
	s := serve(t, func(http.ResponseWriter, *http.Request) { t.Error("it was asked") })
	for _, sender := range []string{"", "../admin", "a?b", "a b", strings.Repeat("a", 65)} {
		problem := s.Check(sender)
		require.NotNil(t, problem, sender)
		assert.Equal(t, xbl.TokenInvalid, problem.Kind)
	}
	assert.Nil(t, s.Check("lobby-1"))
}

func TestWhatABrokersAnswerMeans(t *testing.T) {
	for name, tt := range map[string]struct {
		status int
		header string
		body   string
		kind   xbl.TokenErrorKind
		want   string
	}{
		"unknown sender":   {404, "", bad, xbl.TokenMissing, "does not know this sender"},
		"unknown worker":   {401, "", bad, xbl.TokenDenied, "tokens.http.headers_file"},
		"not allowed":      {403, "", bad, xbl.TokenDenied, "answered 403"},
		"too often":        {429, "Retry-After: 30", bad, xbl.TokenThrottled, "too often"},
		"busy":             {503, "Retry-After: 30", bad, xbl.TokenThrottled, "too often"},
		"down":             {503, "", bad, xbl.TokenUnavailable, "answered 503"},
		"broken":           {500, "", bad, xbl.TokenUnavailable, "answered 500"},
		"elsewhere":        {302, "Location: /elsewhere", bad, xbl.TokenInvalid, "not followed"},
		"created":          {201, "", good, xbl.TokenInvalid, "200 with a token is expected"},
		"a page":           {200, "", "<html>" + bad, xbl.TokenInvalid, "its answer is not"},
		"nothing":          {200, "", "", xbl.TokenInvalid, "its answer is not"},
		"no token":         {200, "", `{"notAfter":"2126-12-24T20:00:00Z"}`, xbl.TokenInvalid, "authorization: it is empty"},
		"another token":    {200, "", `{"authorization":"Bearer hunter2","notAfter":"2126-12-24T20:00:00Z"}`, xbl.TokenInvalid, "XBL3.0"},
		"no end":           {200, "", `{"authorization":"XBL3.0 x=1;hunter2"}`, xbl.TokenInvalid, "notAfter"},
		"an end of words":  {200, "", `{"authorization":"XBL3.0 x=1;hunter2","notAfter":"tomorrow"}`, xbl.TokenInvalid, "notAfter"},
		"too much":         {200, "", strings.Repeat(" ", 70<<10) + good, xbl.TokenInvalid, "more than 65536 bytes"},
		"no whole answer":  {200, "Content-Length: 1000", "{", xbl.TokenUnavailable, "no whole answer"},
		"a number as text": {200, "", `{"authorization":7,"notAfter":"2126-12-24T20:00:00Z"}`, xbl.TokenInvalid, "its answer is not"},
	} {
		t.Run(name, func(t *testing.T) {
			s := serve(t, func(w http.ResponseWriter, _ *http.Request) {
				if name, value, ok := strings.Cut(tt.header, ": "); ok {
					w.Header().Set(name, value)
				}
				w.WriteHeader(tt.status)
				fmt.Fprint(w, tt.body)
			})
			problem := problemOf(t, s)
			assert.Equal(t, tt.kind.String(), problem.Kind.String())
			assert.ErrorContains(t, problem, tt.want)
			if tt.kind == xbl.TokenThrottled {
				assert.WithinDuration(t, time.Now().Add(30*time.Second), problem.RetryAt, 5*time.Second)
			}
		})
	}
}

func TestAnAnswerMayBeginWithAByteOrderMark(t *testing.T) {
	s := serve(t, func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "\ufeff"+good) })
	_, err := s.Fetch(t.Context(), "ada", 1)
	require.NoError(t, err)
}

func TestARedirectTakesNoCredentialsAlong(t *testing.T) {
	var followed atomic.Int32
	elsewhere := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { followed.Add(1) }))
	defer elsewhere.Close()
	for _, status := range []int{301, 302, 303, 307, 308} {
		s := serve(t, func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, elsewhere.URL, status) })
		problemOf(t, s)
	}
	assert.Zero(t, followed.Load())
}

func TestANameAndPasswordInTheURLAreBasicAuthorizationAndNeverShown(t *testing.T) {
	var user, password string
	status := 200
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		user, password, _ = r.BasicAuth()
		w.WriteHeader(status)
		fmt.Fprint(w, good)
	}, func(o *broker.Options) { o.URL = strings.Replace(o.URL, "http://", "http://invited:hunter2@", 1) })
	_, err := s.Fetch(t.Context(), "ada", 1)
	require.NoError(t, err)
	assert.Equal(t, "invited hunter2", user+" "+password)
	status = 500
	problemOf(t, s)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = s.Fetch(ctx, "ada", 1)
	require.Error(t, err)
	assert.NotContains(t, err.Error(), bad)
}

func TestABrokerMaySeeTheWorkersCertificate(t *testing.T) {
	a := wiretest.NewAuthority(t)
	server := a.Serve(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, good) }))
	certFile, keyFile := a.Valid(t, "worker")
	certificate, err := wire.NewCertificate(certFile, keyFile)
	require.NoError(t, err)
	s, err := broker.New(broker.Options{URL: server.URL, Options: wire.Options{CAFile: a.CAFile, Certificate: certificate}})
	require.NoError(t, err)
	defer s.Close()
	_, err = s.Fetch(t.Context(), "ada", 1)
	require.NoError(t, err)
	a.Issue(t, "worker", time.Now().Add(-2*time.Hour), time.Now().Add(-time.Hour))
	problem := problemOf(t, s)
	assert.Equal(t, xbl.TokenDenied, problem.Kind, "a person must act")
	assert.ErrorContains(t, problem, "the certificate ended on")
}

func TestTheEndOfATokenIsByTheBrokersClock(t *testing.T) {
	there := time.Now().Add(-5 * time.Hour) // this machine is five hours ahead
	s := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Date", there.UTC().Format(http.TimeFormat))
		fmt.Fprintf(w, `{"authorization":"XBL3.0 x=me;t0ken","notAfter":%q}`, there.Add(time.Hour).UTC().Format(time.RFC3339))
	})
	grant, err := s.Fetch(t.Context(), "ada", 1)
	require.NoError(t, err)
	assert.WithinDuration(t, time.Now().Add(time.Hour), grant.Token.NotAfter, 5*time.Second)
}

func TestURLsThatWouldGiveATokenAwayAreRefused(t *testing.T) {
	for url, want := range map[string]string{
		"":                                      "https://",
		"http://tokens.studio.example/{sender}": "in the clear",
		"https://{sender}.studio.example/":      "path and the query only",
		"ftp://studio.example/":                 "https://",
		"https://hunter2@%zz/":                  "can't be read",
		"https://studio.example/#{sender}":      "fragment",
	} {
		_, err := broker.New(broker.Options{URL: url})
		require.ErrorContains(t, err, want, url)
		assert.NotContains(t, err.Error(), bad)
	}
	for _, url := range []string{"http://127.0.0.1:9/{sender}", "http://[::1]:9/", "http://localhost/", "https://studio.example/a?b={sender}"} {
		_, err := broker.New(broker.Options{URL: url})
		require.NoError(t, err, url)
	}
}

func TestHeaderFilesThatCannotBeUsedSayWhereAndNotWhat(t *testing.T) {
	for content, want := range map[string]string{
		"X-Api-Key: a\nhunter2\n":           "line 2: it must be a header's name",
		"X-Api-Key:\n":                      "line 1: the value is empty",
		"X-Api-Key: hunter2\x01\n":          "line 1: the value",
		"bad name: hunter2\n":               "line 1: it must be",
		"Host: hunter2\n":                   "the worker's to set",
		strings.Repeat("#hunter2\n", 9_000): "longer than",
	} {
		file := filepath.Join(t.TempDir(), "headers")
		require.NoError(t, os.WriteFile(file, []byte(content), 0o600))
		err := broker.CheckHeaders(file)
		require.ErrorContains(t, err, want)
		assert.NotContains(t, err.Error(), bad)
	}
	assert.ErrorContains(t, broker.CheckHeaders(filepath.Join(t.TempDir(), "none")), "no such file")
}
