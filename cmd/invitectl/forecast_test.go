package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/invitedhq/invited/cmd/internal/cli"
	"github.com/invitedhq/invited/queue"
)

// stores stores what a worker would.
func stores(t *testing.T, conn *nats.Conn, subject, record string) {
	t.Helper()
	m, err := conn.Request(subject, []byte(record), 5*time.Second)
	require.NoError(t, err)
	require.Contains(t, string(m.Data), `"seq"`)
}

// keySubject is where a worker stores what it knows of title 730 and the sender that is the default.
func keySubject() string {
	a := queue.Address{TitleID: 730, Sender: "default"}
	return fmt.Sprintf("invites.keys.%d.730.default", queue.PartitionOf(a, 16))
}

// untold puts a word in place of each time of day.
func untold(text string) string {
	return regexp.MustCompile(`\d{4}-\d\d-\d\d \d\d:\d\d:\d\d \w+`).ReplaceAllString(text, "TIME")
}

func dryRun(file, url string, more ...string) []string {
	return append([]string{"campaign", "start", "cup", "--title", "730", "--file", file, "--dry-run", "--nats-url", url}, more...)
}

func TestADryRunWithoutNATSAssumesThePublishedQuotaAndSaysSo(t *testing.T) {
	file := fileOf(t, numbers(1, 100_000)+numbers(1, 12))
	args := dryRun(file, "nats://127.0.0.1:1")
	began := time.Now()
	status, out, errOut := run(t, args...)
	require.Equal(t, cli.Done, status, errOut)
	assert.Less(t, time.Since(began), 2*forecastPatience)
	assert.Equal(t, `recipients  100,000
repeats     12
bad lines   0
calls       6,250
quota       7/15s,50/300s, as the service publishes it; no worker has said what it is configured with
time        at least 10 h 21 m
Players who wait, calls of the game itself, refusals and the time of each answer make it longer.
`, out)
	assert.Contains(t, errOut, "What holds for this sender and title now is not known: connecting to NATS")
	assert.Equal(t, 1, strings.Count(errOut, "\n"))

	_, out, _ = run(t, append(args, "--expires", time.Now().Add(time.Hour).Format(time.RFC3339))...)
	assert.Contains(t, out, "not all can be sent before.\n")
	_, out, _ = run(t, append(args, "--json", "--quota", "1000/1s")...)
	var item struct {
		Recipients, Repeats, Calls int
		LeastSeconds               float64
		Quota                      string
		DryRun                     bool
		Forecast                   struct {
			AloneSeconds float64
			QuotaFrom    string
		}
	}
	require.NoError(t, json.Unmarshal([]byte(out), &item))
	assert.InDelta(t, 6, item.LeastSeconds, 0)
	assert.InDelta(t, 6, item.Forecast.AloneSeconds, 0)
	assert.Equal(t, []string{"1000/1s", "flag"}, []string{item.Quota, item.Forecast.QuotaFrom})
	assert.True(t, item.DryRun)

	status, out, _ = run(t, dryRun(fileOf(t, "1\nx\n"), "nats://127.0.0.1:1")...)
	assert.Equal(t, cli.Failed, status, "start would publish nothing")
	assert.Contains(t, out, "bad lines   1\n")
	assert.Contains(t, out, "time        none, as far as the quota goes\n")
}

