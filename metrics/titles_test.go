package metrics_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/invitedhq/invited/dispatcher"
	"github.com/invitedhq/invited/dispatcher/plan"
	"github.com/invitedhq/invited/metrics"
	"github.com/invitedhq/invited/queue"
)

// everything has happened to a title, and waits.
func everything(m *metrics.Metrics, stats *queue.Stats, s *dispatcher.Snapshot, title uint32) {
	for _, lane := range queue.Lanes() {
		m.CallEnded(dispatcher.CallEnded{TitleID: title, Lane: lane, Recipients: 3, Took: time.Second})
		m.JobEnded(dispatcher.JobEnded{TitleID: title, Lane: lane, Sent: 3, Took: time.Second, Traceparent: traceparent})
		stats.Waiting = append(stats.Waiting, queue.Waiting{TitleID: title, Lane: lane, Jobs: 2})
	}
	s.Blocked[title]++
}

func TestTheNumberOfSeriesIsBoundedWhateverTitlesThereAre(t *testing.T) {
	const titles = 10_000
	reg := prometheus.NewRegistry()
	m := metrics.New(reg, metrics.Build{})
	stats, s := queue.Stats{}, dispatcher.Snapshot{Held: plan.Held{Blocked: map[uint32]int{}}}
	for title := range uint32(titles) {
		everything(m, &stats, &s, title+1)
	}
	m.Watch(reg, worker{holds: s}, waiting{stats: stats})

	began := time.Now()
	text := scrape(t, reg)
	took := time.Since(began)
	for _, line := range []string{
		`invited_calls_total{result="sent",title="other"} 19800`,
		`invited_recipients_total{lane="bulk",outcome="sent",title="other"} 29700`,
		`invited_keys_blocked{title="other"} 9900`,
		`invited_queue_jobs{lane="interactive",title="other"} 19800`,
		`invited_call_duration_seconds_count{title="100"} 2`,
	} {
		assert.Contains(t, text, line+"\n")
	}
	assert.NotContains(t, text, `title="101"`)
	assert.Equal(t, metrics.MaxTitles+1, strings.Count(text, "invited_keys_blocked{"))

	// One title costs as much as each other: what 10,000 of them cost is 101 times the difference that one makes.
	none := seriesOf(t)
	perTitle := seriesOf(t, 1) - none
	assert.Equal(t, none+(metrics.MaxTitles+1)*perTitle, countSeries(text))
	t.Logf("%d titles: %d series (%d for each of %d labels, and %d), %d bytes of text, scraped in %v",
		titles, countSeries(text), perTitle, metrics.MaxTitles+1, none, len(text), took.Round(100*time.Microsecond))
}

// seriesOf is how many series there are after these titles.
func seriesOf(t *testing.T, titles ...uint32) int {
	t.Helper()
	reg := prometheus.NewRegistry()
	m := metrics.New(reg, metrics.Build{})
	stats, s := queue.Stats{}, dispatcher.Snapshot{Held: plan.Held{Blocked: map[uint32]int{}}}
	for _, title := range titles {
		everything(m, &stats, &s, title)
	}
	m.Watch(reg, worker{holds: s}, waiting{stats: stats})
	return countSeries(scrape(t, reg))
}

func countSeries(text string) (n int) {
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, "invited_") {
			n++
		}
	}
	return n
}

func TestWhatIsCountedOfFurtherTitlesTakesNoMemory(t *testing.T) {
	m := metrics.New(prometheus.NewRegistry(), metrics.Build{})
	for title := range uint32(metrics.MaxTitles + 1) {
		m.Know(title)
	}
	title := uint32(metrics.MaxTitles)
	assert.Zero(t, testing.AllocsPerRun(10_000, func() {
		title++
		m.CallEnded(dispatcher.CallEnded{TitleID: title, Took: time.Second})
		m.JobEnded(dispatcher.JobEnded{TitleID: title, Sent: 1, Took: time.Second})
	}))
}

func TestATitleKeepsItsLabelWhoeverComesLater(t *testing.T) {
	reg := prometheus.NewRegistry()
	m := metrics.New(reg, metrics.Build{})
	m.CallEnded(dispatcher.CallEnded{TitleID: 9_000_000}) // comes first, and is the largest
	blocked := map[uint32]int{}
	for title := range uint32(1_000) {
		blocked[title+1] = int(title + 1)
	}
	m.Watch(reg, worker{holds: dispatcher.Snapshot{Held: plan.Held{Blocked: blocked}}}, waiting{})
	scrape(t, reg) // gives the labels, when some series may have been written already
	first := scrape(t, reg)
	for range 5 {
		if scrape(t, reg) != first { // thousands of lines that nobody wants to see
			t.Fatal("one scrape is not like the other")
		}
	}
	assert.Contains(t, first, `invited_keys_blocked{title="9000000"} 0`)
	for title := 1; title < metrics.MaxTitles; title++ {
		require.Contains(t, first, fmt.Sprintf("invited_keys_blocked{title=\"%d\"} %d\n", title, title),
			"of titles that are seen at once the smaller ones have labels, on every worker")
	}
	m.CallEnded(dispatcher.CallEnded{TitleID: 500})
	assert.NotContains(t, scrape(t, reg), `title="500"`, "no series begins in the middle")
}

func TestTitlesOfTheConfigurationAreNeverOther(t *testing.T) {
	reg := prometheus.NewRegistry()
	m := metrics.New(reg, metrics.Build{})
	m.Know(730, 9_000_000)
	assert.Contains(t, scrape(t, reg), `invited_calls_total{result="throttled",title="9000000"} 0`, "before anything happened")
	for title := range uint32(1_000) {
		m.CallEnded(dispatcher.CallEnded{TitleID: title + 1})
	}
	m.CallEnded(dispatcher.CallEnded{TitleID: 9_000_000})
	assert.Contains(t, scrape(t, reg), `invited_calls_total{result="sent",title="9000000"} 1`)
	assert.Contains(t, scrape(t, reg), `invited_calls_total{result="sent",title="other"} 901`)
}

func TestATitleIsCompleteFromWhenItIsFirstSeen(t *testing.T) {
	reg := prometheus.NewRegistry()
	metrics.New(reg, metrics.Build{}).Watch(reg, worker{}, waiting{stats: queue.Stats{
		Waiting: []queue.Waiting{{TitleID: 730, Lane: queue.Bulk, Jobs: 7}},
	}})
	scrape(t, reg) // its counters may have been written before its jobs were counted
	text := scrape(t, reg)
	for _, line := range []string{
		`invited_queue_jobs{lane="interactive",title="730"} 0`,
		`invited_keys_blocked{title="730"} 0`,
		`invited_dead_letters_total{reason="expired",title="730"} 0`,
		`invited_call_duration_seconds_count{title="730"} 0`,
	} {
		assert.Contains(t, text, line+"\n")
	}
}
