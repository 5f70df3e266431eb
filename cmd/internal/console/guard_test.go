package console

import (
	"bytes"
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/bcrypt"

	"github.com/invitedhq/invited/configs"
)

// asked is an answer of a console whose worker is starting: who may ask is decided before.
func asked(t *testing.T, c *Console, method, path string, change ...func(*http.Request)) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), method, path, http.NoBody)
	r.Host = "127.0.0.1:9464"
	for _, f := range change {
		f(r)
	}
	w := httptest.NewRecorder()
	c.ServeHTTP(w, r)
	return w
}

func header(name, value string) func(*http.Request) {
	return func(r *http.Request) { r.Header.Set(name, value) }
}

func newConsole(t *testing.T, admin configs.Admin) *Console {
	t.Helper()
	if admin.Listen == "" {
		admin.Listen = "127.0.0.1:9464"
	}
	c, err := New(Options{Admin: admin, Log: slog.New(slog.NewTextHandler(t.Output(), nil))})
	require.NoError(t, err)
	return c
}

func users(t *testing.T, lines ...string) (file string) {
	t.Helper()
	file = filepath.Join(t.TempDir(), "users")
	require.NoError(t, os.WriteFile(file, []byte(strings.Join(lines, "\n")), 0o600))
	return file
}

func user(t *testing.T, name, password string) string {
	t.Helper()
	digest, err := bcrypt.GenerateFromPassword([]byte(password), bcrypt.MinCost)
	require.NoError(t, err)
	return name + ":" + string(digest)
}

func TestEachAnswerForbidsWhatThePagesDoNotNeed(t *testing.T) {
	c := newConsole(t, configs.Admin{})
	for _, path := range []string{"/", "/dead", "/nothing", "/assets/x/console.js", "/events/"} {
		ctx, cancel := context.WithCancel(t.Context())
		cancel() // a stream ends at once
		h := asked(t, c, http.MethodGet, path, func(r *http.Request) { *r = *r.WithContext(ctx) }).Header()
		assert.Contains(t, h.Get("Content-Security-Policy"), "default-src 'none'", path)
		assert.NotContains(t, h.Get("Content-Security-Policy"), "unsafe", path)
		assert.Contains(t, h.Get("Content-Security-Policy"), "frame-ancestors 'none'", path)
		assert.Equal(t, "nosniff", h.Get("X-Content-Type-Options"), path)
	}
	page := asked(t, c, http.MethodGet, "/")
	assert.Equal(t, http.StatusServiceUnavailable, page.Code)
	assert.Contains(t, page.Body.String(), "This worker is starting, or stopping")
	assert.NotContains(t, page.Body.String(), "style=", "the policy would refuse it")
}

func TestWithoutActionsNothingCanBeChanged(t *testing.T) {
	c := newConsole(t, configs.Admin{})
	for _, path := range []string{"/dead/drop", "/dead/replay", "/campaigns/1/a/b/cancel"} {
		assert.Equal(t, http.StatusForbidden, asked(t, c, http.MethodPost, path).Code, path)
	}
}

func TestAnotherSitesPageChangesNothing(t *testing.T) {
	c := newConsole(t, configs.Admin{Actions: true})
	const path = "/dead/drop"
	assert.Equal(t, http.StatusForbidden, asked(t, c, http.MethodPost, path, header("Origin", "https://evil.example")).Code)
	assert.Equal(t, http.StatusForbidden, asked(t, c, http.MethodPost, path, header("Sec-Fetch-Site", "cross-site")).Code)
	assert.Equal(t, http.StatusServiceUnavailable, asked(t, c, http.MethodPost, path, header("Sec-Fetch-Site", "same-origin")).Code,
		"the console's own page gets as far as the worker, which is starting")
}

func TestANameThatLeadsToThisMachineIsNobodysOrigin(t *testing.T) {
	host := func(h string) func(*http.Request) { return func(r *http.Request) { r.Host = h } }
	c := newConsole(t, configs.Admin{})
	for _, h := range []string{"evil.example:9464", "localhost.evil.example", ""} {
		assert.Equal(t, http.StatusMisdirectedRequest, asked(t, c, http.MethodGet, "/", host(h)).Code, h)
	}
	for _, h := range []string{"localhost:9464", "127.0.0.1:9464", "[::1]:9464", "[::1]"} {
		assert.Equal(t, http.StatusServiceUnavailable, asked(t, c, http.MethodGet, "/", host(h)).Code, h)
	}
}

func TestOnlyThoseOfTheFileGetIn(t *testing.T) {
	file := users(t, "# operators", user(t, "ada", "right"), "", user(t, "bob", "b:ob"))
	c := newConsole(t, configs.Admin{AuthFile: file, Listen: "0.0.0.0:9464"})
	as := func(name, password string) int {
		return asked(t, c, http.MethodGet, "/", func(r *http.Request) { r.SetBasicAuth(name, password); r.Host = "console.example" }).Code
	}
	refused := asked(t, c, http.MethodGet, "/")
	assert.Equal(t, http.StatusUnauthorized, refused.Code)
	assert.Contains(t, refused.Header().Get("WWW-Authenticate"), "Basic")
	const in = http.StatusServiceUnavailable // of a worker that is starting
	assert.Equal(t, []int{in, in, 401, 401, 401}, []int{
		as("ada", "right"), as("bob", "b:ob"), as("ada", "wrong"), as("ada", ""), as("eve", "right"),
	})
	assert.Equal(t, 401, asked(t, c, http.MethodGet, "/events/").Code, "nor is anything sent to others")

	require.NoError(t, os.WriteFile(file, []byte(user(t, "eve", "new")), 0o600))
	c.auth.looked = time.Time{} // a second later
	assert.Equal(t, []int{in, 401}, []int{as("eve", "new"), as("ada", "right")}, "the file is read again, also for those who were let in before")
	require.NoError(t, os.Remove(file))
	c.auth.looked = time.Time{}
	assert.Equal(t, 401, as("eve", "new"), "without it nobody gets in")
}

