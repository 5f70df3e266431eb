package console

import (
	"log/slog"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/invitedhq/invited/configs"
	"github.com/invitedhq/invited/queue"
)

func TestWhatIsAPlayersIsMaskedUnlessItMayBeShown(t *testing.T) {
	const player, lobby = "2533274790395904", "s3cret-lobby"
	j := queue.Job{InvitedUsers: []queue.XUID{2533274790395904, 7}, ConnectionString: lobby, ID: "mine"}
	for _, shown := range []bool{false, true} {
		c := &Console{opts: Options{Admin: configs.Admin{ShowPlayers: shown}, SendersAreXUIDs: true, Log: slog.New(slog.DiscardHandler)}}
		all := strings.Join([]string{
			c.text("user " + player + " is blocked"), c.jobText(j), c.sender(player), c.alias(player),
			c.rawBody([]byte(`{"invitedUsers": ["` + player + `"x], "connectionString": "` + lobby + `"`)),
		}, "\n")
		for _, secret := range []string{player, lobby} {
			if shown {
				assert.Contains(t, all, secret)
			} else {
				assert.NotContains(t, all, secret)
			}
		}
		assert.Contains(t, all, `"mine"`)
		assert.Contains(t, all, `"connectionString": "`, "what a body is made of can be seen")
	}
	assert.Equal(t, "•••904", (&Console{}).sender(player), "a worker in server mode may share the queue")
	assert.NotContains(t, (&Console{}).alias(player), player)
	assert.Equal(t, "cup-bot", (&Console{}).alias("cup-bot"))
	c := &Console{opts: Options{SendersAreXUIDs: true}}
	assert.NotEqual(t, c.alias(player), c.alias("2533274790395905"))
	assert.Error(t, (queue.Address{TitleID: 1, Sender: c.alias(player)}).Validate(), "an alias is no sender's name")
	assert.Equal(t, "cup-bot", (&Console{}).sender("cup-bot"), "a credential's name is nobody's")
}

func TestALetterOfAnotherHandNamesNoPlayerWhereverItsWriterPutsOne(t *testing.T) {
	const player = "2533274790395904"
	c := &Console{opts: Options{SendersAreXUIDs: true, Log: slog.New(slog.DiscardHandler)}}
	l := queue.DeadLetter{
		Reason: "\u202E" + player, Detail: player, JobID: "\u2066for-" + player, Traceparent: player + "\u202E",
		Subject: "invites.campaigns.730." + player + ".of-" + player, Address: queue.Address{TitleID: 730, Sender: player},
	}
	row := c.letterRow(l)
	var page jobPage
	c.ended(&page, queue.Result{ID: l.JobID, Job: player, Sender: player, Campaign: "\u202Ecup", Reason: l.Reason, Dead: 1}, []queue.DeadLetter{l})
	for _, text := range []string{
		row.Reason, row.Detail, row.Job, row.JobLink, row.Sender, c.subject(l), c.trace(l.Traceparent), c.jobText(queue.Job{ID: l.JobID}),
	} {
		shown(t, text)
	}
	for _, f := range page.Facts {
		shown(t, f.Text)
	}

	const trace = "00-12345678901234567890123456789012-1234567890123456-01"
	assert.Equal(t, trace, c.trace(trace), "digits in a row of a trace are nobody's")
	assert.Equal(t, "replayed-1", c.letterRow(queue.DeadLetter{JobID: "replayed-1"}).JobLink, "an id without a player leads to its job")
}

func TestTextOfOthersIsFitToBeShown(t *testing.T) {
	c := &Console{}
	assert.Equal(t, "a\uFFFD[31m \uFFFDb \uFFFD", c.text("a\x1b[31m \u202Eb \xff"))
	assert.Equal(t, "•••\n\"••\" •", c.rawBody([]byte("abc\n\"é1\" \x07")))
	assert.LessOrEqual(t, len(c.rawBody([]byte(strings.Repeat("x", 1<<20)))), 16<<10, "a body of any size is a page of some size")
}

func TestNumbersAndTimesAreShort(t *testing.T) {
	assert.Equal(t, []string{"0", "999", "1,000", "-1,234,567"}, []string{grouped(0), grouped(999), grouped(1000), grouped(-1234567)})
	assert.Equal(t, []string{"0.5 s", "2 s", "59 s", "1 min", "1 min 30 s", "1 h", "3 h 12 min", "2 d 1 h"}, []string{
		span(500 * time.Millisecond), span(2 * time.Second), span(59 * time.Second), span(time.Minute), span(90 * time.Second),
		span(time.Hour), span(192 * time.Minute), span(49 * time.Hour),
	})
	assert.Equal(t, []string{"<1 %", "100 %", ">99 %", "50 %", "0 %", ""}, []string{
		share(1, 1000), share(5, 5), share(999, 1000), share(1, 2), share(0, 5), share(0, 0),
	})
	for oldest, want := range map[time.Duration]string{20 * time.Second: "s", 3 * time.Minute: "min", 3 * time.Hour: "h", 96 * time.Hour: "d"} {
		_, unit := unitOf([]sample{{}, {oldest: [2]time.Duration{0, oldest}}})
		assert.Equal(t, want, unit)
	}
}

func TestAChartEndsAboveItsHighestValueAndHasGapsWhereNothingIsKnown(t *testing.T) {
	for _, highest := range []float64{0.004, 0.9, 1, 3, 7, 12, 99, 1234, 98765} {
		top, step := scale(highest)
		assert.GreaterOrEqual(t, top, highest)
		assert.LessOrEqual(t, top, 2.5*highest, "and not far above")
		assert.LessOrEqual(t, top/step, 4.001)
	}
	now := time.Now()
	at := func(minutes int, v float64) point { return point{now.Add(-time.Duration(minutes) * time.Minute), v} }
	c := draw("Jobs", "", now, rate, line{"players", "c1", []point{at(15, 0), at(10, 4), at(7, math.NaN()), at(5, 2), at(0, 3)}})
	assert.Equal(t, 2, strings.Count(c.Curves[0].Path, "M"), "two parts")
	assert.Equal(t, 2, strings.Count(c.Curves[0].Area, "Z"))
	assert.NotContains(t, c.Curves[0].Path, "NaN")
	assert.Equal(t, "3.0", c.Curves[0].Last)
	assert.Contains(t, c.Summary, "Jobs over the last 15 minutes: players 3.0 at the end")
}

func TestAProgressBarNeverEndsBeyondItself(t *testing.T) {
	b := barOf(queue.CampaignStatus{Ordered: true, Recipients: 100, Sent: 90, Dead: map[queue.Reason]int{queue.Rejected: 20}, Replayed: 15, Cancelled: 5})
	assert.LessOrEqual(t, b.CancelledAt+b.Cancelled, 1000.0)
	assert.Equal(t, "100 %", b.Words)
	assert.False(t, barOf(queue.CampaignStatus{Sent: 5}).Known, "of how many nobody said")
}

func TestATimeIsTypedAsPeopleDo(t *testing.T) {
	now := time.Date(2026, 12, 24, 18, 0, 0, 0, time.UTC)
	for text, want := range map[string]time.Time{
		"": {}, "90m": now.Add(-90 * time.Minute), "2026-12-24 17:00": now.Add(-time.Hour), "2026-12-24T18:00:00+01:00": now.Add(-time.Hour),
		"2026-12-24": now.Add(-18 * time.Hour),
	} {
		at, err := momentOf(text, now)
		assert.NoError(t, err, text)
		assert.True(t, want.Equal(at), text)
	}
	_, err := momentOf("soon", now)
	assert.ErrorContains(t, err, "so long ago")
}
