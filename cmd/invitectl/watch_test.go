package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"io"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/invitedhq/invited/cmd/internal/cli"
	"github.com/invitedhq/invited/queue"
)

// running is invitectl in the background, line by line.
type running struct {
	*testing.T
	lines  *bufio.Scanner
	errOut bytes.Buffer // to be read once it has ended
	ctrlC  context.CancelFunc
	status chan int
}

func background(t *testing.T, args ...string) *running {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(cancel)
	out, w := io.Pipe()
	r := &running{T: t, lines: bufio.NewScanner(out), ctrlC: cancel, status: make(chan int, 1)}
	go func() {
		r.status <- cli.Run(ctx, (&tool{out: w, errOut: &r.errOut, zone: time.UTC}).command(), args)
		_ = w.Close()
	}()
	return r
}

func (r *running) line() string {
	r.Helper()
	require.True(r, r.lines.Scan(), "it has ended")
	return r.lines.Text()
}

func TestAWatchThatNobodySitsBeforePrintsALineForEachChange(t *testing.T) {
	conn, url := emptyQueue(t)
	status, _, errOut := run(t, "campaign", "start", "cup", "--title", "730", "--file", fileOf(t, numbers(1, 40)), "--nats-url", url)
	require.Equal(t, cli.Done, status, errOut)
	worker := work(t, conn)
	people := background(t, "campaign", "watch", "cup", "--nats-url", url)
	scripts := background(t, "campaign", "watch", "cup", "--json", "--nats-url", url)
	sent := func() int {
		var item struct{ Sent int }
		require.NoError(t, json.Unmarshal([]byte(scripts.line()), &item))
		return item.Sent
	}
	assert.Equal(t, "cup: waiting; 0 of 40 sent, 40 left", people.line())
	assert.Zero(t, sent())
	worker.end(1, 1)
	assert.Equal(t, "cup: sending; 15 of 40 sent, 1 dead (rejected 1), 24 left", people.line())
	assert.Equal(t, 15, sent())
	worker.end(2, 0)
	last := people.line()
	for last != "cup: ended; 39 of 40 sent, 1 dead (rejected 1), 0 left" { // the last acknowledgement may be on its way
		last = people.line()
	}
	assert.Equal(t, cli.Done, <-people.status, "how many are dead is in the figures")
	for scripts.lines.Scan() {
	}
	assert.Equal(t, cli.Done, <-scripts.status)
}

func TestAScriptCancelsWithoutBeingAsked(t *testing.T) {
	conn, url := emptyQueue(t)
	status, _, errOut := run(t, "campaign", "start", "cup", "--title", "730", "--file", fileOf(t, numbers(1, 40)), "--nats-url", url)
	require.Equal(t, cli.Done, status, errOut)
	waiting := background(t, "campaign", "cancel", "cup", "--nats-url", url)
	awaitState(t, url, queue.CampaignCancelling)
	waiting.ctrlC()
	assert.False(t, waiting.lines.Scan())
	assert.Equal(t, cli.Failed, <-waiting.status)
	assert.Equal(t, "invitectl: stopped waiting; the campaign stays cancelled: what is left is dropped as soon as a worker runs\n", waiting.errOut.String())

	waiting = background(t, "campaign", "cancel", "cup", "--nats-url", url)
	_, err := conn.Request("$JS.API.STREAM.PURGE.INVITE_CAMPAIGNS", nil, 5*time.Second)
	require.NoError(t, err) // as if a worker had dropped its jobs
	assert.Equal(t, "cup: cancelled; 0 of 40 sent, 40 dropped", waiting.line())
	assert.Equal(t, cli.Done, <-waiting.status)
}

func awaitState(t *testing.T, url string, state queue.CampaignState) {
	t.Helper()
	require.Eventually(t, func() bool {
		_, out, _ := run(t, "campaign", "status", "cup", "--json", "--nats-url", url)
		var item struct{ State queue.CampaignState }
		return json.Unmarshal([]byte(out), &item) == nil && item.State == state
	}, 30*time.Second, 20*time.Millisecond)
}

