package metrics

import (
	"iter"
	"slices"
	"strconv"
	"sync"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/invitedhq/invited/queue"
	"github.com/invitedhq/invited/xbl"
)

// MaxTitles is how many titles have a label of their own; the rest is "other".
const MaxTitles = 100

const otherTitles = "other"

// titles gives each title its label and its series, once and for good: the
// first MaxTitles that are named, or that work comes from, have their own as
// long as the worker runs. A title that is "other" stays so, or its counters
// would begin anew in the middle of a graph.
type titles struct {
	mu    sync.Mutex
	own   map[uint32]*titleSeries // at most MaxTitles
	other *titleSeries            // nil until there is a title too many
}

// titleSeries is every series of one label, looked up once.
type titleSeries struct {
	label        string
	calls        map[xbl.Kind]prometheus.Counter // 0: sent
	callDuration prometheus.ExemplarObserver
	throttled    prometheus.Counter
	deadLetters  map[queue.Reason]prometheus.Counter
	lanes        perLane[laneSeries]
}

type laneSeries struct {
	jobs map[string]prometheus.Counter
	sent prometheus.Counter
	dead map[queue.Reason]prometheus.Counter
}

// Know gives titles their labels, and series with 0, before any work of theirs
// is seen: those that the configuration names are not to be "other" because a
// producer published for a hundred others first.
func (m *Metrics) Know(ids ...uint32) {
	for _, id := range ids {
		m.title(id)
	}
}

// title allocates only for a title that gets its label now.
func (m *Metrics) title(id uint32) *titleSeries {
	t := &m.titles
	t.mu.Lock()
	defer t.mu.Unlock()
	switch s := t.own[id]; {
	case s != nil:
		return s
	case len(t.own) < MaxTitles:
		s = m.newTitle(strconv.FormatUint(uint64(id), 10))
		t.own[id] = s
		return s
	case t.other == nil:
		t.other = m.newTitle(otherTitles)
	}
	return t.other
}

// zeroes has a 0 for each label there is, those of ids among them. Smaller ids
// get theirs first, so that workers that see the same titles at once agree.
func (m *Metrics) zeroes(ids iter.Seq[uint32]) map[string]float64 {
	m.Know(slices.Sorted(ids)...)
	t := &m.titles
	t.mu.Lock()
	defer t.mu.Unlock()
	sums := make(map[string]float64, len(t.own)+1)
	for _, s := range t.own {
		sums[s.label] = 0
	}
	if t.other != nil {
		sums[t.other.label] = 0
	}
	return sums
}

// newTitle makes all series of a title, so that they are there with 0.
func (m *Metrics) newTitle(label string) *titleSeries {
	s := &titleSeries{
		label:        label,
		calls:        map[xbl.Kind]prometheus.Counter{0: m.calls.WithLabelValues(label, "sent")},
		callDuration: withExemplars(m.callDuration.WithLabelValues(label)),
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
