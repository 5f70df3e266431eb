package main

import (
	"bytes"
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/invitedhq/invited/cmd/internal/cli"
	"github.com/invitedhq/invited/queue"
	"github.com/invitedhq/invited/queue/embedded/embeddedtest"
)

// The commands against running workers are tested with real processes, in cmd/invited.

func run(t *testing.T, args ...string) (status int, out, errOut string) {
	t.Helper()
	var o, e bytes.Buffer
	status = cli.Run(t.Context(), (&tool{out: &o, errOut: &e, zone: time.UTC}).command(), args)
	return status, o.String(), e.String()
}

func TestWrongUseIsToldBeforeAnythingIsPublished(t *testing.T) {
	for what, c := range map[string]struct {
		args []string
		says string
	}{
		"no title":           {[]string{"send", "--to", "1"}, "--title is missing"},
		"no recipient":       {[]string{"send", "--title", "730"}, "--to is missing"},
		"title out of range": {[]string{"send", "--title", "4294967296", "--to", "1"}, `--title: "4294967296" is no title ID`},
		"title with a zero":  {[]string{"send", "--title", "0730", "--to", "1"}, `--title: "0730" is no title ID`},
		"no ttl at all":      {[]string{"send", "--title", "730", "--to", "1", "--ttl", "0s"}, "--ttl: 0s is not above 0"},
		"leading zero":       {[]string{"send", "--title", "730", "--to", "1,02"}, `--to: "02" has a leading zero`},
		"sender with a dot":  {[]string{"send", "--title", "730", "--to", "1", "--sender", "a.b"}, "only A-Z a-z 0-9 _ and - are allowed"},
		"trace in capitals":  {[]string{"send", "--title", "730", "--to", "1", "--traceparent", "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01"}, "--traceparent: "},
		"trace of zeros":     {[]string{"send", "--title", "730", "--to", "1", "--traceparent", "00-00000000000000000000000000000000-00f067aa0ba902b7-01"}, "--traceparent: "},
		"span of zeros":      {[]string{"send", "--title", "730", "--to", "1", "--traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01"}, "--traceparent: "},
		"platform":           {[]string{"send", "--title", "730", "--to", "1", "--platform", "PS5"}, `platform: "PS5" is not one of Android`},
		"ttl in the past":    {[]string{"send", "--title", "730", "--to", "1", "--ttl", "-5s"}, "--ttl: -5s is not above 0"},
		"no filter":          {[]string{"dead", "ls"}, "or say --all"},
		"reason":             {[]string{"dead", "ls", "--reason", "tired"}, `--reason: "tired" is none of invalid, rejected`},
		"since":              {[]string{"dead", "ls", "--since", "yesterday"}, `--since: "yesterday" is neither a duration nor a time; give one as 90m`},
		"campaign, no name":  {[]string{"campaign", "start", "--title", "730", "--file", "-"}, "takes the name of one campaign, and 0 arguments"},
		"campaign, no title": {[]string{"campaign", "start", "cup", "--file", "-"}, "--title is missing"},
		"campaign, no file":  {[]string{"campaign", "start", "cup", "--title", "730"}, "--file is missing"},
		"campaign's name":    {[]string{"campaign", "start", "a.b", "--title", "730", "--file", "-"}, "only A-Z a-z 0-9 _ and - are allowed"},
		"campaign's expiry":  {[]string{"campaign", "start", "cup", "--title", "730", "--file", "-", "--expires", "2020-01-01T00:00:00Z"}, "has passed"},
		"campaign's time":    {[]string{"campaign", "start", "cup", "--title", "730", "--file", "-", "--expires", "noon"}, `--expires: "noon" is no time; give one as 2026-12-24T18:00:00Z, `},
		"campaign's start":   {[]string{"campaign", "start", "cup", "--title", "730", "--file", "-", "--at", "2020-01-01 18:00"}, "--at now means at once"},
		"never to be sent":   {[]string{"campaign", "start", "cup", "--title", "730", "--file", "-", "--at", "+2h", "--expires", "+2h"}, "nothing would be sent"},
		"campaign's rate":    {[]string{"campaign", "start", "cup", "--title", "730", "--file", "-", "--rate", "5"}, `--rate: "5" is no rate; give recipients per`},
		"no rate at all":     {[]string{"campaign", "rate", "cup", "0/s"}, `the rate: "0/s" is no rate`},
		"too fast":           {[]string{"campaign", "rate", "cup", "1000001/s"}, "0.0001 to 1000000 recipients per second"},
		"a rate is missing":  {[]string{"campaign", "rate", "cup"}, "and its rate or none"},
		"pause, no name":     {[]string{"campaign", "pause"}, "takes the name of one campaign"},
		"cancel, two names":  {[]string{"campaign", "cancel", "a", "b"}, "and 2 arguments were given"},
		"status of what":     {[]string{"status", "cup"}, "takes only flags"},
		"quota, no dry run":  {[]string{"campaign", "start", "cup", "--title", "730", "--file", "-", "--quota", "7/15s"}, "--quota: it is for --dry-run"},
		"cert without key":   {[]string{"status", "--tls-cert", "cert.pem"}, "--tls-cert and --tls-key go together"},
		"campaign's quota":   {[]string{"campaign", "start", "cup", "--title", "730", "--file", "-", "--quota", "7"}, "--quota: "},
		"status, no name":    {[]string{"campaign", "status"}, "takes the name of one campaign"},
		"bench, no title":    {[]string{"bench", "--xuids-from", "1", "--yes-send"}, "--title is missing"},
		"bench of whom":      {[]string{"bench", "--title", "730", "--yes-send"}, "say who is invited"},
		"bench, sizes":       {[]string{"bench", "--title", "730", "--xuids-from", "1", "--recipients", "8-1"}, `--recipients: "8-1" is neither a number`},
		"bench, no player":   {[]string{"bench", "--title", "730", "--xuids-from", "0"}, `--xuids-from: "0"`},
		"bench, no jobs":     {[]string{"bench", "--title", "730", "--xuids-from", "1", "--jobs", "0"}, "--jobs: 0 is not from 1"},
		"bench, two senders": {[]string{"bench", "--title", "730", "--xuids-from", "1", "--sender", "a", "--senders", "2"}, "exclude each other"},
		"bench, large calls": {[]string{"bench", "--title", "730", "--xuids-from", "1", "--api", "http://127.0.0.1:1", "--recipients", "17"}, "a call takes 16"},
		"bench, http":        {[]string{"bench", "--title", "730", "--xuids-from", "1", "--api", "http://a.example", "--token-file", "testdata/others.txt"}, "--token-file: "},
		"bench of a cup":     {[]string{"bench", "--title", "730", "--xuids-from", "1", "--api", "http://127.0.0.1:1", "--campaign", "cup"}, "exclude each other"},
		"unknown command":    {[]string{"sned"}, "no such command"},
	} {
		t.Run(what, func(t *testing.T) {
			status, out, errOut := run(t, c.args...)
			assert.Equal(t, cli.WrongUse, status)
			assert.Empty(t, out)
			assert.Contains(t, errOut, c.says)
			assert.Contains(t, errOut, "--help")
		})
	}
}

