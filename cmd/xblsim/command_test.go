package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/invitedhq/invited/cmd/internal/cli"
	"github.com/invitedhq/invited/xbl/xblsim"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// running is the command, started in this process.
type running struct {
	t       *testing.T
	url     string
	authURL string // with --auth-listen
	out     bytes.Buffer
	log     bytes.Buffer
	body    []byte     // of the last answer
	stop    func() int // ends the command, and returns its exit status
}

// start runs the command on a free port and waits until it listens.
func start(t *testing.T, args ...string) *running {
	t.Helper()
	r := &running{t: t}
	ctx, cancel := context.WithCancel(t.Context())
	pipe, errOut := io.Pipe()
	code := make(chan int, 1)
	go func() {
		code <- cli.Run(ctx, newCommand(&r.out, errOut), append([]string{"--listen", "127.0.0.1:0"}, args...))
		_ = errOut.Close()
	}()
	lines := bufio.NewReader(io.TeeReader(pipe, &r.log))
	first, err := lines.ReadString('\n')
	require.NoError(t, err)
	_, r.url, _ = strings.Cut(strings.TrimSuffix(first, "\"\n"), "listening on ")
	require.Regexp(t, `^http://127\.0\.0\.1:[1-9][0-9]*$`, r.url, "from the line %q", first)

	if slices.Contains(args, "--auth-listen") {
		second, err := lines.ReadString('\n')
		require.NoError(t, err)
		_, r.authURL, _ = strings.Cut(strings.TrimSuffix(second, "\"\n"), "listening on ")
		require.Regexp(t, `^https://127\.0\.0\.1:[1-9][0-9]*$`, r.authURL, "from the line %q", second)
	}

	drained := make(chan struct{})
	go func() { defer close(drained); _, _ = io.Copy(io.Discard, lines) }()
	r.stop = func() int {
		http.DefaultClient.CloseIdleConnections()
		cancel()
		status := <-code
		<-drained
		return status
	}
	return r
}

// invite makes a call and returns the status of its answer.
func (r *running) invite(client *http.Client, authorization, xuid string) int {
	body := strings.NewReader(`{"invitedUsers":["` + xuid + `"]}`)
	request, err := http.NewRequestWithContext(r.t.Context(), http.MethodPost, r.url+"/titles/1/invites", body)
	require.NoError(r.t, err)
	request.Header.Set("Authorization", authorization)
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("x-xbl-contract-version", "1")
	response, err := client.Do(request)
	require.NoError(r.t, err)
	r.body, err = io.ReadAll(response.Body)
	require.NoError(r.t, err)
	require.NoError(r.t, response.Body.Close())
	return response.StatusCode
}

func TestTheCommandServesAndPrintsItsLedgerAtTheEnd(t *testing.T) {
	const expired = "XBL3.0 x=9;very-secret"
	sim := start(t, "--quota", "4/1h", "--latency", "1ms", "--seed", "7", "--verbose",
		"--fault-refuse", "5,6", "--fault-forbid", "7", "--fault-expired-token", expired)
	invite := func(token, xuid string) int { return sim.invite(http.DefaultClient, token, xuid) }
	const token = "XBL3.0 x=1;other-secret"
	assert.Equal(t, http.StatusNoContent, invite(token, "1"))
	assert.Equal(t, http.StatusBadRequest, invite(token, "5"))
	assert.Equal(t, http.StatusBadRequest, invite(token, "6"))
	assert.Equal(t, http.StatusBadRequest, invite(token, "7"))
	assert.Equal(t, http.StatusTooManyRequests, invite(token, "2"))
	assert.Equal(t, http.StatusUnauthorized, invite(expired, "2"))

	assert.Zero(t, sim.stop())
	assert.Equal(t, `{"calls":6,"throttled":1,"inBlock":0,"recipients":1,"unique":1,"duplicates":0}`+"\n",
		sim.out.String())
	assert.Contains(t, sim.log.String(), xblsim.TokenKey(token))
	assert.NotContains(t, sim.log.String(), "secret")
}

func TestARefusalHasTheBodyThatWasAskedFor(t *testing.T) {
	for body, want := range map[string]string{"numbers": `"maxRequests":1,`, "strings": `"maxRequests":"1",`, "none": ""} {
		sim := start(t, "--quota", "1/1h", "--throttle-body", body)
		require.Equal(t, http.StatusNoContent, sim.invite(http.DefaultClient, "XBL3.0 x=1;t", "1"))
		require.Equal(t, http.StatusTooManyRequests, sim.invite(http.DefaultClient, "XBL3.0 x=1;t", "1"))
		if assert.Contains(t, string(sim.body), want); want == "" {
			assert.Empty(t, sim.body)
		}
		assert.Zero(t, sim.stop())
	}
}

