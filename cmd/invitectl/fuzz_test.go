package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/invitedhq/invited/cmd/internal/cli"
	"github.com/invitedhq/invited/queue"
)

// requireUsage: what was typed wrongly is told as such, in words that a terminal shows as they are.
func requireUsage(t *testing.T, err error) {
	t.Helper()
	_, usage := errors.AsType[cli.UsageError](err)
	require.True(t, usage, "%v", err)
	require.Empty(t, strings.Map(controls, err.Error()), "%q", err)
}

func controls(r rune) rune {
	if unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) {
		return r
	}
	return -1
}

// FuzzSendFlags: what the flags of send accept is a job that a worker accepts, to whom was named.
func FuzzSendFlags(f *testing.F) {
	f.Add("1739947436", "lobby-1", "2533274790395904,2533274790395905", "lobby=42", "Scarlett", "a", int64(30*time.Second))
	f.Add("0", "default", "1", "", "", "", int64(0))
	f.Add("4294967296", "a.b", " 1 ,1,", "\xff", "PS5", strings.Repeat("i", 129), int64(-1))
	f.Add("730", "", "18446744073709551616", strings.Repeat("😀", 257), "\x1b[31m", "\u202e", int64(1<<63-1))
	f.Add("+730", "*", "\x00", "", "", "", int64(1))
	now := time.Date(2026, 11, 22, 8, 0, 0, 0, time.UTC)
	f.Fuzz(func(t *testing.T, title, sender, to, connection, platform, id string, ttl int64) {
		flags := sendFlags{
			title: title, sender: sender, to: strings.Split(to, ","), connection: connection, platform: platform, id: id,
			ttl: time.Duration(ttl), ttlSet: ttl != 0,
		}
		address, job, err := flags.job(now)
		if err != nil {
			requireUsage(t, err)
			return
		}
		back, err := queue.ParseSubject(address.Subject())
		require.NoError(t, err)
		require.Equal(t, address, back)
		data, err := job.Encode()
		require.NoError(t, err)
		read, err := queue.DecodeJob(data)
		require.NoError(t, err)
		for named := range strings.SplitSeq(to, ",") {
			x, err := queue.ParseXUID(strings.TrimSpace(named))
			require.NoError(t, err)
			require.Contains(t, read.InvitedUsers, x)
		}
		require.Equal(t, []string{connection, platform, id}, []string{read.ConnectionString, read.Platform, read.ID})
		require.True(t, ttl == 0 && read.ExpiresAt.IsZero() || ttl > 0 && read.ExpiresAt.Equal(now.Add(time.Duration(ttl))), "%v", read.ExpiresAt)
	})
}

// FuzzStartTerms: when and how fast a campaign is to be sent is what a record can hold and a worker can keep, or wrong use.
func FuzzStartTerms(f *testing.F) {
	for _, at := range []string{
		"", "now", "18:00", "+2h", "2026-12-24 18:00", "2026-12-24T18:00:00Z", "9999-12-31T23:59:59-23:59", "0000-01-01 00:00", "+2540400h", "\x1b[31m", "\xff",
	} {
		f.Add(at, "", "5/s")
		f.Add("+1h", at, "0.5/h")
	}
	f.Add("", "", "NaN/s")
	f.Add("now", "+1s", "1e309/m")
	f.Add("18:00", "18:00", "1000000/s")
	zone := time.FixedZone("", -11*60*60)
	now := time.Date(2026, 11, 22, 8, 0, 0, 0, zone)
	f.Fuzz(func(t *testing.T, at, expires, rate string) {
		flags := startFlags{title: "730", sender: "ada", file: "-", at: at, expires: expires, rate: rate, quota: publishedQuota}
		order, _, err := flags.order("cup", now)
		if err != nil {
			requireUsage(t, err)
			return
		}
		require.NoError(t, order.Validate())
		require.Equal(t, rate == "", order.Rate == 0)
		require.True(t, order.StartAt.IsZero() || !order.StartAt.Before(now), "%v", order.StartAt)
		require.Equal(t, expires == "", order.ExpiresAt.IsZero())
		require.True(t, order.ExpiresAt.IsZero() || order.ExpiresAt.After(now) && order.ExpiresAt.After(order.StartAt), "%v", order.ExpiresAt)
		_, err = json.Marshal([]time.Time{order.StartAt.UTC(), order.ExpiresAt.UTC()})
		require.NoError(t, err)
		if rate != "" {
			again, err := parseRate("", rateText(order.Rate))
			require.NoError(t, err, "what is shown can be typed")
			require.InEpsilon(t, order.Rate, again, 0.01)
		}
	})
}