func TestADryRunSaysWhatHoldsForTheSenderAndTitleNow(t *testing.T) {
	conn, url := emptyQueue(t)
	file := fileOf(t, numbers(1, 16*100))
	_, out, errOut := run(t, dryRun(file, url)...)
	assert.Contains(t, out, "quota       7/15s,50/300s, as the service publishes it; no worker has said what it is configured with\n")
	assert.Empty(t, errOut)

	stores(t, conn, "invites.control.quota", `{"windows":[{"max":7,"perMs":15000}],"maxInFlight":4,"interactiveReserve":0.1,
		"titles":{"730":{"windows":[{"max":10,"perMs":1000}],"maxInFlight":4}}}`)
	status, out, errOut := run(t, dryRun(file, url)...)
	require.Equal(t, cli.Done, status, errOut)
	assert.Contains(t, out, "quota       10/1s, as the workers are configured\ntime        at least 9 s\n")

	stores(t, conn, keySubject(), `{"ago":[100],"n":[3],"blockedFor":3600000,"learnt":[{"max":2,"perMs":1000,"most":10}],"reservedFor":7200000}`)
	for _, other := range []struct {
		name string
		n    int
	}{{"autumn", 16 * 200}, {"league", 16 * 3}} {
		status, _, errOut := run(t, "campaign", "start", other.name, "--title", "730", "--file", fileOf(t, numbers(1, other.n)), "--nats-url", url)
		require.Equal(t, cli.Done, status, errOut)
	}
	publisher, err := queue.NewPublisher(conn)
	require.NoError(t, err)
	for _, a := range []queue.Address{
		{TitleID: 730, Sender: "default", Campaign: "by-hand"}, {TitleID: 730, Sender: "somebody-else", Campaign: "apart"},
	} {
		_, err = publisher.Publish(t.Context(), a, queue.Job{InvitedUsers: []queue.XUID{1}})
		require.NoError(t, err)
	}
	_, out, _ = run(t, dryRun(file, url)...)
	// One call a second (of two, one is for players): 100 of its own, 99 of autumn's, 3 of league's and 1 more, and before that
	// the block.
	before, after, _ := strings.Cut(out, "time ")
	assert.Regexp(t, `(?m)^time +about 1 h 03 m or more; 1 h 01 m alone$`, out)
	assert.Equal(t, `recipients    1,600
repeats       0
bad lines     0
calls         100
quota         2/1s, as the workers have learnt from refusals
in turn with  autumn (200 jobs), by-hand (1 job), league (3 jobs)
blocked       until TIME, by the service
reserve       10 % of the quota is left to players until TIME at least
`, untold(before))
	_, after, _ = strings.Cut(after, "\n")
	assert.Equal(t, `Players who wait, calls of the game itself, refusals and the time of each answer make it longer.
The workers try for more of the quota by and by, so that it may be less.
How many calls jobs are that were published one by one is a guess.
`, after)

	_, out, _ = run(t, dryRun(file, url, "--quota", "100/1s")...)
	assert.Contains(t, out, "quota         100/1s, as given\n", "it goes before what was learnt, too")

	var item struct {
		LeastSeconds float64
		Quota        string
		Forecast     forecastItem
	}
	_, out, _ = run(t, dryRun(file, url, "--json")...)
	require.NoError(t, json.Unmarshal([]byte(out), &item))
	assert.InDelta(t, 3600+202, item.LeastSeconds, 20)
	assert.Equal(t, "2/1s", item.Quota)
	assert.Equal(t, fromRefusals, item.Forecast.QuotaFrom)
	assert.Equal(t, []otherCampaignItem{
		{"autumn", 200, false, false}, {"by-hand", 1, true, false}, {"league", 3, false, false},
	}, item.Forecast.OtherCampaigns)
	assert.WithinDuration(t, time.Now().Add(time.Hour), item.Forecast.BlockedUntil, 10*time.Second)
}

func TestTheStatusOfACampaignSaysHowLongWhatIsLeftTakes(t *testing.T) {
	conn, url := emptyQueue(t)
	status, _, errOut := run(t, "campaign", "start", "cup", "--title", "730", "--file", fileOf(t, numbers(1, 16*60)), "--nats-url", url)
	require.Equal(t, cli.Done, status, errOut)
	show := func(more ...string) string {
		status, out, errOut := run(t, append([]string{"campaign", "status", "cup", "--nats-url", url}, more...)...)
		require.Equal(t, cli.Done, status, errOut)
		require.Empty(t, errOut)
		return out
	}
	out := show()
	assert.Contains(t, out, "time left   not known: no quota is, and how fast it gets on was not seen lately\nquota       none is known\n")
	assert.NotContains(t, out, "make it longer")
	assert.NotContains(t, show("--json"), "leastSecondsLeft")

	stores(t, conn, "invites.control.quota", `{"windows":[{"max":7,"perMs":15000},{"max":50,"perMs":300000}],"maxInFlight":4,"interactiveReserve":0.1}`)
	out = show()
	assert.Contains(t, out, "time left   at least 5 m 15 s\nquota       7/15s,50/300s, as the workers are configured\n")
	assert.Contains(t, out, "make it longer")
	assert.Contains(t, show("--json"), `"leastSecondsLeft":315,`)

	status, _, errOut = run(t, "campaign", "start", "league", "--title", "730", "--file", fileOf(t, numbers(1, 16*60)), "--nats-url", url)
	require.Equal(t, cli.Done, status, errOut)
	assert.Contains(t, show(), "time left     at least 10 m 30 s; 5 m 15 s alone\n")
}

