package main

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"strings"
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

// emptyQueue is a server with our streams, and its URL.
func emptyQueue(t *testing.T) (conn *nats.Conn, url string) {
	t.Helper()
	server := embeddedtest.StartWith(t, embedded.Options{Listen: embeddedtest.FreeAddress(t)})
	conn = embeddedtest.Connect(t, server)
	q, err := queue.Open(t.Context(), conn, queue.Options{Logger: slog.New(slog.DiscardHandler)})
	require.NoError(t, err)
	q.Close()
	return conn, server.ClientURL()
}

func fileOf(t *testing.T, text string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "players.csv")
	require.NoError(t, os.WriteFile(name, []byte(text), 0o600))
	return name
}

// numbers are so many XUIDs, a line each.
func numbers(first, n int) string {
	var b strings.Builder
	for x := range n {
		fmt.Fprintln(&b, first+x)
	}
	return b.String()
}

func stored(t *testing.T, conn *nats.Conn, stream string) int {
	t.Helper()
	var info struct{ State struct{ Messages int } }
	m, err := conn.Request("$JS.API.STREAM.INFO."+stream, nil, 5*time.Second)
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(m.Data, &info))
	return info.State.Messages
}

func TestACampaignIsStartedOnceFromAnyFormOfAFile(t *testing.T) {
	conn, url := emptyQueue(t)
	csv := fileOf(t, "name,XUID\r\n\"Ada, Countess\",2533274790000001\r\nBob,2533274790000002\r\nAda,2533274790000001\r\n")
	start := func(name, file string, more ...string) (int, string, string) {
		return run(t, append([]string{"campaign", "start", name, "--title", "730", "--file", file, "--nats-url", url}, more...)...)
	}
	status, out, errOut := start("cup", csv)
	require.Equal(t, cli.Done, status, errOut)
	assert.Equal(t, "cup: 2 recipients in 1 call stored; 1 repeat left out\n", out)
	assert.Empty(t, errOut, "no bar where there is no terminal")

	var zipped bytes.Buffer
	z := gzip.NewWriter(&zipped)
	_, _ = z.Write([]byte("2533274790000001\n# a comment\n2533274790000002\n"))
	require.NoError(t, z.Close())
	status, out, errOut = start("cup", fileOf(t, zipped.String()))
	require.Equal(t, cli.Done, status, errOut)
	assert.Equal(t, "cup: all of its 2 recipients were stored before; nothing was done\n", out)
	assert.Equal(t, 1, stored(t, conn, "INVITE_CAMPAIGNS"))

	status, out, errOut = start("cup", fileOf(t, "2533274790000003\n"))
	assert.Equal(t, cli.Failed, status)
	assert.Empty(t, out)
	assert.Equal(t, "invitectl: campaign cup: there is a campaign of this name with other recipients; choose another name\n", errOut)
	status, _, errOut = start("cup", csv, "--connection", "lobby=1")
	assert.Equal(t, cli.Failed, status)
	assert.Contains(t, errOut, "with another connectionString, platform or expiry")

	status, out, _ = start("league", csv, "--json")
	assert.Equal(t, cli.Done, status)
	assert.JSONEq(t, `{"campaign":"league","titleId":730,"sender":"default","recipients":2,"calls":1,"repeats":1,"badLines":0,
		"stored":2,"storedBefore":0,"dryRun":false}`, out)
}

func TestStandardInputIsReadOnce(t *testing.T) {
	conn, url := emptyQueue(t)
	var out, errOut bytes.Buffer
	cmd := newCommand(&out, &errOut)
	cmd.SetIn(strings.NewReader(numbers(1, 40)))
	status := cli.Run(t.Context(), cmd, []string{"campaign", "start", "cup", "--title", "730", "--file", "-", "--nats-url", url})
	require.Equal(t, cli.Done, status, errOut.String())
	assert.Equal(t, "cup: 40 recipients in 3 calls stored\n", out.String())
	assert.Equal(t, 3, stored(t, conn, "INVITE_CAMPAIGNS"))
}

