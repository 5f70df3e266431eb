package metrics_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/invitedhq/invited/dispatcher"
	"github.com/invitedhq/invited/dispatcher/plan"
	"github.com/invitedhq/invited/metrics"
	"github.com/invitedhq/invited/queue"
	"github.com/invitedhq/invited/xbl"
)

const openMetrics = "application/openmetrics-text; version=1.0.0"

// worker and waiting stand for the running parts that gauges are read from.
type worker struct {
	holds dispatcher.Snapshot
	err   error
}

func (w worker) Snapshot(context.Context) (dispatcher.Snapshot, error) { return w.holds, w.err }

type waiting struct {
	stats queue.Stats
	err   error
}

func (q waiting) Stats(context.Context) (queue.Stats, error) { return q.stats, q.err }

func TestEveryMetricOfTheContractIsThereWithItsLabels(t *testing.T) {
	reg := prometheus.NewRegistry()
	m := metrics.New(reg, metrics.Build{Version: "v1", Revision: "abc"})
	m.Watch(reg, worker{holds: dispatcher.Snapshot{
		InFlight: 2, Partitions: 5, Held: plan.Held{Blocked: map[uint32]int{730: 3}, QuotaBound: true},
	}}, waiting{stats: queue.Stats{
		Waiting: []queue.Waiting{{TitleID: 730, Lane: queue.Bulk, Jobs: 7}},
		Oldest:  map[queue.Lane]time.Time{},
	}})
	m.JobDelivered(queue.Bulk, true)
	m.CallEnded(dispatcher.CallEnded{TitleID: 730, Lane: queue.Bulk, Recipients: 16, Took: time.Second})
	m.CallEnded(dispatcher.CallEnded{TitleID: 730, Lane: queue.Bulk, Recipients: 4, Kind: xbl.Throttled, Blocked: 15 * time.Second})
	m.JobEnded(dispatcher.JobEnded{TitleID: 730, Lane: queue.Interactive, Sent: 15, Dead: []dispatcher.DeadLetter{{Reason: queue.Rejected, Recipients: 1}}, Took: time.Second})
	m.JobEnded(dispatcher.JobEnded{TitleID: 730, Lane: queue.Interactive, Dead: []dispatcher.DeadLetter{{Reason: queue.Invalid}}})
	m.JobEnded(dispatcher.JobEnded{TitleID: 730, Lane: queue.Bulk, Sent: 16})
	m.TokenRefreshed(nil)
	m.TokenRefreshed(&xbl.TokenError{Kind: xbl.TokenInvalid})

	for _, line := range []string{
		`invited_jobs_total{lane="interactive",outcome="partial",title="730"} 1`,
		`invited_jobs_total{lane="interactive",outcome="dead",title="730"} 1`,
		`invited_jobs_total{lane="bulk",outcome="sent",title="730"} 1`,
		`invited_jobs_total{lane="bulk",outcome="dead",title="730"} 0`,
		`invited_recipients_total{lane="interactive",outcome="sent",title="730"} 15`,
		`invited_recipients_total{lane="interactive",outcome="rejected",title="730"} 1`,
		`invited_recipients_total{lane="interactive",outcome="ambiguous",title="730"} 0`,
		`invited_calls_total{result="sent",title="730"} 1`,
		`invited_calls_total{result="throttled",title="730"} 1`,
		`invited_calls_total{result="misconfigured",title="730"} 0`,
		`invited_call_duration_seconds_count{title="730"} 2`,
		`invited_call_recipients_bucket{lane="bulk",le="4"} 1`,
		`invited_call_recipients_bucket{lane="bulk",le="16"} 2`,
		`invited_call_recipients_count{lane="interactive"} 0`,
		`invited_delivery_seconds_count{lane="interactive"} 1`,
		`invited_delivery_seconds_count{lane="bulk"} 0`,
		`invited_throttle_seconds_total{title="730"} 15`,
		`invited_dead_letters_total{reason="rejected",title="730"} 1`,
		`invited_dead_letters_total{reason="invalid",title="730"} 1`,
		`invited_redeliveries_total{lane="bulk"} 1`,
		`invited_redeliveries_total{lane="interactive"} 0`,
		`invited_token_refreshes_total{result="ok"} 1`,
		`invited_token_refreshes_total{result="missing"} 0`,
		`invited_token_refreshes_total{result="invalid"} 1`,
		`invited_token_refreshes_total{result="refused"} 0`,
		`invited_calls_in_flight 2`,
		`invited_keys_blocked{title="730"} 3`,
		`invited_quota_bound 1`,
		`invited_partitions_owned 5`,
		`invited_queue_jobs{lane="bulk",title="730"} 7`,
		`invited_queue_jobs{lane="interactive",title="730"} 0`,
		`invited_queue_oldest_seconds{lane="bulk"} 0`,
	} {
		assert.Contains(t, scrape(t, reg), line+"\n")
	}
	assert.Contains(t, scrape(t, reg), `invited_build_info{goversion="go1`)
	problems, err := testutil.GatherAndLint(reg)
	require.NoError(t, err)
	assert.Empty(t, problems, "promlint")
}