func TestTimesAreToldAsFarAsTheyAreKnown(t *testing.T) {
	for want, f := range map[string]queue.Forecast{
		"none":                              {},
		"none, as far as the quota goes":    {Calls: 1, Basis: queue.ByQuota},
		"at least 4 s":                      {Calls: 1, Basis: queue.ByQuota, Least: 4999 * time.Millisecond, Alone: 4999 * time.Millisecond},
		"at least 1 h 00 m; 1 m 30 s alone": {Calls: 1, Basis: queue.ByQuota, Least: time.Hour + 1999*time.Millisecond, Alone: 90 * time.Second},
		"about 2 m 00 s or more":            {Calls: 1, Basis: queue.ByQuota, Rough: true, Least: 2 * time.Minute, Alone: 2 * time.Minute},
		"at least 1 m 00 s":                 {Calls: 1, Basis: queue.ByLimit, Least: time.Minute, Alone: time.Minute},
		"about 1 m 00 s, if it goes on as lately; no quota is known":          {Calls: 1, Basis: queue.ByRate, Rough: true, Least: time.Minute},
		"not known: no quota is, and how fast it gets on was not seen lately": {Calls: 1},
	} {
		assert.Equal(t, want, timeInWords(f))
	}
	many := make([]queue.OtherCampaign, 7)
	for i := range many {
		many[i] = queue.OtherCampaign{Name: fmt.Sprint(i), Jobs: i}
	}
	assert.Equal(t, "0 (0 jobs), 1 (1 job), 2 (2 jobs), 3 (3 jobs), 4 (4 jobs), 2 more (11 jobs)", others(many))
}

// FuzzQuotaFlag: what is accepted can be configured, and is written as it was read.
func FuzzQuotaFlag(f *testing.F) {
	for _, seed := range []string{
		publishedQuota, "", " 7/15s , 1/1ms", "7", "7/15", "0/1s", "-1/1s", "1/-1s", "1000001/1s", "1/25h", "/", ",", "1/1s,", "\x1b/1s", "1/\u202e",
		strings.Repeat("1/1s,", maxWindows) + "1/1s", "+7/15s", "1/1.5s", "1/1h30m",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		windows, err := parseQuota(text)
		if err != nil {
			require.Empty(t, windows)
			require.Empty(t, strings.Map(controls, err.Error()), "%q", err)
			return
		}
		require.LessOrEqual(t, len(windows), maxWindows)
		for _, w := range windows {
			require.True(t, w.Max > 0 && w.Max <= maxWindowCalls && w.Per >= time.Millisecond && w.Per <= maxWindow, "%v", w)
		}
		again, err := parseQuota(queue.WindowsString(windows))
		require.NoError(t, err)
		require.Equal(t, windows, again)
	})
}

func TestTheTimeLeftOfAPausedCampaignBeginsWhenItIsResumed(t *testing.T) {
	left := queue.Forecast{Basis: queue.ByQuota, Calls: 10, Least: time.Minute, Alone: time.Minute}
	assert.Equal(t, "at least 1 m 00 s", timeLeftInWords(queue.CampaignStatus{}, left))
	paused := queue.CampaignStatus{Terms: queue.CampaignTerms{Paused: true}}
	assert.Equal(t, "at least 1 m 00 s, once resumed", timeLeftInWords(paused, left))
	assert.NotContains(t, timeLeftInWords(paused, queue.Forecast{Calls: 10}), "resumed", "what is not known does not begin")
}

func TestACampaignWithARateLimitIsNotTakenForOneThatWasPublishedByHand(t *testing.T) {
	f := queue.Forecast{Basis: queue.ByQuota, Calls: 10, Rough: true, Others: []queue.OtherCampaign{{Name: "league", Jobs: 9, Limited: true}}}
	var out bytes.Buffer
	require.NoError(t, (&tool{out: &out}).printUnsure(f))
	assert.Contains(t, out.String(), "that have a rate limit may leave it more of the quota")
	assert.NotContains(t, out.String(), "published one by one")
	assert.True(t, itemOfForecast(f, fromWorkers).OtherCampaigns[0].Limited)

	out.Reset()
	f.Others[0].Raw = true
	require.NoError(t, (&tool{out: &out}).printUnsure(f))
	assert.Contains(t, out.String(), "published one by one")
}
