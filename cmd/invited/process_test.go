package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// The tests in this file run the real programs as real processes.

// programs builds the project's commands and returns their folder.
func programs(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	args := append([]string{"build", "-o", dir + string(filepath.Separator)}, raceFlags()...)
	build := exec.CommandContext(t.Context(), "go", append(args, "../invited", "../invitectl", "../xblsim")...)
	out, err := build.CombinedOutput()
	require.NoErrorf(t, err, "the commands must build: %s", out)
	return dir
}

// process is a running program whose error output is read line by line.
type process struct {
	t      *testing.T
	cmd    *exec.Cmd
	stdout bytes.Buffer
	lines  chan string
	exited chan error
}

func start(t *testing.T, program string, env []string, args ...string) *process {
	t.Helper()
	p := &process{
		t: t, cmd: exec.CommandContext(t.Context(), program, args...),
		lines: make(chan string, 1000), exited: make(chan error, 1),
	}
	p.cmd.Env = append(os.Environ(), env...)
	p.cmd.Stdout = &p.stdout
	stderr, err := p.cmd.StderrPipe()
	require.NoError(t, err)
	require.NoError(t, p.cmd.Start())
	go func() {
		lines := bufio.NewScanner(stderr)
		for lines.Scan() {
			select {
			case p.lines <- lines.Text():
			default: // nobody reads any more
			}
		}
		close(p.lines)
		p.exited <- p.cmd.Wait()
	}()
	t.Cleanup(func() { _ = p.cmd.Process.Kill() })
	return p
}

// await returns the first group of the pattern in the first line that matches.
func (p *process) await(pattern string) string {
	p.t.Helper()
	re := regexp.MustCompile(pattern)
	late := time.After(30 * time.Second)
	var seen []string
	for {
		select {
		case line, ok := <-p.lines:
			require.Truef(p.t, ok, "%s ended before it said %s; it said:\n%s", p.cmd.Path, pattern, strings.Join(seen, "\n"))
			seen = append(seen, line)
			if found := re.FindStringSubmatch(line); found != nil {
				return found[1]
			}
		case <-late:
			require.Failf(p.t, "silence", "%s did not say %s in 30 s; it said:\n%s", p.cmd.Path, pattern, strings.Join(seen, "\n"))
		}
	}
}

// stop ends the process with SIGTERM and returns how long that took.
func (p *process) stop() time.Duration {
	p.t.Helper()
	begun := time.Now()
	require.NoError(p.t, p.cmd.Process.Signal(syscall.SIGTERM))
	select {
	case err := <-p.exited:
		require.NoError(p.t, err, "a stop by SIGTERM ends with status 0")
	case <-time.After(30 * time.Second):
		require.Fail(p.t, "the process does not stop")
	}
	return time.Since(begun)
}

// command runs a program to its end.
func command(t *testing.T, program string, args ...string) (status int, out, errOut string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), program, args...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		var exit *exec.ExitError
		require.ErrorAs(t, err, &exit)
	}
	return cmd.ProcessState.ExitCode(), stdout.String(), stderr.String()
}

