package queue

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// aLife is the history of a campaign that sends steadily, with a mark every 10 s.
func aLife(long time.Duration) (history []markRecord) {
	for at := time.Duration(0); at <= long; at += tallyEvery {
		history, _ = withMark(history, markRecord{At: at.Milliseconds(), Sent: int(at / time.Second)})
	}
	return history
}

func TestAHistorySpansACampaignsLifeAndIsFinestAtItsEnd(t *testing.T) {
	for _, long := range []time.Duration{5 * time.Minute, time.Hour, 24 * time.Hour, 30 * 24 * time.Hour} {
		history := aLife(long)
		require.LessOrEqual(t, len(history), maxMarks)
		assert.Zero(t, history[0].At, "it begins with the campaign")
		end := history[len(history)-1].At
		assert.Equal(t, long.Milliseconds(), end)
		lately := 0
		for i, m := range history[1:] {
			gap, age := m.At-history[i].At, end-history[i].At
			assert.LessOrEqual(t, gap, age/3+2*markLead, "after %s: no gap is large for its age", long)
			if m.At > end-time.Minute.Milliseconds() {
				lately++
			}
		}
		assert.GreaterOrEqual(t, lately, 5, "after %s: every 10 s in the last minute", long)
	}
}

func TestAMarkThatSaysNothingNewIsNotMade(t *testing.T) {
	history, added := withMark(nil, markRecord{At: 1, Sent: 1})
	require.True(t, added)
	for _, m := range []markRecord{{At: 2, Sent: 1}, {At: 1, Sent: 2}, {At: 0, Sent: 2}} {
		again, added := withMark(history, m)
		assert.False(t, added, "%v: nothing ended, or the clock is behind", m)
		assert.Equal(t, history, again)
	}
}

func TestTheRateIsThatOfTheLastMinutes(t *testing.T) {
	mark := func(ago time.Duration, sent, dead int) CampaignMark {
		return CampaignMark{time.Unix(1_000_000, 0).Add(-ago), sent, dead}
	}
	for name, c := range map[string]struct {
		history []CampaignMark
		rate    float64
	}{
		"nothing is known":                   {nil, 0},
		"it has just begun":                  {[]CampaignMark{mark(2*time.Second, 0, 0), mark(0, 32, 0)}, 0},
		"recipients that are dead count too": {[]CampaignMark{mark(10*time.Second, 0, 0), mark(0, 15, 5)}, 2},
		"what is older does not":             {[]CampaignMark{mark(time.Hour, 0, 0), mark(5*time.Minute, 1000, 0), mark(time.Minute, 1010, 0), mark(0, 1300, 0)}, 1},
		"a short pause is a part of it":      {[]CampaignMark{mark(4*time.Minute, 0, 0), mark(3*time.Minute, 60, 0), mark(0, 120, 0)}, 0.5},
		"a long one is not":                  {[]CampaignMark{mark(time.Hour, 60, 0), mark(10*time.Second, 70, 0), mark(0, 90, 0)}, 2},
		"nothing ends any more":              {[]CampaignMark{mark(time.Hour, 60, 0), mark(0, 60, 0)}, 0},
		"a result took another's place":      {[]CampaignMark{mark(time.Minute, 60, 0), mark(0, 50, 0)}, 0},
	} {
		assert.InDelta(t, c.rate, rateOf(c.history), 1e-9, name)
	}
}
