package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/invitedhq/invited/cmd/internal/harness"
)

// The tests in this file run the real programs as real processes.

func TestTheRealProgramsFromPublishToSentAndDead(t *testing.T) {
	const refused = "2533274790000666"
	sim := programs.Sim(t, "--quota", "7/15s,50/300s", "--fault-refuse", refused)
	worker := programs.Worker(t, harness.WorkerOptions{API: sim.URL})
	natsURL := worker.NATS

	t.Run("invitectl send waits for the result", func(t *testing.T) {
		status, out, errOut := programs.Run(t, harness.Invitectl, "send", "--nats-url", natsURL, "--title", "730",
			"--to", "2533274790000001,2533274790000002", "--id", "match-7", "--wait")
		assert.Zero(t, status, errOut)
		assert.Regexp(t, `^match-7: 2 sent, \S+ after 1 call\n$`, out)
	})
	t.Run("a refused recipient fails it, and is a dead letter", func(t *testing.T) {
		status, out, _ := programs.Run(t, harness.Invitectl, "send", "--nats-url", natsURL, "--title", "730",
			"--to", "2533274790000003,"+refused, "--wait", "--json")
		assert.Equal(t, 1, status)
		var r struct {
			Sent, Dead int
			Reason     string
		}
		require.NoError(t, json.Unmarshal([]byte(out), &r))
		assert.Equal(t, 1, r.Sent)
		assert.Equal(t, "rejected", r.Reason)
		status, out, errOut := programs.Run(t, harness.Invitectl, "dead", "ls", "--nats-url", natsURL, "--reason", "rejected")
		assert.Zero(t, status, errOut)
		assert.Contains(t, out, "can't be invited", "the API's own words")
		assert.Equal(t, 2, strings.Count(out, "\n"), "a heading and one letter")
	})
	t.Run("an empty filter and wrong flags are wrong use", func(t *testing.T) {
		for _, args := range [][]string{
			{"dead", "ls"}, {"send", "--title", "730"}, {"send", "--title", "x", "--to", "1"}, {"send", "--title", "1", "--to", "01"}, {"nope"},
		} {
			status, _, errOut := programs.Run(t, harness.Invitectl, args...)
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
			harness.Until(t, 20*time.Second, path+" says "+want, func() bool { // an ending is counted once it is stored
				status, body := harness.Get(t, worker.Admin+path)
				assert.NotContains(t, body, "s3cret")
				return status == http.StatusOK && strings.Contains(body, want)
			})
		}
	})
	t.Run("a second worker on the same data directory is refused", func(t *testing.T) {
		config := filepath.Join(t.TempDir(), "invited.yaml")
		require.NoError(t, os.WriteFile(config, fmt.Appendf(nil,
			"nats: {embedded: {listen: 127.0.0.1:0, data_dir: %q}}\nadmin: {listen: 127.0.0.1:0}\n", worker.Data), 0o600))
		status, _, errOut := programs.Run(t, harness.Invited, "serve", "--config", config)
		assert.Equal(t, 1, status)
		assert.Contains(t, errOut, worker.Data)
	})

	assert.Less(t, worker.Stop(), 5*time.Second)
	sim.Stop()
	var ledger map[string]int
	require.NoError(t, json.Unmarshal(sim.Stdout(), &ledger))
	assert.Equal(t, 4, ledger["unique"])
	assert.Zero(t, ledger["duplicates"])
}
