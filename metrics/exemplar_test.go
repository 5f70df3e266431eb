package metrics_test

import (
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/invitedhq/invited/dispatcher"
	"github.com/invitedhq/invited/metrics"
	"github.com/invitedhq/invited/queue"
)

const (
	traceID     = "4bf92f3577b34da6a3ce929d0e0e4736"
	spanID      = "00f067aa0ba902b7"
	traceparent = "00-" + traceID + "-" + spanID + "-01"
)

// exemplars are those of the histogram, in OpenMetrics: the labels and the value of each.
func exemplars(t *testing.T, reg *prometheus.Registry, histogram string) (labels, values []string) {
	t.Helper()
	_, text := get(t, metrics.Handler(reg, nil, nil), "/metrics", openMetrics)
	for line := range strings.Lines(text) {
		if _, exemplar, ok := strings.Cut(line, " # {"); ok && strings.HasPrefix(line, histogram+"_bucket{") {
			pairs, value, ok := strings.Cut(exemplar, "} ")
			require.True(t, ok, line)
			labels, values = append(labels, pairs), append(values, strings.Fields(value)[0])
		}
	}
	return labels, values
}

func TestASlowBucketLeadsToATrace(t *testing.T) {
	reg := prometheus.NewRegistry()
	m := metrics.New(reg, metrics.Build{})
	m.CallEnded(dispatcher.CallEnded{TitleID: 730, Took: 3 * time.Second, Traceparents: []string{traceparent}})
	m.JobEnded(dispatcher.JobEnded{TitleID: 730, Lane: queue.Bulk, Sent: 1, Took: 70 * time.Second, Traceparent: traceparent})
	for histogram, value := range map[string]string{"invited_call_duration_seconds": "3.0", "invited_delivery_seconds": "70.0"} {
		labels, values := exemplars(t, reg, histogram)
		assert.Equal(t, []string{value}, values, histogram)
		require.Len(t, labels, 1, histogram)
		assert.ElementsMatch(t, []string{`trace_id="` + traceID + `"`, `span_id="` + spanID + `"`}, strings.Split(labels[0], ","),
			"%s: and nothing else of a job", histogram)
	}
	assert.NotContains(t, scrape(t, reg), traceID, "Prometheus's text format has no exemplars")
}

func TestACallOfSeveralJobsLeadsToTheFirstTraceThatThereIs(t *testing.T) {
	reg := prometheus.NewRegistry()
	m := metrics.New(reg, metrics.Build{})
	m.CallEnded(dispatcher.CallEnded{TitleID: 730, Traceparents: []string{
		"none", "00-" + traceID + "-" + spanID + "-00", traceparent, "00-" + strings.Repeat("a", 32) + "-" + spanID + "-01",
	}})
	labels, _ := exemplars(t, reg, "invited_call_duration_seconds")
	require.Len(t, labels, 1)
	assert.Contains(t, labels[0], traceID)
}

// https://www.w3.org/TR/trace-context/, section 3.2.
func TestOnlyAValidTraceparentOfARecordedTraceMakesAnExemplar(t *testing.T) {
	for name, c := range map[string]struct {
		traceparent string
		want        bool
	}{
		"recorded":                        {traceparent, true},
		"recorded, and another flag":      {"00-" + traceID + "-" + spanID + "-03", true},
		"a later version":                 {"cc-" + traceID + "-" + spanID + "-01", true},
		"a later version that goes on":    {"cc-" + traceID + "-" + spanID + "-01-what-the-future-brings", true},
		"not recorded by its producer":    {"00-" + traceID + "-" + spanID + "-00", false},
		"none":                            {"", false},
		"other words":                     {strings.Repeat("x", 55), false},
		"no such version":                 {"ff-" + traceID + "-" + spanID + "-01", false},
		"version 00 goes on":              {traceparent + "-x", false},
		"a later version without a dash":  {"cc-" + traceID + "-" + spanID + "-01x", false},
		"capitals":                        {"00-" + strings.ToUpper(traceID) + "-" + spanID + "-01", false},
		"no trace":                        {"00-" + strings.Repeat("0", 32) + "-" + spanID + "-01", false},
		"no span":                         {"00-" + traceID + "-" + strings.Repeat("0", 16) + "-01", false},
		"cut off":                         {traceparent[:54], false},
		"a player in the trace's place":   {"00-" + "2533274790395904" + strings.Repeat("x", 16) + "-" + spanID + "-01", false},
		"flags that are no number":        {"00-" + traceID + "-" + spanID + "-0g", false},
		"the dashes are somewhere else":   {"00" + traceID + "--" + spanID + "-01", false},
		"a version that is no number":     {"0g-" + traceID + "-" + spanID + "-01", false},
		"a span that is no number":        {"00-" + traceID + "-" + "x" + spanID[1:] + "-01", false},
		"the first of two, with a comma":  {traceparent + "," + traceparent, false},
		"white space that nobody trimmed": {" " + traceparent, false},
	} {
		reg := prometheus.NewRegistry()
		metrics.New(reg, metrics.Build{}).CallEnded(dispatcher.CallEnded{TitleID: 730, Traceparents: []string{c.traceparent}})
		labels, _ := exemplars(t, reg, "invited_call_duration_seconds")
		assert.Equal(t, c.want, len(labels) == 1, name)
	}
}

func TestNothingIsAllocatedForWhatHasNoTrace(t *testing.T) {
	m := metrics.New(prometheus.NewRegistry(), metrics.Build{})
	call := dispatcher.CallEnded{TitleID: 1739947436, Recipients: 16, Took: time.Second}
	job := dispatcher.JobEnded{TitleID: 1739947436, Sent: 16, Took: time.Second}
	assert.Zero(t, testing.AllocsPerRun(100, func() { m.CallEnded(call) }))
	assert.Zero(t, testing.AllocsPerRun(100, func() { m.JobEnded(job) }))
}

func FuzzTraceparent(f *testing.F) {
	for _, seed := range []string{"", traceparent, "cc-" + traceID + "-" + spanID + "-01-more", "00-" + traceID + "-" + spanID + "-00"} {
		f.Add(seed)
	}
	valid := regexp.MustCompile(`^[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f][13579bdf](?:-(?s:.*))?$`)
	none := regexp.MustCompile(`^(?:ff|00.{53}-|...0{32}|.{36}0{16}-)`)
	f.Fuzz(func(t *testing.T, v string) {
		reg := prometheus.NewRegistry()
		metrics.New(reg, metrics.Build{}).CallEnded(dispatcher.CallEnded{TitleID: 730, Traceparents: []string{v}})
		labels, _ := exemplars(t, reg, "invited_call_duration_seconds")
		require.Equal(t, valid.MatchString(v) && !none.MatchString(v), len(labels) == 1, "%q", v)
		for _, l := range labels {
			require.Regexp(t, `^(?:trace_id="[0-9a-f]{32}",span_id="[0-9a-f]{16}"|span_id="[0-9a-f]{16}",trace_id="[0-9a-f]{32}")$`, l)
		}
	})
}
