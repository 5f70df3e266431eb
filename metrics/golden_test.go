package metrics_test

import (
	"flag"
	"os"
	"regexp"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
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

// What /metrics says is in testdata, what that means in docs/metrics.md, and copies of rules and dashboards in the chart. All are
// written anew with:
//
//	go test ./metrics -run 'Golden|Page|Chart' -update
var update = flag.Bool("update", false, "write testdata, docs/metrics.md and the chart's files anew")

// requireIs compares a file of the repository with what it must be now.
func requireIs(t *testing.T, file, want string) {
	t.Helper()
	if *update {
		require.NoError(t, os.WriteFile(file, []byte(want), 0o600))
	}
	got, err := os.ReadFile(file)
	require.NoError(t, err)
	assert.Equal(t, want, string(got),
		"%s is not what it is made from; if that is meant: go test ./metrics -run 'Golden|Page|Chart' -update", file)
}

// lived is the registry of a worker to which everything has happened once. To be called in fake time.
func lived() *prometheus.Registry {
	reg := prometheus.NewRegistry()
	m := metrics.New(reg, metrics.Build{Version: "v1.2.3", Revision: "abc1234"})
	metrics.WatchTokens(reg, &dated{earliest: time.Now().Add(time.Hour), certificate: time.Now().Add(365 * 24 * time.Hour)})
	m.Watch(reg, worker{holds: dispatcher.Snapshot{
		InFlight: 2, Partitions: 5, Held: plan.Held{Blocked: map[uint32]int{730: 3}, QuotaBound: true},
	}}, waiting{stats: queue.Stats{
		Waiting:    []queue.Waiting{{TitleID: 730, Lane: queue.Bulk, Jobs: 7, Held: 4}, {TitleID: 730, Lane: queue.Interactive, Jobs: 1}},
		Oldest:     map[queue.Lane]time.Time{queue.Bulk: time.Now().Add(-90 * time.Second)},
		Partitions: 16,
	}})
	m.JobDelivered(queue.Interactive, false)
	m.JobDelivered(queue.Bulk, true)
	for _, c := range []dispatcher.CallEnded{
		{Lane: queue.Bulk, Recipients: 16, Took: 80 * time.Millisecond, Traceparents: []string{traceparent}},
		{Lane: queue.Bulk, Recipients: 16, Took: 20 * time.Millisecond, Kind: xbl.Throttled, Blocked: 15 * time.Second},
		{Lane: queue.Interactive, Recipients: 3, Took: 2 * time.Second, Kind: xbl.Rejected},
	} {
		c.TitleID = 730
		m.CallEnded(c)
	}
	rejected := dispatcher.DeadLetter{Reason: queue.Rejected, Recipients: 1}
	for _, j := range []dispatcher.JobEnded{
		{Lane: queue.Bulk, Sent: 16, Took: 75 * time.Second, Traceparent: traceparent},
		{Lane: queue.Interactive, Sent: 2, Dead: []dispatcher.DeadLetter{rejected}, Took: 300 * time.Millisecond},
		{Lane: queue.Interactive, Dead: []dispatcher.DeadLetter{{Reason: queue.Invalid}}},
		{Lane: queue.Bulk, Cancelled: 16},
	} {
		j.TitleID = 730
		m.JobEnded(j)
	}
	m.TokenRefreshed(nil)
	m.TokenRefreshed(&xbl.TokenError{Kind: xbl.TokenMissing})
	return reg
}

// inFakeTime is there because exemplars and ages have the time in them.
func inFakeTime(t *testing.T, test func(t *testing.T, reg *prometheus.Registry)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) { test(t, lived()) })
}

func TestTheExpositionIsTheGoldenOne(t *testing.T) {
	inFakeTime(t, func(t *testing.T, reg *prometheus.Registry) {
		mux := metrics.Handler(reg, nil, nil)
		for file, accept := range map[string]string{"metrics.txt": "", "openmetrics.txt": openMetrics} {
			_, text := get(t, mux, "/metrics", accept)
			requireIs(t, "testdata/"+file, steady(text))
		}
	})
}

// steady leaves out what is another one with each toolchain, and the order of an exemplar's two labels, which has no meaning.
func steady(text string) string {
	text = strings.ReplaceAll(text, runtime.Version(), "GOVERSION")
	return regexp.MustCompile(`\{(span_id="\w+"),(trace_id="\w+")\}`).ReplaceAllString(text, "{$2,$1}")
}

func TestPromlintHasNothingToSay(t *testing.T) {
	inFakeTime(t, func(t *testing.T, reg *prometheus.Registry) {
		problems, err := testutil.GatherAndLint(reg)
		require.NoError(t, err)
		assert.Empty(t, problems)
	})
}

// What others rely on: names, types and labels. A change here is a breaking one.
func TestTheMetricsAreThoseOfTheContract(t *testing.T) {
	contract := map[string]string{
		"invited_jobs_total":                                 "counter: lane outcome title",
		"invited_recipients_total":                           "counter: lane outcome title",
		"invited_calls_total":                                "counter: result title",
		"invited_call_duration_seconds":                      "histogram: title",
		"invited_call_recipients":                            "histogram: lane",
		"invited_calls_in_flight":                            "gauge:",
		"invited_delivery_seconds":                           "histogram: lane",
		"invited_throttle_seconds_total":                     "counter: title",
		"invited_keys_blocked":                               "gauge: title",
		"invited_queue_jobs":                                 "gauge: lane title",
		"invited_queue_held_jobs":                            "gauge: title",
		"invited_queue_oldest_seconds":                       "gauge: lane",
		"invited_queue_partitions":                           "gauge:",
		"invited_dead_letters_total":                         "counter: reason title",
		"invited_redeliveries_total":                         "counter: lane",
		"invited_token_refreshes_total":                      "counter: result",
		"invited_token_expiry_timestamp_seconds":             "gauge:",
		"invited_token_certificate_expiry_timestamp_seconds": "gauge:",
		"invited_partitions_owned":                           "gauge:",
		"invited_quota_bound":                                "gauge:",
		"invited_build_info":                                 "gauge: goversion revision version",
	}
	inFakeTime(t, func(t *testing.T, reg *prometheus.Registry) {
		there := map[string]string{}
		for _, f := range familiesOf(t, reg) {
			there[f.name] = strings.Join(append([]string{f.kind + ":"}, f.labels...), " ")
		}
		assert.Equal(t, contract, there)
	})
}

// Prometheus refuses the whole page where OpenMetrics names a unit that is not the end of the metric's name.
func TestAUnitIsTheEndOfItsMetricsName(t *testing.T) {
	inFakeTime(t, func(t *testing.T, reg *prometheus.Registry) {
		for _, f := range familiesOf(t, reg) {
			name := strings.TrimSuffix(f.name, "_total")
			assert.True(t, f.unit == "" || strings.HasSuffix(name, "_"+f.unit), "%s: %s", f.name, f.unit)
			assert.Equal(t, strings.HasSuffix(name, "_seconds"), f.unit == "seconds", f.name)
		}
	})
}