// FuzzDeadFilter: what the filters of dead accept is what a server can be asked, and an empty filter is none.
func FuzzDeadFilter(f *testing.F) {
	for _, since := range []string{"", "90m", "-1s", "2026-11-21T00:00:00Z", "2026-11-21T00:00:00+24:00", "0000-01-01T00:00:00+23:59", "9999-12-31T23:59:59,9-23:59",
		"2540400h", "yesterday", "\x1b[31m", "\xff"} {
		f.Add("730", "rejected", "finals", since)
		f.Add("", "", "", since)
	}
	f.Add("00", "tired", "", "")
	f.Add("4294967296", "\u202e", "a b", "")
	now := time.Date(2026, 11, 22, 8, 0, 0, 0, time.UTC)
	f.Fuzz(func(t *testing.T, title, reason, campaign, since string) {
		filter, err := (&deadFilter{title: title, reason: reason, campaign: campaign, since: since}).filter(now)
		if err != nil {
			requireUsage(t, err)
			return
		}
		if !strings.HasPrefix(since, "0001-01-01T00:00:00") { // which is when time begins
			require.NotEqual(t, queue.Filter{}, filter, "all are meant only with --all")
			require.Equal(t, since == "", filter.Since.IsZero())
		}
		require.True(t, filter.Reason == "" || filter.Reason.Known())
		_, err = json.Marshal(filter.Since)
		require.NoError(t, err)
	})
}

// FuzzShown: whatever somebody wrote into a letter or a result, a terminal shows it, and a script can read it.
func FuzzShown(f *testing.F) {
	for _, text := range []string{"", "rejected", "\x1b[31mred", "a\nb", "\u202eabc", "\xff", "\u2028", "\t", "\v\f"} {
		f.Add(text, text, []byte(text))
		f.Add("rejected", text, []byte(`{"invitedUsers":["1"],"id":"\u001b"}`))
	}
	f.Fuzz(func(t *testing.T, reason, text string, body []byte) {
		// What the queue hands over is UTF-8.
		reason, text = strings.ToValidUTF8(reason, "?"), strings.ToValidUTF8(text, "?")
		letter := queue.DeadLetter{Reason: queue.Reason(reason), Detail: text, ErrorCode: text, JobID: text, Subject: text, Traceparent: text, Body: body, Status: 400}
		result := queue.Result{ID: text, Reason: queue.Reason(reason), Sent: 1, Dead: 1}
		var shown, script bytes.Buffer
		require.NoError(t, (&tool{out: &shown, zone: time.UTC}).showDead(letter))
		_ = (&tool{out: &shown, zone: time.UTC}).printResult(result) // it says by its error that not all were sent
		assert.Empty(t, strings.Trim(strings.Map(controls, shown.String()), "\n"), "%q", shown.String())

		require.NoError(t, (&tool{out: &script, json: true}).showDead(letter))
		_ = (&tool{out: &script, json: true}).printResult(result)
		lines := strings.Split(strings.TrimSuffix(script.String(), "\n"), "\n")
		require.Len(t, lines, 2, "a line an item")
		for _, line := range lines {
			require.True(t, json.Valid([]byte(line)), "%s", line)
		}
	})
}