func TestAServerThatIsNotThereIsToldWithTheWayOut(t *testing.T) {
	status, _, errOut := run(t, "dead", "ls", "--all", "--nats-url", "nats://user:s3cret@127.0.0.1:1")
	assert.Equal(t, cli.Failed, status)
	assert.Contains(t, errOut, "--nats-url")
	assert.NotContains(t, errOut, "s3cret")
}

func TestAFileThatIsNotThereIsNotTakenForAServer(t *testing.T) {
	for _, flag := range []string{"--credentials", "--tls-ca"} {
		status, _, errOut := run(t, "status", flag, "missing.file", "--nats-url", "nats://127.0.0.1:1")
		assert.Equal(t, cli.Failed, status)
		assert.Contains(t, errOut, "open missing.file: no such file")
		assert.NotContains(t, errOut, "running there", flag)
	}
}

func TestADirectoryIsNoFileOfPlayers(t *testing.T) {
	status, _, errOut := run(t, "campaign", "start", "cup", "--title", "730", "--file", t.TempDir(), "--dry-run")
	assert.Equal(t, cli.Failed, status)
	assert.Contains(t, errOut, "it is a directory; nothing was published")
}

func TestDeadFilter(t *testing.T) {
	now := time.Date(2026, 11, 22, 8, 0, 0, 0, time.UTC)
	title := uint32(730)
	f := deadFilter{title: "730", reason: "rejected", campaign: "finals", since: "90m"}
	got, err := f.filter(now)
	require.NoError(t, err)
	assert.Equal(t, queue.Filter{TitleID: &title, Reason: queue.Rejected, Campaign: "finals", Since: now.Add(-90 * time.Minute)}, got)
	got, err = (&deadFilter{since: "2026-11-21T00:00:00Z"}).filter(now)
	require.NoError(t, err)
	assert.Equal(t, now.Add(-32*time.Hour), got.Since.UTC())
	got, err = (&deadFilter{all: true}).filter(now)
	require.NoError(t, err)
	assert.Equal(t, queue.Filter{}, got)
}

