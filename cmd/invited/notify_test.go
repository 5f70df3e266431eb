package main

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/invitedhq/invited/cmd/internal/harness"
	"github.com/invitedhq/invited/configs"
)

// boss listens as systemd does.
type boss struct {
	*testing.T
	conn *net.UnixConn
}

func newBoss(t *testing.T) (b boss, socket string) {
	t.Helper()
	socket = filepath.Join(t.TempDir(), "notify")
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: socket, Net: "unixgram"})
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	return boss{t, conn}, socket
}

// hears is what comes next, but for signs of life.
func (b boss) hears() string {
	b.Helper()
	for {
		if state := b.next(); state != "WATCHDOG=1" {
			return state
		}
	}
}

func (b boss) next() string {
	b.Helper()
	require.NoError(b, b.conn.SetReadDeadline(time.Now().Add(30*time.Second)))
	buf := make([]byte, 256)
	n, err := b.conn.Read(buf)
	require.NoError(b, err)
	return string(buf[:n])
}

func TestASupervisorIsToldWhatTheWorkerIsAt(t *testing.T) {
	sim := programs.Sim(t)
	nats := programs.NATS(t)
	b, socket := newBoss(t)
	nats.Servers[0].Kill()
	programs.Path(t, harness.Invited) // built, it starts at once
	started := make(chan *harness.Worker)
	go func() { // it waits for NATS
		started <- programs.Worker(t, harness.WorkerOptions{
			API: sim.URL, NATS: nats.URL(), Env: []string{"NOTIFY_SOCKET=" + socket, "WATCHDOG_USEC=400000"},
		})
	}()
	require.NoError(t, b.conn.SetReadDeadline(time.Now().Add(time.Second)))
	_, err := b.conn.Read(make([]byte, 1))
	require.ErrorIs(t, err, os.ErrDeadlineExceeded, "it is not ready without NATS")
	nats.Servers[0].Start()
	assert.Equal(t, "READY=1", b.hears())
	w := <-started
	assert.Equal(t, "WATCHDOG=1", b.next(), "it is alive")
	w.Hangup()
	assert.Equal(t, "RELOADING=1", b.hears())
	assert.Equal(t, "READY=1", b.hears())
	w.Pause() // as if its loop hung
	err = nil
	for range 100 { // what it said before may still be unread
		if err != nil {
			break
		}
		require.NoError(t, b.conn.SetReadDeadline(time.Now().Add(time.Second)))
		_, err = b.conn.Read(make([]byte, 256))
	}
	require.ErrorIs(t, err, os.ErrDeadlineExceeded, "it is not alive")
	w.Resume()
	w.Stop()
	assert.Equal(t, "STOPPING=1", b.hears())
}

func TestTheUnitFitsTheWorker(t *testing.T) {
	unit, err := os.ReadFile("../../deploy/systemd/invited.service")
	require.NoError(t, err)
	set := make(map[string]string)
	for line := range strings.Lines(string(unit)) {
		if key, value, ok := strings.Cut(strings.TrimSpace(line), "="); ok && !strings.HasPrefix(line, "#") {
			set[key] = value
		}
	}
	assert.Equal(t, "notify", set["Type"])
	assert.Equal(t, "infinity", set["TimeoutStartSec"], "it waits for NATS")
	stop, err := time.ParseDuration(set["TimeoutStopSec"] + "s")
	require.NoError(t, err)
	cfg := configs.Default()
	assert.GreaterOrEqual(t, stop, cfg.Dispatch.ShutdownGrace+10*time.Second, "and what is in a call is stored")
	args := strings.Fields(set["ExecStart"])[1:]
	cmd, rest, err := newCommand(nil, nil).Find(args)
	require.NoError(t, err)
	require.NoError(t, cmd.ParseFlags(rest))
	assert.Equal(t, "serve", cmd.Name())
}
