package metrics_test

import (
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/invitedhq/invited/dispatcher"
	"github.com/invitedhq/invited/metrics"
	"github.com/invitedhq/invited/queue"
)

// What a call and a job cost the dispatcher's loop:
//
//	go test ./metrics -run '^$' -bench . -benchmem
func BenchmarkACallEnds(b *testing.B) {
	m := metrics.New(prometheus.NewRegistry(), metrics.Build{})
	c := dispatcher.CallEnded{TitleID: 1739947436, Lane: queue.Bulk, Recipients: 16, Took: 80 * time.Millisecond}
	b.ReportAllocs()
	for b.Loop() {
		m.CallEnded(c)
	}
}

func BenchmarkAJobEnds(b *testing.B) {
	m := metrics.New(prometheus.NewRegistry(), metrics.Build{})
	j := dispatcher.JobEnded{TitleID: 1739947436, Lane: queue.Interactive, Sent: 3, Took: 200 * time.Millisecond}
	b.ReportAllocs()
	for b.Loop() {
		m.JobEnded(j)
	}
}

func BenchmarkACallWithATraceEnds(b *testing.B) {
	m := metrics.New(prometheus.NewRegistry(), metrics.Build{})
	c := dispatcher.CallEnded{
		TitleID: 1739947436, Lane: queue.Bulk, Recipients: 16, Took: 80 * time.Millisecond, Traceparents: []string{traceparent},
	}
	b.ReportAllocs()
	for b.Loop() {
		m.CallEnded(c)
	}
}