func TestBadLinesAreListedAndNothingIsPublishedUnlessTheyAreLeftOut(t *testing.T) {
	conn, url := emptyQueue(t)
	file := fileOf(t, numbers(1, 20)+strings.Repeat("x\x1b[31m\n", 25))
	status, out, errOut := run(t, "campaign", "start", "cup", "--title", "730", "--file", file, "--nats-url", url)
	assert.Equal(t, cli.Failed, status)
	assert.Empty(t, out)
	lines := strings.Split(strings.TrimSpace(errOut), "\n")
	require.Len(t, lines, 22)
	assert.Contains(t, lines[0], file+": line 21: ")
	assert.Contains(t, lines[19], file+": line 40: ")
	assert.Equal(t, file+": and 5 bad lines more", lines[20])
	assert.Equal(t, "invitectl: "+file+": 25 bad lines; nothing was published; mend them, or leave them out with --skip-bad", lines[21])
	assert.NotContains(t, errOut, "\x1b")
	assert.Zero(t, stored(t, conn, "INVITE_CAMPAIGNS"))
	assert.Zero(t, stored(t, conn, "INVITE_CONTROL"))

	status, out, _ = run(t, "campaign", "start", "cup", "--title", "730", "--file", file, "--nats-url", url, "--skip-bad")
	assert.Equal(t, cli.Done, status)
	assert.Equal(t, "cup: 20 recipients in 2 calls stored; 25 bad lines left out\n", out)
}

func TestAFileThatCantBeReadToItsEndIsNotPublished(t *testing.T) {
	for what, c := range map[string]struct{ text, says string }{
		"nothing in it": {"# nobody\n", "there is no recipient in it"},
		"cut off":       {"\x1f\x8b\x08\x00\x00\x00", "nothing was published"},
	} {
		t.Run(what, func(t *testing.T) {
			status, out, errOut := run(t, "campaign", "start", "cup", "--title", "730", "--file", fileOf(t, c.text), "--skip-bad", "--nats-url", "nats://127.0.0.1:1")
			assert.Equal(t, cli.Failed, status)
			assert.Empty(t, out)
			assert.Contains(t, errOut, c.says)
		})
	}
}

func TestCampaignsAreListedAndShown(t *testing.T) {
	conn, url := emptyQueue(t)
	status, out, errOut := run(t, "campaign", "ls", "--nats-url", url)
	assert.Equal(t, cli.Done, status)
	assert.Empty(t, out)
	assert.Equal(t, "no campaigns\n", errOut)

	status, _, errOut = run(t, "campaign", "start", "cup", "--title", "730", "--sender", "ada", "--file", fileOf(t, numbers(1, 40)), "--nats-url", url)
	require.Equal(t, cli.Done, status, errOut)
	publisher, err := queue.NewPublisher(conn)
	require.NoError(t, err)
	_, err = publisher.Publish(t.Context(), queue.Address{TitleID: 731, Sender: "bob", Campaign: "league"}, queue.Job{InvitedUsers: []queue.XUID{1}})
	require.NoError(t, err)
	_, out, _ = run(t, "campaign", "ls", "--nats-url", url)
	assert.Equal(t, `CAMPAIGN  TITLE  SENDER  STATE    RECIPIENTS  SENT  DEAD  LEFT  JOBS WAITING
cup         730  ada     waiting          40     0     0    40             3
league      731  bob     waiting           ?     0     0     ?             1
`, out)
	status, _, errOut = run(t, "campaign", "status", "nope", "--nats-url", url)
	assert.Equal(t, cli.Failed, status)
	assert.Contains(t, errOut, `there is no such campaign called "nope"; see invitectl campaign ls`)

	status, _, errOut = run(t, "campaign", "start", "cup", "--title", "731", "--file", fileOf(t, "1"), "--nats-url", url)
	require.Equal(t, cli.Done, status, errOut)
	status, _, errOut = run(t, "campaign", "status", "cup", "--nats-url", url)
	assert.Equal(t, cli.WrongUse, status)
	assert.Contains(t, errOut, "--title 730 --sender ada, or --title 731 --sender default")
	status, out, _ = run(t, "campaign", "status", "cup", "--title", "731", "--json", "--nats-url", url)
	assert.Equal(t, cli.Done, status)
	var item map[string]any
	require.NoError(t, json.Unmarshal([]byte(out), &item))
	assert.InDelta(t, 1, item["left"], 0)
	status, out, _ = run(t, "campaign", "status", "league", "--json", "--nats-url", url)
	assert.Equal(t, cli.Done, status)
	require.NoError(t, json.Unmarshal([]byte(out), &item))
	assert.Nil(t, item["left"], "nobody knows")
}

