package main

import (
	"encoding/json"
	"log/slog"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/invitedhq/invited/cmd/internal/cli"
	"github.com/invitedhq/invited/queue"
	"github.com/invitedhq/invited/queue/embedded"
	"github.com/invitedhq/invited/queue/embedded/embeddedtest"
)

// deadLetters is a server with three dead letters on it, and its URL.
func deadLetters(t *testing.T) (conn *nats.Conn, url string) {
	t.Helper()
	server := embeddedtest.StartWith(t, embedded.Options{Listen: embeddedtest.FreeAddress(t)})
	conn = embeddedtest.Connect(t, server)
	q, err := queue.Open(t.Context(), conn, queue.Options{Logger: slog.New(slog.DiscardHandler)})
	require.NoError(t, err)
	q.Close()
	for _, l := range []struct{ reason, subject, body string }{
		{"rejected", "invites.jobs.730.ada", `{"invitedUsers":["7","8"],"connectionString":"lobby=1"}`},
		{"expired", "invites.jobs.730.ada", `{"invitedUsers":["9"],"expiresAt":"2020-01-01T00:00:00Z"}`},
		{"invalid", "invites.jobs.730.ada", "\x1b[31mnot json"},
	} {
		m := nats.NewMsg("invites.dead.730." + l.reason)
		m.Data = []byte(l.body)
		for name, value := range map[string]string{
			"Invite-Reason": l.reason, "Invite-Subject": l.subject, "Invite-Job-Id": "job-" + l.reason,
			"Invite-Dead-At": "2026-11-22T08:00:00Z", "Invite-Published-At": "2026-11-22T07:00:00Z", "Invite-Detail": "no luck",
		} {
			m.Header.Set(name, value)
		}
		_, err := conn.RequestMsg(m, 5*time.Second)
		require.NoError(t, err)
	}
	return conn, server.ClientURL()
}

func TestDeadLettersAreShownWholeAndInert(t *testing.T) {
	_, url := deadLetters(t)
	status, out, errOut := run(t, "dead", "show", "--all", "--nats-url", url)
	require.Equal(t, cli.Done, status, errOut)
	assert.Contains(t, out, "job           job-rejected\n")
	assert.Contains(t, out, "published on  invites.jobs.730.ada\n")
	assert.Contains(t, out, "published at  2026-11-22 07:00:00 UTC\n")
	assert.Contains(t, out, `body          {"invitedUsers":["7","8"],"connectionString":"lobby=1"}`)
	assert.NotContains(t, out, "\x1b", "a hostile body can't paint the terminal")
	status, out, _ = run(t, "dead", "show", "--reason", "rejected", "--json", "--nats-url", url)
	assert.Equal(t, cli.Done, status)
	var item map[string]any
	require.NoError(t, json.Unmarshal([]byte(out), &item))
	assert.Contains(t, item["body"], `{"invitedUsers":["7","8"]`, "as text: it may be no JSON")
	assert.Equal(t, "job-rejected", item["jobId"])
}

func TestReplayAndDropSayHowManyAndChangeOnlyThose(t *testing.T) {
	conn, url := deadLetters(t)
	jobs := func() int {
		stats := struct{ State struct{ Messages int } }{}
		m, err := conn.Request("$JS.API.STREAM.INFO.INVITES", nil, 5*time.Second)
		require.NoError(t, err)
		require.NoError(t, json.Unmarshal(m.Data, &stats))
		return stats.State.Messages
	}
	status, _, errOut := run(t, "dead", "replay", "--nats-url", url)
	assert.Equal(t, cli.WrongUse, status, "an empty filter is refused")
	assert.Contains(t, errOut, "--all")

	status, out, _ := run(t, "dead", "replay", "--all", "--dry-run", "--nats-url", url)
	assert.Equal(t, cli.Done, status)
	assert.Equal(t, "3 dead letters for 3 recipients would be replayed\n", out)
	assert.Zero(t, jobs(), "a dry run changes nothing")

	status, out, errOut = run(t, "dead", "replay", "--all", "--nats-url", url)
	assert.Equal(t, cli.Failed, status, "not all could be")
	assert.Equal(t, "2 dead letters for 2 recipients replayed; 1 can't be, and stay\n", out)
	assert.Contains(t, errOut, "expiresAt has passed")
	assert.Equal(t, 2, jobs())

	status, out, _ = run(t, "dead", "drop", "--reason", "expired", "--json", "--nats-url", url)
	assert.Equal(t, cli.Done, status)
	assert.JSONEq(t, `{"letters":1,"recipients":1,"failed":0,"dryRun":false}`, out)
	status, _, errOut = run(t, "dead", "ls", "--all", "--nats-url", url)
	assert.Equal(t, cli.Done, status)
	assert.Equal(t, "no such dead letters\n", errOut)
}
