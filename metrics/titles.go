package metrics

import (
	"strconv"
	"sync"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/invitedhq/invited/queue"
	"github.com/invitedhq/invited/xbl"
)

// MaxTitles is how many titles have series of their own; the rest is "other".
const MaxTitles = 100

const otherTitles = "other"

// titles gives each title its label, and its series once.
type titles struct {
	mu     sync.Mutex
	series map[string]*titleSeries
}

// titleSeries is every series of one title, looked up once.
type titleSeries struct {
	calls        map[xbl.Kind]prometheus.Counter // 0: sent
	callDuration prometheus.Observer
	throttled    prometheus.Counter
	deadLetters  map[queue.Reason]prometheus.Counter
	lanes        perLane[laneSeries]
}

type laneSeries struct {
	jobs map[string]prometheus.Counter
	sent prometheus.Counter
	dead map[queue.Reason]prometheus.Counter
}

func (m *Metrics) title(id uint32) *titleSeries {
	label := strconv.FormatUint(uint64(id), 10)
	m.titles.mu.Lock()
	defer m.titles.mu.Unlock()
	if s := m.titles.series[label]; s != nil {
		return s
	}
	if len(m.titles.series) >= MaxTitles {
		label = otherTitles
		if s := m.titles.series[label]; s != nil {
			return s
		}
	}
	if m.titles.series == nil {
		m.titles.series = make(map[string]*titleSeries)
	}
	s := m.newTitle(label)
	m.titles.series[label] = s
	return s
}

// newTitle makes all series of a title, so that they are there with 0.
func (m *Metrics) newTitle(label string) *titleSeries {
	s := &titleSeries{
		calls:        map[xbl.Kind]prometheus.Counter{0: m.calls.WithLabelValues(label, "sent")},
		callDuration: m.callDuration.WithLabelValues(label),
		throttled:    m.throttled.WithLabelValues(label),
		deadLetters:  make(map[queue.Reason]prometheus.Counter),
	}
	for _, k := range xbl.Kinds() {
		s.calls[k] = m.calls.WithLabelValues(label, k.String())
	}
	for _, r := range queue.Reasons() {
		s.deadLetters[r] = m.deadLetters.WithLabelValues(label, string(r))
	}
	s.lanes = lanes(func(lane string) laneSeries {
		l := laneSeries{
			jobs: make(map[string]prometheus.Counter),
			sent: m.recipients.WithLabelValues(label, lane, "sent"),
			dead: make(map[queue.Reason]prometheus.Counter),
		}
		for _, outcome := range []string{"sent", "partial", "dead"} {
			l.jobs[outcome] = m.jobs.WithLabelValues(label, lane, outcome)
		}
		for _, r := range queue.Reasons() {
			l.dead[r] = m.recipients.WithLabelValues(label, lane, string(r))
		}
		return l
	})
	return s
}

// labelOf is the label of a title that may have no series of its own.
func labelOf(id uint32, shown map[string]struct{}) string {
	label := strconv.FormatUint(uint64(id), 10)
	if _, ok := shown[label]; !ok && len(shown) >= MaxTitles {
		return otherTitles
	}
	shown[label] = struct{}{}
	return label
}