func TestACampaignInWords(t *testing.T) {
	began := time.Date(2026, 11, 25, 17, 0, 0, 0, time.UTC)
	s := queue.CampaignStatus{
		Address: queue.Address{TitleID: 730, Sender: "ada", Campaign: "cup"}, State: queue.CampaignSending, Ordered: true,
		Recipients: 1000, Uploaded: 1000, Left: 480, CreatedAt: began, Waiting: 30, Jobs: 33, Sent: 515,
		Dead: map[queue.Reason]int{queue.Rejected: 4, queue.Expired: 2}, Replayed: 1, MaybeDuplicate: 1, NoJobs: 1,
		FirstEndedAt: began.Add(time.Second), LastEndedAt: began.Add(time.Minute), Complete: true,
	}
	var out bytes.Buffer
	tool := &tool{out: &out, zone: time.UTC}
	require.NoError(t, tool.printCampaign(s, nil))
	assert.Equal(t, `campaign     cup
title        730
sender       ada
state        sending
recipients   1,000
sent         515 (51.5 %)
dead         6 (0.6 %): expired 2, rejected 4
left         480 (48.0 %)
jobs         30 waiting, 33 ended
replayed     1 recipient ended again: they are among the dead, and once more among sent or dead
no jobs      1 message; their recipients can't be counted
maybe twice  1 job; some of their recipients may have been sent once more than is counted
created      2026-11-25 17:00:00 UTC
first ended  2026-11-25 17:00:01 UTC
last ended   2026-11-25 17:01:00 UTC
`, out.String())

	out.Reset()
	raw := queue.CampaignStatus{Address: s.Address, State: queue.CampaignEnded, Jobs: 2, Sent: 3}
	require.NoError(t, tool.printCampaign(raw, nil))
	assert.Contains(t, out.String(), "recipients  unknown: its jobs were published one by one; 3 have ended\n")
	assert.Contains(t, out.String(), "The counts may be too low")
	out.Reset()
	s.State, s.Uploaded = queue.CampaignUploading, 160
	require.NoError(t, tool.printCampaign(s, nil))
	assert.Contains(t, out.String(), "uploaded     160 of 1,000; if nobody is at it, run the same campaign start again\n")
}

func TestResultsAreShownAsTheyAreStored(t *testing.T) {
	conn, url := emptyQueue(t)
	for i, campaign := range []string{"cup", "league"} {
		m := nats.NewMsg("invites.results.730.ada." + campaign)
		m.Data = fmt.Appendf(nil, `{"id":"job-%d","titleId":730,"sender":"ada","campaign":%q,"sent":1,"dead":%d,"reason":%q,"attempts":1,`+
			`"publishedAt":"2026-11-25T17:00:00Z","endedAt":"2026-11-25T17:00:01Z","maybeDuplicate":false}`, i, campaign, i, []string{"", "rejected"}[i])
		_, err := conn.RequestMsg(m, 5*time.Second)
		require.NoError(t, err)
	}
	status, out, errOut := run(t, "results", "--nats-url", url)
	assert.Equal(t, cli.Done, status, errOut)
	assert.Equal(t, "job-0: 1 sent, 1s after 1 call\njob-1: 1 sent, 1 dead (rejected), 1s after 1 call\n", out)
	_, out, _ = run(t, "results", "--campaign", "cup", "--title", "730", "--json", "--nats-url", url)
	assert.Equal(t, 1, strings.Count(out, "\n"))
	assert.Contains(t, out, `"id":"job-0"`)

	status, out, errOut = run(t, "results", "--campaign", "nobody", "--nats-url", url)
	assert.Equal(t, cli.Done, status)
	assert.Empty(t, out)
	assert.Equal(t, "no such results in the last day\n", errOut, "else it looks as if nothing had been asked")
}

func TestResultsAreFollowedUntilCtrlC(t *testing.T) {
	conn, url := emptyQueue(t)
	publish := func(id string) {
		m := nats.NewMsg("invites.results.730.ada.cup")
		m.Data = fmt.Appendf(nil, `{"id":%q,"titleId":730,"sender":"ada","campaign":"cup","sent":1,"dead":0,"reason":"","attempts":1,`+
			`"publishedAt":"2026-11-25T17:00:00Z","endedAt":"2026-11-25T17:00:01Z","maybeDuplicate":false}`, id)
		m.Header.Set("Invite-Job", id)
		_, err := conn.RequestMsg(m, 5*time.Second)
		require.NoError(t, err)
	}
	publish("stored")
	ctx, ctrlC := context.WithCancel(t.Context())
	defer ctrlC()
	out, w := io.Pipe()
	ended := make(chan int, 1)
	go func() {
		ended <- cli.Run(ctx, newCommand(w, io.Discard), []string{"results", "--title", "730", "--follow", "--nats-url", url})
		_ = w.Close()
	}()
	lines := bufio.NewScanner(out)
	for _, id := range []string{"stored", "new"} {
		require.True(t, lines.Scan())
		assert.Equal(t, id+": 1 sent, 1s after 1 call", lines.Text())
		if id == "stored" {
			publish("new")
		}
	}
	ctrlC()
	assert.False(t, lines.Scan())
	assert.Equal(t, cli.Done, <-ended)
}

