package main

import (
	"bytes"
	"fmt"
	"io/fs"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/invitedhq/invited/cmd/internal/harness"
	"github.com/invitedhq/invited/queue"
)

// The tests in this file look for secrets in everything that the real programs let out.

// canary is a token that sings wherever it is found: whole, and its user hash and its token alone.
const (
	canaryHash   = "hash4canary77"
	canarySecret = "eyJc4nary-d0-n0t-sing.Q1x2c3V4bnk5.zz_TheRest0fTheT0ken"
	canary       = "XBL3.0 x=" + canaryHash + ";" + canarySecret
)

// echo is an API that repeats the Authorization value in all that it answers, in a way that depends on the title: the title is the
// status. It stands for a service, or a proxy before it, that is careless with what it was told.
type echo struct {
	*httptest.Server
	mu    sync.Mutex
	calls map[int]int // by status
	wrong []string    // Authorization values that were not the canary
}

func newEcho(t *testing.T) *echo {
	t.Helper()
	e := &echo{calls: map[int]int{}}
	e.Server = httptest.NewServer(e)
	t.Cleanup(e.Close)
	return e
}

func (e *echo) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	token := r.Header.Get("Authorization")
	status, _ := strconv.Atoi(strings.Split(r.URL.Path, "/")[2])
	e.mu.Lock()
	e.calls[status]++
	shown := token + " " + url.QueryEscape(token)
	if e.calls[status]%2 == 0 {
		shown = strings.Join(strings.Split(token, ""), " ")
	}
	if token != canary {
		e.wrong = append(e.wrong, token)
	}
	e.mu.Unlock()
	w.Header().Set("X-Echo", token)
	if status >= 300 && status < 400 {
		w.Header().Set("Location", e.URL+"/?token="+url.QueryEscape(token))
	}
	if status == http.StatusTooManyRequests {
		w.Header().Set("Retry-After", "1")
	}
	if status == http.StatusHTTPVersionNotSupported { // and a status line that repeats it
		if conn, _, err := http.NewResponseController(w).Hijack(); err == nil {
			fmt.Fprintf(conn, "HTTP/1.1 500 %s\r\nContent-Length: 0\r\nX-Broken %s\r\n\r\n", token, token)
			_ = conn.Close()
		}
		return
	}
	w.WriteHeader(status)
	if status != http.StatusNoContent {
		fmt.Fprintf(w, `{"errorCode":%q,"debugMessage":%q,"limitType":%q,"token":%q}`, "AuthorizationError: "+token,
			"can't use "+shown, token, token)
	}
}

func (e *echo) asked(status int) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.calls[status] > 0
}

func TestNoTokenGetsOut(t *testing.T) {
	tokens := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(tokens, "ada"), []byte(canary+"\n"), 0o600))
	for source, options := range map[string]harness.WorkerOptions{
		"static": {Config: fmt.Sprintf("tokens: {static: {authorization: %q}}", canary)},
		"file":   {Tokens: tokens},
		"http":   {Config: brokerOfCanaries(t)},
		"s2s":    {Config: authOfCanaries(t)},
	} {
		t.Run(source, func(t *testing.T) {
			api := newEcho(t)
			options.API = api.URL
			options.Config += "\nlog: {level: debug, format: json}\ndispatch: {retry: {initial: 10ms, max: 20ms, max_attempts: 2}}\n"
			worker := programs.Worker(t, options)
			conn, err := nats.Connect(worker.NATS)
			require.NoError(t, err)
			defer conn.Close()
			publisher, err := queue.NewPublisher(conn)
			require.NoError(t, err)
			provoke := func(statuses ...int) {
				for _, status := range statuses {
					for _, campaign := range []string{"", "cup"} {
						a := queue.Address{TitleID: uint32(status), Sender: "ada", Campaign: campaign}
						_, err := publisher.Publish(t.Context(), a, queue.Job{InvitedUsers: []queue.XUID{1, 2}})
						require.NoError(t, err)
					}
				}
				for _, status := range statuses {
					harness.Until(t, 20*time.Second, fmt.Sprintf("the API was asked for %d", status), func() bool { return api.asked(status) })
				}
			}
			provoke(204, 302, 400, 403, 404, 429, 500, 503, 505)
			harness.Until(t, 20*time.Second, "what can never be sent is dead: 302, 400, 403 and 404", func() bool { return deadTitles(t, conn) >= 4 })
			provoke(http.StatusUnauthorized) // last: it ends the token
			worker.Await(`"status":401`)
			assert.Empty(t, api.wrong, "the token itself was sent, so there was something to repeat")

			let := map[string]string{}
			for _, args := range [][]string{{"dead", "ls", "--all"}, {"dead", "show", "--all"}, {"dead", "show", "--all", "--json"}} {
				status, out, errOut := programs.Run(t, harness.Invitectl, append(args, "--nats-url", worker.NATS)...)
				assert.Zero(t, status, errOut)
				let["invitectl "+strings.Join(args, " ")] = out + errOut
			}
			for _, page := range []string{"/metrics", "/readyz", "/livez", "/", "/campaigns", "/dead", "/dead/1", "/dead/2", "/job?id=INVITES:1"} {
				_, let[page] = harness.Get(t, worker.Admin+page)
			}
			worker.Stop()
			let["standard output"], let["error output"] = string(worker.Stdout()), worker.Stderr()
			maps.Copy(let, filesOf(t, worker.Data)) // messages, their headers, consumers, and what the server keeps
			assert.Contains(t, let["error output"], `"level":"DEBUG"`, "all that can be logged was")
			assert.Contains(t, let["invitectl dead show --all"], "can't use", "the API's own words are shown, without the token")
			assertSilent(t, let, canaryHash, canarySecret, url.QueryEscape(canary), canarySecret[:20], canarySecret[20:],
				canaryKey, canaryService, canaryDelegation)
		})
	}
}

