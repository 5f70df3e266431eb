package metrics

import (
	"runtime"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/invitedhq/invited/dispatcher"
	"github.com/invitedhq/invited/queue"
	"github.com/invitedhq/invited/xbl"
)

// Build says what is running. Empty fields are shown as "unknown".
type Build struct{ Version, Revision string }

// Metrics counts what a dispatcher tells it. It implements dispatcher.Observer
// and is safe for concurrent use.
type Metrics struct {
	jobs         *prometheus.CounterVec
	recipients   *prometheus.CounterVec
	calls        *prometheus.CounterVec
	callDuration *prometheus.HistogramVec
	throttled    *prometheus.CounterVec
	deadLetters  *prometheus.CounterVec
	refreshes    map[string]prometheus.Counter // of tokens, by result

	callRecipients perLane[prometheus.Observer]
	delivery       perLane[prometheus.ExemplarObserver]
	redeliveries   perLane[prometheus.Counter]

	titles titles
}

var _ dispatcher.Observer = (*Metrics)(nil)

// New registers all metrics that are counted as things happen.
func New(reg prometheus.Registerer, build Build) *Metrics {
	counter := func(name, unit, help string, labels ...string) *prometheus.CounterVec {
		v := prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Unit: unit, Help: help}, labels)
		reg.MustRegister(v)
		return v
	}
	histogram := func(name, unit, help string, buckets []float64, labels ...string) *prometheus.HistogramVec {
		v := prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: name, Unit: unit, Help: help, Buckets: buckets}, labels)
		reg.MustRegister(v)
		return v
	}
	redeliveries := counter("invited_redeliveries_total", "",
		"Jobs that were delivered again: this worker or another had them before and did not end them.", "lane")
	callRecipients := histogram("invited_call_recipients", "recipients", "Recipients in a call, of 16 at most.",
		prometheus.LinearBuckets(1, 1, xbl.MaxInvitedUsers), "lane")
	delivery := histogram("invited_delivery_seconds", "seconds",
		"From a job's publication to its last 204, of jobs with a recipient that was sent.", deliveryBuckets, "lane")
	refreshes := counter("invited_token_refreshes_total", "",
		"Attempts to get a sender's token: ok when there is a new one, else why there is none.", "result")
	m := &Metrics{
		jobs: counter("invited_jobs_total", "jobs",
			"Jobs that ended: all recipients sent, some, or none and at least one dead. "+
				"One whose campaign was cancelled before anything of it was sent or dead is not counted.",
			"title", "lane", "outcome"),
		recipients: counter("invited_recipients_total", "recipients",
			"Recipients of jobs that ended, as sent or by the reason of their dead letter. "+
				"Those that were dropped because their campaign was cancelled are not counted.",
			"title", "lane", "outcome"),
		calls: counter("invited_calls_total", "calls", "Calls to the API that were answered or given up, by what the answer means.",
			"title", "result"),
		callDuration: histogram("invited_call_duration_seconds", "seconds", "Time of a call, from sending it to its answer.",
			callBuckets, "title"),
		throttled: counter("invited_throttle_seconds_total", "seconds",
			"Seconds for which the API told keys (sender and title) to wait, summed over keys.", "title"),
		deadLetters: counter("invited_dead_letters_total", "",
			"Dead letters that were stored; one has all recipients of a job with its reason.", "title", "reason"),

		callRecipients: lanes(func(lane string) prometheus.Observer { return callRecipients.WithLabelValues(lane) }),
		delivery:       lanes(func(lane string) prometheus.ExemplarObserver { return withExemplars(delivery.WithLabelValues(lane)) }),
		redeliveries:   lanes(func(lane string) prometheus.Counter { return redeliveries.WithLabelValues(lane) }),

		refreshes: map[string]prometheus.Counter{refreshed: refreshes.WithLabelValues(refreshed)},
		titles:    titles{own: make(map[uint32]*titleSeries)},
	}
	for _, k := range xbl.TokenErrorKinds() {
		m.refreshes[k.String()] = refreshes.WithLabelValues(k.String())
	}
	info := prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "invited_build_info", Help: "What is running; always 1."},
		[]string{"version", "revision", "goversion"})
	reg.MustRegister(info)
	info.WithLabelValues(known(build.Version), known(build.Revision), runtime.Version()).Set(1)
	return m
}

var (
	callBuckets     = []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30}
	deliveryBuckets = []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 15, 60, 300, 1800, 7200, 36000}
)

func known(s string) string {
	if s == "" {
		return "unknown"
	}
	return s
}

// JobDelivered implements dispatcher.Observer.
func (m *Metrics) JobDelivered(lane queue.Lane, redelivered bool) {
	if redelivered {
		m.redeliveries.of(lane).Inc()
	}
}

// CallEnded implements dispatcher.Observer.
func (m *Metrics) CallEnded(c dispatcher.CallEnded) {
	t := m.title(c.TitleID)
	t.calls[c.Kind].Inc()
	t.callDuration.ObserveWithExemplar(c.Took.Seconds(), exemplarOf(c.Traceparents...))
	t.throttled.Add(c.Blocked.Seconds())
	m.callRecipients.of(c.Lane).Observe(float64(c.Recipients))
}

// JobEnded implements dispatcher.Observer.
func (m *Metrics) JobEnded(j dispatcher.JobEnded) {
	t := m.title(j.TitleID)
	lane := t.lanes.of(j.Lane)
	if outcome := outcomeOf(j); outcome != "" {
		lane.jobs[outcome].Inc()
	}
	lane.sent.Add(float64(j.Sent))
	for _, letter := range j.Dead {
		lane.dead[letter.Reason].Add(float64(letter.Recipients))
		t.deadLetters[letter.Reason].Inc()
	}
	if j.Took > 0 {
		m.delivery.of(j.Lane).ObserveWithExemplar(j.Took.Seconds(), exemplarOf(j.Traceparent))
	}
}

// refreshed is the result of an attempt that got a token.
const refreshed = "ok"

// TokenRefreshed counts an attempt to get a token; problem is nil where there is a new one. See xbl.OnRefresh.
func (m *Metrics) TokenRefreshed(problem *xbl.TokenError) {
	result := refreshed
	if problem != nil {
		result = problem.Kind.String()
	}
	m.refreshes[result].Inc()
}

// outcomeOf is empty for a job of which nothing was sent, nor is dead: its
// campaign was cancelled. None of the contract's outcomes would be true of it,
// and dead would alert; the campaign's status counts what was dropped.
func outcomeOf(j dispatcher.JobEnded) string {
	switch {
	case j.Sent == 0 && len(j.Dead) == 0:
		return ""
	case len(j.Dead) == 0 && j.Cancelled == 0:
		return "sent"
	case j.Sent > 0:
		return "partial"
	default:
		return "dead"
	}
}

// perLane is one of something for each lane.
type perLane[T any] struct{ interactive, bulk T }

func lanes[T any](of func(lane string) T) perLane[T] {
	return perLane[T]{of(queue.Interactive.String()), of(queue.Bulk.String())}
}

func (p *perLane[T]) of(l queue.Lane) T {
	if l == queue.Bulk {
		return p.bulk
	}
	return p.interactive
}