func TestAnOpenPageEndsWithItsReadersPassword(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		file := users(t, user(t, "ada", "x"))
		c := newConsole(t, configs.Admin{AuthFile: file})
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			asked(t, c, http.MethodGet, "/events/", func(r *http.Request) { r.SetBasicAuth("ada", "x") })
		}()
		time.Sleep(time.Minute)
		select {
		case <-ended:
			t.Fatal("it goes on as long as she may look")
		default:
		}
		require.NoError(t, os.WriteFile(file, []byte(user(t, "eve-was-hired", "new")), 0o600))
		time.Sleep(2 * beatEvery)
		synctest.Wait()
		select {
		case <-ended:
		default:
			t.Fatal("ada is none of the file's any more")
		}
	})
}

func TestWhoWasLetInBeforeDoesNotWaitForThoseWhoGuess(t *testing.T) {
	c := newConsole(t, configs.Admin{AuthFile: users(t, user(t, "ada", "right"))})
	as := func(password string) int {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
		defer cancel()
		return asked(t, c, http.MethodGet, "/", func(r *http.Request) { *r = *r.WithContext(ctx); r.SetBasicAuth("ada", password) }).Code
	}
	const in = http.StatusServiceUnavailable // of a worker that is starting
	require.Equal(t, in, asked(t, c, http.MethodGet, "/", func(r *http.Request) { r.SetBasicAuth("ada", "right") }).Code)
	c.auth.comparing <- struct{}{} // somebody's guess is
	assert.Equal(t, in, as("right"))
	assert.Equal(t, http.StatusUnauthorized, as("wrong"), "one guess at a time")
}

func TestANameOfNobodyTakesAsLongAsOneOfTheFile(t *testing.T) {
	c := newConsole(t, configs.Admin{AuthFile: users(t, user(t, "ada", "right"))})
	known, _, _ := c.auth.before("ada", "x")
	unknown, _, state := c.auth.before("eve", "x")
	assert.Equal(t, notCompared, state)
	assert.Equal(t, known, unknown, "whatever htpasswd's cost was")
	assert.False(t, c.auth.pass("eve", unknown, ""), "and is let in by nobody's password")
}

func TestWhenNobodyIsLetInAnyMoreTheLogSaysWhy(t *testing.T) {
	var said bytes.Buffer
	file := users(t, user(t, "ada", "x"))
	c, err := New(Options{Admin: configs.Admin{AuthFile: file}, Log: slog.New(slog.NewTextHandler(&said, nil))})
	require.NoError(t, err)
	look := func() string {
		said.Reset()
		c.auth.looked = time.Time{}
		asked(t, c, http.MethodGet, "/", func(r *http.Request) { r.SetBasicAuth("ada", "y") })
		return said.String()
	}
	assert.Empty(t, look())
	require.NoError(t, os.Remove(file))
	assert.Contains(t, look(), "nobody is let into the console")
	assert.Empty(t, look(), "once")
	require.NoError(t, os.WriteFile(file, []byte(user(t, "ada", "x")), 0o600))
	assert.Contains(t, look(), "lets in those of admin.auth_file again")
}

func TestAFileThatLetsNobodyInIsSaidAtOnceAndNotRepeated(t *testing.T) {
	for name, c := range map[string]struct{ file, says string }{
		"none":         {filepath.Join(t.TempDir(), "missing"), "no such file"},
		"a folder":     {t.TempDir(), "must be a file"},
		"empty":        {users(t, "# nobody"), "has nobody in it"},
		"plain text":   {users(t, user(t, "ada", "x"), "bob:s3cret"), ":2: must be name:digest"},
		"too dear":     {users(t, "ada:$2y$31$"+strings.Repeat("a", 53)), "of a cost up to 14"},
		"without name": {users(t, user(t, "", "x")), ":1: must be name:digest"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := New(Options{Admin: configs.Admin{AuthFile: c.file}, Log: slog.New(slog.DiscardHandler)})
			require.ErrorContains(t, err, c.says)
			assert.ErrorContains(t, err, "admin.auth_file")
			assert.NotContains(t, err.Error(), "s3cret")
		})
	}
}

func TestWhoDidWhatIsLogged(t *testing.T) {
	var said bytes.Buffer
	c, err := New(Options{
		Admin: configs.Admin{AuthFile: users(t, user(t, "ada", "x"))}, Log: slog.New(slog.NewTextHandler(&said, nil)),
	})
	require.NoError(t, err)
	r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/", http.NoBody)
	c.did(r.WithContext(context.WithValue(t.Context(), visitorKey{}, visitor{"ada", "10.0.0.7:1"})), nil, "drop of dead letters", "letters", 3)
	assert.Contains(t, said.String(), `msg="changed in the console" change="drop of dead letters" user=ada from=10.0.0.7:1 letters=3`)
}
