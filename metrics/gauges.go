package metrics

import (
	"context"
	"maps"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/invitedhq/invited/dispatcher"
	"github.com/invitedhq/invited/queue"
)

// Worker is a running dispatcher.
type Worker interface {
	Snapshot(ctx context.Context) (dispatcher.Snapshot, error)
}

// Waiting counts the jobs in the queue. *queue.Queue does.
type Waiting interface {
	Stats(ctx context.Context) (queue.Stats, error)
}

// Watch registers the gauges that are read from the worker and from the queue
// at each scrape. While one of them can't answer, its gauges are absent: an old
// figure would be a lie.
func (m *Metrics) Watch(reg prometheus.Registerer, w Worker, q Waiting) {
	reg.MustRegister(newWorkerGauges(m, w), newQueueGauges(m, q))
}

// gaugeTimeout bounds what a scrape waits for a gauge's figures.
const gaugeTimeout = 2 * time.Second

func gauge(name, unit, help string, labels ...string) *prometheus.Desc {
	return prometheus.V2.NewDesc(name, help, prometheus.UnconstrainedLabels(labels), nil, prometheus.WithUnit(unit))
}

type workerGauges struct {
	metrics *Metrics
	worker  Worker

	callsInFlight, keysBlocked, quotaBound, partitionsOwned *prometheus.Desc
}

func newWorkerGauges(m *Metrics, w Worker) *workerGauges {
	return &workerGauges{
		metrics: m, worker: w,
		callsInFlight: gauge("invited_calls_in_flight", "", "Calls without an answer yet."),
		keysBlocked:   gauge("invited_keys_blocked", "", "Keys (sender and title) inside a Retry-After.", "title"),
		quotaBound: gauge("invited_quota_bound", "",
			"1 while jobs wait for quota, for the end of a Retry-After or for their campaign's rate, "+
				"and none for this worker: more workers would not help."),
		partitionsOwned: gauge("invited_partitions_owned", "", "Partitions whose jobs are this worker's to send."),
	}
}

func (g *workerGauges) Describe(ch chan<- *prometheus.Desc) {
	ch <- g.callsInFlight
	ch <- g.keysBlocked
	ch <- g.quotaBound
	ch <- g.partitionsOwned
}

func (g *workerGauges) Collect(ch chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), gaugeTimeout)
	defer cancel()
	s, err := g.worker.Snapshot(ctx)
	if err != nil {
		return
	}
	ch <- prometheus.MustNewConstMetric(g.callsInFlight, prometheus.GaugeValue, float64(s.InFlight))
	blocked := g.metrics.zeroes(maps.Keys(s.Blocked))
	for title, n := range s.Blocked {
		blocked[g.metrics.title(title).label] += float64(n)
	}
	for label, n := range blocked {
		ch <- prometheus.MustNewConstMetric(g.keysBlocked, prometheus.GaugeValue, n, label)
	}
	bound := 0.0
	if s.QuotaBound {
		bound = 1
	}
	ch <- prometheus.MustNewConstMetric(g.quotaBound, prometheus.GaugeValue, bound)
	ch <- prometheus.MustNewConstMetric(g.partitionsOwned, prometheus.GaugeValue, float64(s.Partitions))
}

type queueGauges struct {
	metrics *Metrics
	queue   Waiting

	jobs, held, oldest, partitions *prometheus.Desc
}

func newQueueGauges(m *Metrics, q Waiting) *queueGauges {
	return &queueGauges{
		metrics: m, queue: q,
		jobs: gauge("invited_queue_jobs", "jobs",
			"Jobs in the queue that have not ended, whichever worker has them; every worker says the same.", "title", "lane"),
		held: gauge("invited_queue_held_jobs", "jobs",
			"Of the bulk jobs in invited_queue_jobs, those of campaigns that are paused or whose start is still to come.", "title"),
		oldest: gauge("invited_queue_oldest_seconds", "seconds",
			"Age of the oldest job in the queue that has not ended, whichever worker has it; 0 when there is none.", "lane"),
		partitions: gauge("invited_queue_partitions", "", "Partitions that the queue has; every worker says the same."),
	}
}

func (g *queueGauges) Describe(ch chan<- *prometheus.Desc) {
	ch <- g.jobs
	ch <- g.held
	ch <- g.oldest
	ch <- g.partitions
}

func (g *queueGauges) Collect(ch chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), gaugeTimeout)
	defer cancel()
	s, err := g.queue.Stats(ctx)
	if err != nil {
		return
	}
	seen := func(yield func(uint32) bool) {
		for _, w := range s.Waiting {
			if !yield(w.TitleID) {
				return
			}
		}
	}
	waiting := lanes(func(string) map[string]float64 { return g.metrics.zeroes(seen) })
	held := g.metrics.zeroes(seen)
	for _, w := range s.Waiting {
		label := g.metrics.title(w.TitleID).label
		waiting.of(w.Lane)[label] += float64(w.Jobs)
		held[label] += float64(w.Held)
	}
	for label, n := range held {
		ch <- prometheus.MustNewConstMetric(g.held, prometheus.GaugeValue, n, label)
	}
	ch <- prometheus.MustNewConstMetric(g.partitions, prometheus.GaugeValue, float64(s.Partitions))
	for _, lane := range queue.Lanes() {
		for label, n := range waiting.of(lane) {
			ch <- prometheus.MustNewConstMetric(g.jobs, prometheus.GaugeValue, n, label, lane.String())
		}
		age := 0.0
		if oldest := s.Oldest[lane]; !oldest.IsZero() {
			age = max(0, time.Since(oldest).Seconds())
		}
		ch <- prometheus.MustNewConstMetric(g.oldest, prometheus.GaugeValue, age, lane.String())
	}
}
