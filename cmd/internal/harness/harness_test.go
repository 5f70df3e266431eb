package harness_test

import (
	"encoding/json"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/invitedhq/invited/cmd/internal/harness"
)

var programs harness.Programs

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.Cleanup(func(status int) {
		programs.Remove()
		os.Exit(status)
	}))
}

func TestAClusterKeepsWhatItTookThroughTheLossOfAServer(t *testing.T) {
	cluster := programs.Cluster(t)
	conn := cluster.Connect(t)
	createStream(t, conn, 3)
	store(t, conn, "first")

	cluster.Servers[0].Kill()
	store(t, conn, "second")
	cluster.Servers[0].Start()
	cluster.AwaitReady()
	cluster.Servers[1].Kill()
	store(t, conn, "third")
	assert.Equal(t, 3, stored(t, conn))
}

func TestAServerThatWasKilledComesBackWithItsAddressAndItsData(t *testing.T) {
	server := programs.NATS(t)
	createStream(t, server.Connect(t), 1)
	store(t, server.Connect(t), "first")
	server.Servers[0].Kill()
	require.False(t, server.Servers[0].Running())
	server.Servers[0].Start()
	server.AwaitReady()
	assert.Equal(t, 1, stored(t, server.Connect(t)))
}

func TestAPausedProcessAnswersOnlyOnceItIsResumed(t *testing.T) {
	sim := programs.Sim(t)
	sim.Pause()
	client := http.Client{Timeout: 100 * time.Millisecond}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, sim.URL+"/healthz", nil)
	require.NoError(t, err)
	resp, err := client.Do(req)
	if err == nil {
		_ = resp.Body.Close()
	}
	require.Error(t, err, "it is paused")
	require.True(t, sim.Running(), "and alive")
	sim.Resume()
	status, _ := harness.Get(t, sim.URL+"/healthz")
	assert.Equal(t, http.StatusOK, status)
}

func TestASimulatorToldToStopHasPrintedItsLedgerAndAgainStartsEmpty(t *testing.T) {
	sim := programs.Sim(t, "--quota", "1/1h")
	status, _ := sim.Invite(730, harness.Token)
	require.Equal(t, http.StatusNoContent, status)
	status, wait := sim.Invite(730, harness.Token)
	assert.Equal(t, http.StatusTooManyRequests, status)
	assert.InDelta(t, time.Hour, wait, float64(time.Minute))
	assert.Equal(t, []harness.Recipient{{TitleID: 730, XUID: "1", Count: 1}}, sim.Recipients())
	sim.SetFaults(`{"outage":true}`)
	status, _ = sim.Invite(730, harness.Token)
	assert.Contains(t, []int{0, 500, 503}, status)
	sim.Stop()
	assert.Contains(t, string(sim.Stdout()), `"calls":3,"throttled":1`)
	sim.Start()
	sim.Await(`listening on`)
	assert.Zero(t, sim.Ledger())
}

func TestAWorkerIsReadyAndSaysWhatItCounts(t *testing.T) {
	sim := programs.Sim(t)
	server := programs.NATS(t)
	worker := programs.Worker(t, harness.WorkerOptions{
		NATS: server.URL(), API: sim.URL, Quota: harness.NoQuota, Tokens: harness.WriteTokens(t, "ada"), Config: "log: {format: json}",
	})
	require.True(t, worker.Ready())
	status, out, errOut := programs.Run(t, harness.Invitectl, "send", "--nats-url", worker.NATS, "--title", "730", "--sender", "ada",
		"--to", "7", "--wait")
	require.Zero(t, status, out+errOut)
	var counts harness.Metrics
	harness.Until(t, 20*time.Second, "the job is counted", func() bool { // which is done once it is stored
		counts = worker.Metrics()
		return counts.Sum("invited_jobs_total", `lane="interactive"`, `title="730"`) == 1
	})
	assert.InDelta(t, 1, counts.Sum("invited_calls_total", `result="sent"`), 0)
	assert.Zero(t, counts.Sum("invited_jobs_total", `lane="bulk"`))
	assert.Equal(t, 1, sim.Ledger().Unique)

	worker.Kill()
	assert.False(t, worker.Ready())
	worker.Start()
	worker.AwaitReady()
	assert.Less(t, worker.Stop(), 10*time.Second)
}

func createStream(t *testing.T, conn *nats.Conn, replicas int) {
	t.Helper()
	config, err := json.Marshal(map[string]any{"name": "KEPT", "subjects": []string{"kept"}, "storage": "file", "num_replicas": replicas})
	require.NoError(t, err)
	answer, err := conn.Request("$JS.API.STREAM.CREATE.KEPT", config, 20*time.Second)
	require.NoError(t, err)
	require.NotContains(t, string(answer.Data), "error")
}

// store publishes until the stream has taken it, once: the loss of its leader takes a moment.
func store(t *testing.T, conn *nats.Conn, id string) {
	t.Helper()
	msg := &nats.Msg{Subject: "kept", Header: nats.Header{nats.MsgIdHdr: {id}}}
	harness.Until(t, 20*time.Second, id+" is stored", func() bool {
		answer, err := conn.RequestMsg(msg, time.Second)
		return err == nil && !strings.Contains(string(answer.Data), "error")
	})
}

func stored(t *testing.T, conn *nats.Conn) int {
	t.Helper()
	answer, err := conn.Request("$JS.API.STREAM.INFO.KEPT", nil, 20*time.Second)
	require.NoError(t, err)
	var info struct{ State struct{ Messages int } }
	require.NoError(t, json.Unmarshal(answer.Data, &info))
	return info.State.Messages
}
