package metrics

import (
	"context"
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
// at each scrape. While one of them can't answer, its gauges are absent.
func Watch(reg prometheus.Registerer, w Worker, q Waiting) {
	reg.MustRegister(&workerGauges{worker: w}, &queueGauges{queue: q})
}

var (
	callsInFlight = prometheus.NewDesc("invited_calls_in_flight", "Calls without an answer yet.", nil, nil)
	keysBlocked   = prometheus.NewDesc("invited_keys_blocked", "Keys (sender and title) inside a Retry-After.", []string{"title"}, nil)
	quotaBound    = prometheus.NewDesc("invited_quota_bound",
		"1 while jobs wait for quota, or for the end of a Retry-After, and none for this worker: more workers would not help.", nil, nil)
	partitionsOwned = prometheus.NewDesc("invited_partitions_owned", "Partitions whose jobs are this worker's to send.", nil, nil)
	queueJobs       = prometheus.NewDesc("invited_queue_jobs", "Jobs in the queue that have not ended.", []string{"title", "lane"}, nil)
	queueOldest     = prometheus.NewDesc("invited_queue_oldest_seconds",
		"Age of the oldest job in the queue that has not ended; 0 when there is none.", []string{"lane"}, nil)
)

type workerGauges struct{ worker Worker }

func (g *workerGauges) Describe(ch chan<- *prometheus.Desc) {
	ch <- callsInFlight
	ch <- keysBlocked
	ch <- quotaBound
	ch <- partitionsOwned
}

func (g *workerGauges) Collect(ch chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), gaugeTimeout)
	defer cancel()
	s, err := g.worker.Snapshot(ctx)
	if err != nil {
		return
	}
	ch <- prometheus.MustNewConstMetric(callsInFlight, prometheus.GaugeValue, float64(s.InFlight))
	shown, sums := make(map[string]struct{}), make(map[string]float64)
	for title, n := range s.Blocked {
		sums[labelOf(title, shown)] += float64(n)
	}
	for label, n := range sums {
		ch <- prometheus.MustNewConstMetric(keysBlocked, prometheus.GaugeValue, n, label)
	}
	bound := 0.0
	if s.QuotaBound {
		bound = 1
	}
	ch <- prometheus.MustNewConstMetric(quotaBound, prometheus.GaugeValue, bound)
	ch <- prometheus.MustNewConstMetric(partitionsOwned, prometheus.GaugeValue, float64(s.Partitions))
}

type queueGauges struct{ queue Waiting }

func (g *queueGauges) Describe(ch chan<- *prometheus.Desc) {
	ch <- queueJobs
	ch <- queueOldest
}

func (g *queueGauges) Collect(ch chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), gaugeTimeout)
	defer cancel()
	s, err := g.queue.Stats(ctx)
	if err != nil {
		return
	}
	type series struct{ title, lane string }
	shown, sums := make(map[string]struct{}), make(map[series]float64)
	for _, w := range s.Waiting {
		sums[series{labelOf(w.TitleID, shown), w.Lane.String()}] += float64(w.Jobs)
	}
	for k, n := range sums {
		ch <- prometheus.MustNewConstMetric(queueJobs, prometheus.GaugeValue, n, k.title, k.lane)
	}
	for _, lane := range []queue.Lane{queue.Interactive, queue.Bulk} {
		age := 0.0
		if oldest := s.Oldest[lane]; !oldest.IsZero() {
			age = max(0, time.Since(oldest).Seconds())
		}
		ch <- prometheus.MustNewConstMetric(queueOldest, prometheus.GaugeValue, age, lane.String())
	}
}