func TestCompletionKnowsCampaigns(t *testing.T) {
	_, url := emptyQueue(t)
	status, _, errOut := run(t, "campaign", "start", "cup", "--title", "730", "--file", fileOf(t, "1"), "--nats-url", url)
	require.Equal(t, cli.Done, status, errOut)
	for _, command := range []string{"status", "watch", "pause", "resume", "rate", "cancel"} {
		_, out, _ := run(t, "__complete", "campaign", command, "--nats-url", url, "")
		assert.True(t, strings.HasPrefix(out, "cup\n"), "%s: %s", command, out)
	}
	for _, other := range [][]string{{"--title", "731"}, {"--title", "731", "--sender", "ada"}} {
		status, _, errOut := run(t, append([]string{"campaign", "start", "cup", "--file", fileOf(t, "1"), "--nats-url", url}, other...)...)
		require.Equal(t, cli.Done, status, errOut)
	}
	for what, c := range map[string]struct {
		args  []string
		offer string
	}{
		"a name that several have, once":    {[]string{"campaign", "status", ""}, "cup\n"},
		"the titles of its campaigns":       {[]string{"campaign", "status", "cup", "--title", ""}, "730\n731\n"},
		"and their senders":                 {[]string{"campaign", "cancel", "cup", "--sender", ""}, "ada\ndefault\n"},
		"but none of another name":          {[]string{"campaign", "status", "league", "--title", ""}, ""},
		"a title that there are others for": {[]string{"campaign", "start", "league", "--title", ""}, "730\n731\n"},
		"no file as a new name":             {[]string{"campaign", "start", ""}, ""},
		"campaigns with dead letters":       {[]string{"dead", "ls", "--campaign", ""}, "cup\n"},
		"campaigns with results":            {[]string{"results", "--campaign", ""}, "cup\n"},
	} {
		_, out, _ := run(t, append([]string{"__complete", "--nats-url", url}, c.args...)...)
		assert.Equal(t, c.offer+":4\n", out, "%s; 4: and no files", what)
	}
	_, out, _ := run(t, "__complete", "campaign", "status", "--nats-url", "nats://127.0.0.1:1", "")
	assert.True(t, strings.HasPrefix(out, ":4\n"), "without a server there is nothing to offer, and no complaint: %s", out)
	for _, shell := range []string{"bash", "zsh", "fish"} {
		status, out, _ := run(t, "completion", shell)
		assert.Equal(t, cli.Done, status)
		assert.Contains(t, out, "invitectl")
	}
}

func TestAStartWithARelativeExpiryCanBeGoneOnWith(t *testing.T) {
	_, url := emptyQueue(t)
	start := func(more ...string) (status int, out, errOut string) {
		return run(t, append([]string{"campaign", "start", "cup", "--title", "730", "--file", fileOf(t, numbers(1, 20)), "--nats-url", url}, more...)...)
	}
	status, _, errOut := start("--at", "+1h", "--expires", "+48h", "--rate", "5/s")
	require.Equal(t, cli.Done, status, errOut)

	status, _, errOut = start("--at", "+1h", "--expires", "+49h", "--rate", "5/s") // stands for the same a moment later
	assert.Equal(t, cli.Failed, status)
	assert.Contains(t, errOut, "leave out --expires, --at and --rate to go on with those it has")
	status, out, errOut := start()
	assert.Equal(t, cli.Done, status, errOut)
	assert.Contains(t, out, "all of its 20 recipients were stored before")

	_, shown, _ := run(t, "campaign", "status", "cup", "--nats-url", url)
	expires := regexp.MustCompile(`expires +(.*) UTC`).FindStringSubmatch(shown)
	require.Len(t, expires, 2, shown)
	status, _, errOut = start("--expires", strings.Replace(expires[1], " ", "T", 1)+"Z")
	assert.Equal(t, cli.Done, status, "what status shows can be typed: %s", errOut)

	status, _, errOut = start("--connection", "another")
	assert.Equal(t, cli.Failed, status)
	assert.NotContains(t, errOut, "--expires", "it has nothing to do with it")
}