func TestLanesAreThereWithZeroBeforeAnythingHappened(t *testing.T) {
	reg := prometheus.NewRegistry()
	metrics.New(reg, metrics.Build{})
	text := scrape(t, reg)
	assert.Contains(t, text, `invited_redeliveries_total{lane="interactive"} 0`)
	assert.Contains(t, text, `invited_delivery_seconds_count{lane="bulk"} 0`)
	assert.Contains(t, text, `version="unknown"`)
}

func TestGaugesAreAbsentWhileTheirSourceCantAnswer(t *testing.T) {
	reg := prometheus.NewRegistry()
	metrics.New(prometheus.NewRegistry(), metrics.Build{}).Watch(reg, worker{err: errors.New("busy")}, waiting{err: errors.New("no NATS")})
	assert.NotContains(t, scrape(t, reg), "invited_", "an old figure would be a lie")
}

func TestOpenMetricsIsSpoken(t *testing.T) {
	reg := prometheus.NewRegistry()
	metrics.New(reg, metrics.Build{})
	_, body := get(t, metrics.Handler(reg, nil, nil), "/metrics", openMetrics)
	assert.True(t, strings.HasSuffix(body, "# EOF\n"))
}

func TestHealthChecks(t *testing.T) {
	var broken error
	check := func(context.Context) error { return broken }
	mux := metrics.Handler(prometheus.NewRegistry(), func(context.Context) error { return nil }, check)
	status, body := get(t, mux, "/readyz", "")
	assert.Equal(t, http.StatusOK, status)
	assert.Equal(t, "ok\n", body)
	broken = errors.New("NATS: not connected")
	status, body = get(t, mux, "/readyz", "")
	assert.Equal(t, http.StatusServiceUnavailable, status)
	assert.Equal(t, "NATS: not connected\n", body)
	status, _ = get(t, mux, "/livez", "")
	assert.Equal(t, http.StatusOK, status, "a worker that is not ready is still alive")
}

func get(t *testing.T, h http.Handler, path, accept string) (int, string) {
	t.Helper()
	r := httptest.NewRequest(http.MethodGet, path, nil)
	r.Header.Set("Accept", accept)
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	body, err := io.ReadAll(w.Result().Body)
	require.NoError(t, err)
	return w.Code, string(body)
}

func scrape(t *testing.T, reg *prometheus.Registry) string {
	t.Helper()
	_, body := get(t, metrics.Handler(reg, nil, nil), "/metrics", "")
	return body
}

func TestWhatACancelledCampaignDroppedIsNoOutcome(t *testing.T) {
	reg := prometheus.NewRegistry()
	m := metrics.New(reg, metrics.Build{})
	rejected := []dispatcher.DeadLetter{{Reason: queue.Rejected, Recipients: 1}}
	for _, j := range []dispatcher.JobEnded{
		{Cancelled: 16},
		{Cancelled: 10, Sent: 6},
		{Cancelled: 9, Sent: 6, Dead: rejected},
		{Cancelled: 15, Dead: rejected},
	} {
		j.TitleID, j.Lane = 730, queue.Bulk
		m.JobEnded(j)
	}
	text := scrape(t, reg)
	for _, line := range []string{
		`invited_jobs_total{lane="bulk",outcome="sent",title="730"} 0`,
		`invited_jobs_total{lane="bulk",outcome="partial",title="730"} 2`,
		`invited_jobs_total{lane="bulk",outcome="dead",title="730"} 1`,
		`invited_recipients_total{lane="bulk",outcome="sent",title="730"} 12`,
		`invited_recipients_total{lane="bulk",outcome="rejected",title="730"} 2`,
	} {
		assert.Contains(t, text, line+"\n")
	}
}