func TestAResultInWords(t *testing.T) {
	published := time.Date(2026, 11, 22, 8, 0, 0, 0, time.UTC)
	r := queue.Result{ID: "match-\x1b[31m7", Sent: 15, Dead: 1, Reason: queue.Rejected, Attempts: 9, PublishedAt: published,
		EndedAt: published.Add(1500 * time.Millisecond), MaybeDuplicate: true}
	var out bytes.Buffer
	err := (&tool{out: &out, zone: time.UTC}).printResult(r)
	require.ErrorIs(t, err, cli.ErrSilent, "not all were sent")
	assert.Equal(t, "match-\uFFFD[31m7: 15 sent, 1 dead (rejected), 1.5s after 9 calls; some may have been sent twice\n", out.String())

	out.Reset()
	r = queue.Result{ID: "INVITES:1", Sent: 1, Attempts: 1, PublishedAt: published, EndedAt: published.Add(20 * time.Millisecond)}
	require.NoError(t, (&tool{out: &out, zone: time.UTC}).printResult(r))
	assert.Equal(t, "INVITES:1: 1 sent, 20ms after 1 call\n", out.String())

	out.Reset()
	r.Cancelled = 9999
	require.NoError(t, (&tool{out: &out, zone: time.UTC}).printResult(r), "somebody wanted it")
	assert.Equal(t, "INVITES:1: 1 sent, 9999 dropped, 20ms after 1 call\n", out.String())
}

func TestAStartThatReachesNobodyDoesNotSayWhatIsStored(t *testing.T) {
	status, _, errOut := run(t, "campaign", "start", "cup", "--title", "730", "--file", fileOf(t, "1\n2"), "--nats-url", "nats://127.0.0.1:1")
	assert.Equal(t, cli.Failed, status)
	assert.NotContains(t, errOut, "0 of 2", "an earlier start may have stored all")
	assert.Contains(t, errOut, "; run the same again to go on\n")
}

func TestAResultThatCameWhileTheConnectionWasLostIsLookedUp(t *testing.T) {
	conn := embeddedtest.Connect(t, embeddedtest.Start(t))
	q, err := queue.Open(t.Context(), conn, queue.Options{Logger: slog.New(slog.DiscardHandler)})
	require.NoError(t, err)
	publisher, err := queue.NewPublisher(conn)
	require.NoError(t, err)
	sent := time.Now()
	receipt, err := publisher.Publish(t.Context(), queue.Address{TitleID: 730, Sender: "ada"}, queue.Job{InvitedUsers: []queue.XUID{1}, ID: "mine"})
	require.NoError(t, err)
	_, found := lookUp(t.Context(), conn, sent, receipt)
	assert.False(t, found)

	ctx, cancel := context.WithCancel(t.Context())
	settled := make(chan error, 1)
	consumed := make(chan error, 1)
	go func() {
		consumed <- q.Consume(ctx, queue.DeliverFunc(func(d *queue.Delivery) {
			q.Settle(ctx, d, queue.Ending{Sent: 1, EndedAt: time.Now()}, func(err error) { settled <- err })
		}))
	}()
	require.NoError(t, <-settled)
	cancel()
	require.NoError(t, <-consumed)
	q.Close()
	r, found := lookUp(t.Context(), conn, sent, receipt)
	assert.True(t, found)
	assert.Equal(t, "mine", r.ID)
}