// deadTitles is how many titles have dead letters.
func deadTitles(t *testing.T, conn *nats.Conn) int {
	t.Helper()
	reader, err := queue.NewReader(conn)
	require.NoError(t, err)
	titles := map[uint32]bool{}
	for letter, err := range reader.DeadLetters(t.Context(), queue.Filter{}) {
		require.NoError(t, err)
		titles[letter.Address.TitleID] = true
	}
	return len(titles)
}

// filesOf reads all files below a directory.
func filesOf(t *testing.T, dir string) map[string]string {
	t.Helper()
	files := map[string]string{}
	var all bytes.Buffer
	require.NoError(t, fs.WalkDir(os.DirFS(dir), ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := fs.ReadFile(os.DirFS(dir), name)
		files[name] = string(text)
		all.Write(text)
		return err
	}))
	require.Contains(t, all.String(), "Invite-Detail", "dead letters can be read in these files")
	return files
}

func assertSilent(t *testing.T, let map[string]string, secrets ...string) {
	t.Helper()
	for where, text := range let {
		for _, secret := range secrets {
			require.Greater(t, len(secret), 5, "%q may stand in any random text", secret)
			if at := strings.Index(text, secret); at >= 0 {
				assert.Failf(t, "a secret got out", "%s: …%s…", where, text[max(at-100, 0):min(at+100, len(text))])
			}
		}
	}
}

// TestNoPasswordOfNATSGetsOut has the connection made, refused, lost and made again.
func TestNoPasswordOfNATSGetsOut(t *testing.T) {
	s := startSecured(t)
	sim := programs.Sim(t)
	worker := s.worker(t, harness.WorkerOptions{API: sim.URL, Config: "log: {level: debug}"})
	let := map[string]string{}
	_, out, errOut := s.invitectl(t, producer, "send", "--title", "730", "--to", "1", "--wait")
	let["send"] = out + errOut
	_, out, errOut = s.invitectl(t, producer, "dead", "ls", "--all")
	let["denied"] = out + errOut
	s.Servers[0].Kill()
	worker.Await(`lost the connection to NATS`)
	worker.Await(`NATS can't be reached`)
	_, let["/readyz"] = harness.Get(t, worker.Admin+"/readyz")
	_, out, errOut = s.invitectl(t, operator, "dead", "ls", "--all")
	let["unreachable"] = out + errOut
	s.Servers[0].Start()
	s.AwaitReady()
	worker.Await(`connected to NATS again`)
	worker.AwaitReady()
	_, let["/metrics"] = harness.Get(t, worker.Admin+"/metrics")
	worker.Stop()
	let["standard output"], let["error output"] = string(worker.Stdout()), worker.Stderr()
	let["nats-server"] = s.Servers[0].Stderr()
	assertSilent(t, let, "s3cret-of-")
}

// TestCheckConfigShowsNoSecretWhereverItComesFrom prints the configuration that takes effect, and what is wrong with one.
func TestCheckConfigShowsNoSecretWhereverItComesFrom(t *testing.T) {
	const password = "p4ssw0rd-of-nats"
	natsURL := "nats://worker:" + password + "@nats.internal:4222,tls://" + password + "@other:4222"
	literal := configFile(t, fmt.Sprintf("nats: {url: %q}\ntokens: {static: {authorization: %q}}\n", natsURL, canary))
	variables := configFile(t, "nats: {url: \"${NATS_URL}\"}\ntokens: {static: {authorization: \"${CANARY}\"}}\n")
	broken := configFile(t, fmt.Sprintf("nats: {url: %q, replicas: 99}\ntokens: {static: {authorization: %q}, sauce: %q}\nxbl: {timeout: %q}\n",
		natsURL+"%zz", canary+"\n", canary, canary))
	defaults := configFile(t, "{}")
	for _, from := range []struct{ what, natsURL, authorization string }{
		{"", "", ""},
		{"the environment", natsURL, canary},
		{"an environment that is wrong", natsURL + "%zz:", canary + "\x01"},
	} {
		t.Setenv("NATS_URL", natsURL)
		t.Setenv("CANARY", canary)
		t.Setenv("INVITED_NATS_URL", from.natsURL)
		t.Setenv("XBL_AUTHORIZATION", from.authorization)
		for _, file := range []string{literal, variables, broken, defaults} {
			status, out, errOut := programs.Run(t, harness.Invited, "check-config", "--print", file)
			assertSilent(t, map[string]string{from.what + " " + file: out + errOut}, canaryHash, canarySecret, password)
			if from.what == "" && file == literal {
				assert.Zero(t, status, errOut)
				assert.Contains(t, out, "nats.internal:4222", "what is no secret is shown")
			}
		}
	}
}