func TestTheCommandSpeaksHTTP2WithoutTLSToo(t *testing.T) {
	sim := start(t)
	transport := &http.Transport{Protocols: new(http.Protocols)}
	transport.Protocols.SetUnencryptedHTTP2(true)
	assert.Equal(t, http.StatusNoContent, sim.invite(&http.Client{Transport: transport}, "XBL3.0 x=1;t", "1"))
	transport.CloseIdleConnections()
	assert.Zero(t, sim.stop())
}

func TestASlowAnswerDoesNotKeepTheCommandFromEnding(t *testing.T) {
	sim := start(t, "--fault-slow", "1", "--fault-slow-by", "1h")
	cut := make(chan error, 1)
	go func() {
		body := strings.NewReader(`{}`)
		endpoint := sim.url + "/titles/1/invites"
		request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, endpoint, body)
		if err == nil {
			_, err = http.DefaultClient.Do(request) //nolint:bodyclose // there is no answer
		}
		cut <- err
	}()
	require.Eventually(t, func() bool { return sim.calls() == 1 }, 10*time.Second, 5*time.Millisecond,
		"the call must have arrived")
	assert.Zero(t, sim.stop())
	assert.Error(t, <-cut)
}

func TestWrongUseIsExplainedAndEndsWith2(t *testing.T) {
	tests := []struct {
		args  []string
		names string
	}{
		{[]string{"--no-such-flag"}, "--no-such-flag"},
		{[]string{"--seed", "x"}, "--seed"},
		{[]string{"--quota", "7/15"}, "--quota"},
		{[]string{"--listen", "8080"}, "--listen"},
		{[]string{"--latency", "-1s"}, "latency"},
		{[]string{"--throttle-body", "xml"}, "--throttle-body"},
		{[]string{"--fault-500", "1.5"}, "error500"},
		{[]string{"--fault-500", "0.9", "--fault-slow", "0.9"}, "at most 1"},
		{[]string{"--fault-refuse", "1,bob"}, "--fault-refuse"},
		{[]string{"--fault-forbid", "0"}, "--fault-forbid"},
		{[]string{"--fault-expired-token", "XBL3.0 x=1 secret"}, "expired token"},
		{[]string{"--fault-expired-token", "XBL3.0", "x=1;secret"}, "quote"},
	}
	for _, test := range tests {
		var out, errOut bytes.Buffer
		assert.Equal(t, 2, cli.Run(t.Context(), newCommand(&out, &errOut), test.args), "%q", test.args)
		assert.Contains(t, errOut.String(), test.names)
		assert.Contains(t, errOut.String(), "xblsim --help")
		assert.NotContains(t, errOut.String(), "secret")
		assert.Empty(t, out.String())
	}
}

func TestAnAddressInUseEndsWith1(t *testing.T) {
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer listener.Close()
	var out, errOut bytes.Buffer
	assert.Equal(t, 1, cli.Run(t.Context(), newCommand(&out, &errOut), []string{"--listen", listener.Addr().String()}))
	assert.Contains(t, errOut.String(), "--listen")
	assert.Empty(t, out.String())
}

func TestHelpNamesEveryFlagOfTheContract(t *testing.T) {
	var out, errOut bytes.Buffer
	require.Zero(t, cli.Run(t.Context(), newCommand(&out, &errOut), []string{"--help"}))
	for flag := range strings.FieldsSeq("--listen --quota --latency --fault-500 --fault-503 --fault-503-retry-after " +
		"--fault-reset-before --fault-reset-after --fault-slow --fault-slow-by --fault-refuse --fault-expired-token " +
		"--max-concurrent --throttle-body --seed") {
		assert.Contains(t, out.String(), flag+" ")
	}
	assert.Empty(t, errOut.String())
}

// calls asks the running command how many calls it counted.
func (r *running) calls() int {
	request, err := http.NewRequestWithContext(r.t.Context(), http.MethodGet, r.url+"/ledger", nil)
	if err != nil {
		return -1
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return -1
	}
	defer response.Body.Close()
	var ledger xblsim.Ledger
	if json.NewDecoder(response.Body).Decode(&ledger) != nil {
		return -1
	}
	return ledger.Calls
}