func TestTheRealProgramsFromPublishToSentAndDead(t *testing.T) {
	dir := programs(t)
	invitectl := filepath.Join(dir, "invitectl")
	const refused = "2533274790000666"

	sim := start(t, filepath.Join(dir, "xblsim"), nil,
		"--listen", "127.0.0.1:0", "--quota", "7/15s,50/300s", "--fault-refuse", refused)
	api := sim.await(`listening on (http://[0-9.:]+)`)
	config := filepath.Join(dir, "invited.yaml")
	require.NoError(t, os.WriteFile(config, fmt.Appendf(nil,
		"nats: {embedded: {listen: 127.0.0.1:0, data_dir: %q}}\nadmin: {listen: 127.0.0.1:0}\n", filepath.Join(dir, "data")), 0o600))
	env := []string{"INVITED_XBL_BASE_URL=" + api, "XBL_AUTHORIZATION=XBL3.0 x=hash;s3cret"}
	worker := start(t, filepath.Join(dir, "invited"), env, "serve", "--config", config)
	working := worker.await(`(msg=working.*)`)
	natsURL := regexp.MustCompile(`nats=(\S+)`).FindStringSubmatch(working)[1]
	admin := regexp.MustCompile(`admin=(\S+)`).FindStringSubmatch(working)[1]

	t.Run("invitectl send waits for the result", func(t *testing.T) {
		status, out, errOut := command(t, invitectl, "send", "--nats-url", natsURL, "--title", "730",
			"--to", "2533274790000001,2533274790000002", "--id", "match-7", "--wait")
		assert.Zero(t, status, errOut)
		assert.Regexp(t, `^match-7: 2 sent, \S+ after 1 call\n$`, out)
	})
	t.Run("a refused recipient fails it, and is a dead letter", func(t *testing.T) {
		status, out, _ := command(t, invitectl, "send", "--nats-url", natsURL, "--title", "730",
			"--to", "2533274790000003,"+refused, "--wait", "--json")
		assert.Equal(t, 1, status)
		var r struct {
			Sent, Dead int
			Reason     string
		}
		require.NoError(t, json.Unmarshal([]byte(out), &r))
		assert.Equal(t, 1, r.Sent)
		assert.Equal(t, "rejected", r.Reason)
		status, out, errOut := command(t, invitectl, "dead", "ls", "--nats-url", natsURL, "--reason", "rejected")
		assert.Zero(t, status, errOut)
		assert.Contains(t, out, "can't be invited", "the API's own words")
		assert.Equal(t, 2, strings.Count(out, "\n"), "a heading and one letter")
	})
	t.Run("an empty filter and wrong flags are wrong use", func(t *testing.T) {
		for _, args := range [][]string{
			{"dead", "ls"}, {"send", "--title", "730"}, {"send", "--title", "x", "--to", "1"}, {"send", "--title", "1", "--to", "01"}, {"nope"},
		} {
			status, _, errOut := command(t, invitectl, args...)
			assert.Equalf(t, 2, status, "%v: %s", args, errOut)
		}
	})
	t.Run("any NATS client can publish", func(t *testing.T) {
		conn, err := nats.Connect(natsURL)
		require.NoError(t, err)
		defer conn.Close()
		results, err := conn.SubscribeSync("invites.results.730.cup.finals")
		require.NoError(t, err)
		_, err = conn.Request("invites.campaigns.730.cup.finals",
			[]byte(`{"invitedUsers":["2533274790000004"],"platform":"Scarlett"}`), 5*time.Second)
		require.NoError(t, err)
		msg, err := results.NextMsg(10 * time.Second)
		require.NoError(t, err)
		var r map[string]any
		require.NoError(t, json.Unmarshal(msg.Data, &r))
		assert.Equal(t, map[string]any{
			"id": "INVITE_CAMPAIGNS:1", "titleId": 730.0, "sender": "cup", "campaign": "finals", "sent": 1.0, "dead": 0.0, "reason": "",
			"attempts": 1.0, "maybeDuplicate": false, "publishedAt": r["publishedAt"], "endedAt": r["endedAt"],
		}, r)
	})
	t.Run("metrics and health", func(t *testing.T) {
		for path, want := range map[string]string{
			"/livez": "ok", "/readyz": "ok",
			"/metrics": `invited_recipients_total{lane="interactive",outcome="sent",title="730"} 3`,
		} {
			status, body := get(t, admin+path)
			assert.Equal(t, http.StatusOK, status, path)
			assert.Contains(t, body, want)
			assert.NotContains(t, body, "s3cret")
		}
	})
	t.Run("a second worker on the same data directory is refused", func(t *testing.T) {
		cmd := exec.CommandContext(t.Context(), filepath.Join(dir, "invited"), "serve", "--config", config)
		out, err := cmd.CombinedOutput()
		require.Error(t, err)
		assert.Contains(t, string(out), filepath.Join(dir, "data"))
	})

	assert.Less(t, worker.stop(), 5*time.Second)
	sim.stop()
	var ledger map[string]int
	require.NoError(t, json.Unmarshal(sim.stdout.Bytes(), &ledger))
	assert.Equal(t, 4, ledger["unique"])
	assert.Zero(t, ledger["duplicates"])
}

func get(t *testing.T, url string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	require.NoError(t, err)
	resp, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	return resp.StatusCode, string(body)
}