func TestACampaignInASentence(t *testing.T) {
	tool := &tool{zone: time.UTC}
	a := queue.Address{TitleID: 730, Sender: "ada", Campaign: "cup"}
	at := time.Date(2026, 12, 24, 18, 0, 0, 0, time.UTC)
	for want, s := range map[string]queue.CampaignStatus{
		"cup: paused; 1,234 of 100,000 sent, 98,766 left": {
			State: queue.CampaignPaused, Ordered: true, Recipients: 100_000, Sent: 1234, Left: 98_766, Terms: queue.CampaignTerms{Paused: true}, Jobs: 78},
		"cup: uploading, paused, and not to start before 2026-12-24 18:00:00 UTC, at most 2.5/s; 0 of 32 sent, 32 left": {
			State: queue.CampaignUploading, Ordered: true, Recipients: 32, Left: 32, Terms: queue.CampaignTerms{Paused: true, StartAt: at, Rate: 2.5}},
		"cup: sending; 3 sent, 2 dead (expired 1, rejected 1), 1 job waiting": {
			State: queue.CampaignSending, Sent: 3, Jobs: 4, Waiting: 1, Dead: map[queue.Reason]int{queue.Rejected: 1, queue.Expired: 1}},
		"cup: being cancelled; 16 of 48 sent, 16 dropped, 16 left": {
			State: queue.CampaignCancelling, Ordered: true, Recipients: 48, Sent: 16, Cancelled: 16, Left: 16, Terms: queue.CampaignTerms{Cancelled: true}, Jobs: 2},
	} {
		s.Address = a
		assert.Equal(t, want, tool.sentence(s))
	}
}

func TestHowFastItGoesIsWhatWasSeenLately(t *testing.T) {
	var p pace
	now := time.Date(2026, 11, 25, 17, 0, 0, 0, time.UTC)
	for second := range 100 { // 10/s for a minute, and 2/s after
		ended := 10 * second
		if second > 60 {
			ended = 600 + 2*(second-60)
		}
		p.note(now.Add(time.Duration(second)*time.Second), ended)
		switch {
		case second == 0:
			assert.Zero(t, p.perSecond(), "nothing has ended")
		case second <= 60:
			assert.InDelta(t, 10, p.perSecond(), 0.01)
		}
	}
	assert.InDelta(t, 2, p.perSecond(), 0.01)
}

func TestHowLongItTakesIsToldAsFarAsItIsKnown(t *testing.T) {
	began := time.Date(2026, 11, 25, 17, 0, 0, 0, time.UTC)
	s := queue.CampaignStatus{State: queue.CampaignSending, Ordered: true, Recipients: 1000, Left: 322, Rate: 2}
	left := queue.Forecast{Basis: queue.ByQuota, Calls: 21, Least: 161 * time.Second, Alone: 161 * time.Second}
	assert.Equal(t, []string{"lately    2.0/s", "time left at least 2 m 41 s"}, paceText(s, left))
	assert.Equal(t, []string{"lately    2.0/s"}, paceText(s, queue.Forecast{}), "NATS did not say")
	s.Terms.Paused = true
	assert.Equal(t, []string{"lately    2.0/s", "time left at least 2 m 41 s, once resumed"}, paceText(s, left))
	s.State, s.FirstEndedAt, s.LastEndedAt = queue.CampaignEnded, began, began.Add(65*time.Second)
	assert.Equal(t, []string{"took 1 m 05 s"}, paceText(s, queue.Forecast{}))
}

func TestThereIsNoRateBeforeItCanBeMeasured(t *testing.T) {
	first := time.Date(2026, 11, 25, 17, 0, 0, 0, time.UTC)
	after := func(d time.Duration, rate float64) []string {
		return paceText(queue.CampaignStatus{
			State: queue.CampaignSending, Sent: 336, Rate: rate, FirstEndedAt: first, History: []queue.CampaignMark{{At: first.Add(d)}},
		}, queue.Forecast{})
	}
	assert.Equal(t, []string{"lately    not measured yet"}, after(3*time.Second, 0))
	assert.Equal(t, []string{"lately    85.6/s"}, after(6*time.Second, 85.6))
	assert.Equal(t, []string{"lately    0.0/s"}, after(10*time.Minute, 0), "it stands still")
	assert.Equal(t, []string{"lately    0.0/s"}, paceText(queue.CampaignStatus{State: queue.CampaignWaiting}, queue.Forecast{}))
}

func TestThatACampaignIsPausedIsSaidWhateverItsState(t *testing.T) {
	paused := queue.CampaignTerms{Paused: true}
	for want, s := range map[string]queue.CampaignStatus{
		"paused":            {State: queue.CampaignPaused, Terms: paused},
		"uploading, paused": {State: queue.CampaignUploading, Terms: paused, Ordered: true},
		"ended, paused":     {State: queue.CampaignEnded, Terms: paused}, // what is published to it by hand later waits
		"ended":             {State: queue.CampaignEnded, Terms: paused, Ordered: true},
	} {
		assert.Equal(t, want, stateText(s))
	}
}
