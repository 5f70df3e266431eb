package main

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/invitedhq/invited/cmd/internal/harness"
)

func TestHealthSaysWhetherAWorkerIsReadyAndElseWhyNot(t *testing.T) {
	server := programs.NATS(t)
	worker := programs.Worker(t, harness.WorkerOptions{NATS: server.URL(), API: "http://127.0.0.1:1"})
	health := func(flags ...string) (status int, out, errOut string) {
		t.Helper()
		return programs.Run(t, harness.Invited, append([]string{"health"}, flags...)...)
	}
	healthy := func(says string, flags ...string) {
		t.Helper()
		status, out, errOut := health(flags...)
		assert.Zero(t, status, errOut)
		assert.Equal(t, says+"\n", out)
	}
	file := []string{"--config", worker.File}
	live := []string{"--config", worker.File, "--live"}
	healthy("ready", file...)
	healthy("alive", live...)
	healthy("ready", "--url", worker.Admin)
	healthy("ready", "--url", worker.Admin+"/")

	t.Setenv("INVITED_ADMIN_LISTEN", worker.Admin[len("http://"):])
	healthy("ready")
	require.NoError(t, os.WriteFile(worker.File, []byte("quota: 5\n"), 0o600))
	healthy("ready", file...) // a file with a mistake changes nothing for a worker that runs

	server.Servers[0].Kill()
	harness.Until(t, 20*time.Second, "it says that NATS is away", func() bool {
		status, out, errOut := health(file...)
		return status == 1 && out == "" && strings.HasPrefix(errOut, "invited: not ready: 503: NATS: ")
	})
	healthy("alive", live...) // waiting for NATS is no reason to be killed

	worker.Pause()
	status, out, errOut := health(file...)
	assert.Equal(t, 1, status)
	assert.Empty(t, out)
	assert.Equal(t, "invited: not ready: no answer from "+worker.Admin+"/readyz within 2s\n", errOut)

	worker.Kill()
	status, _, errOut = health(live...)
	assert.Equal(t, 1, status)
	assert.Contains(t, errOut, "not alive: no answer from "+worker.Admin+"/livez: ")
	assert.Contains(t, errOut, "connection refused; is it running, and is that its admin.listen?")
}

func TestHealthAsksWhereServeWouldListen(t *testing.T) {
	for listen, want := range map[string]string{
		"127.0.0.1:9464":  "http://127.0.0.1:9464",
		"0.0.0.0:9464":    "http://127.0.0.1:9464",
		":9464":           "http://127.0.0.1:9464",
		"[::]:9464":       "http://[::1]:9464",
		"10.0.0.7:80":     "http://10.0.0.7:80",
		"[fd00::7]:80":    "http://[fd00::7]:80",
		"admin.host:9464": "http://admin.host:9464",
	} {
		got, err := adminURL(listen)
		require.NoError(t, err, listen)
		assert.Equal(t, want, got, listen)
	}
	_, err := adminURL("127.0.0.1:0")
	assert.ErrorContains(t, err, "--url")
}

func TestHealthRefusesWhatIsNoAddress(t *testing.T) {
	for _, url := range []string{"127.0.0.1:9464", "ftp://h", "http://", "http://h:x"} {
		status, _, errOut := run(t, "health", "--url", url)
		assert.Equal(t, 2, status, url)
		assert.Contains(t, errOut, "such as http://127.0.0.1:9464")
	}
	t.Setenv("INVITED_ADMIN_LISTEN", "nowhere")
	status, _, errOut := run(t, "health")
	assert.Equal(t, 1, status)
	assert.Contains(t, errOut, "environment variable INVITED_ADMIN_LISTEN")
}
