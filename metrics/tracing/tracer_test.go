package tracing_test

import (
	"encoding/hex"
	"maps"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"

	"github.com/invitedhq/invited/dispatcher"
	"github.com/invitedhq/invited/metrics/tracing"
	"github.com/invitedhq/invited/queue"
	"github.com/invitedhq/invited/xbl"
)

func TestASpanSaysWhatACallWas(t *testing.T) {
	call := dispatcher.CallEnded{TitleID: 730, Lane: queue.Bulk, Recipients: 16, Jobs: 3, Attempt: 2, Took: 80 * time.Millisecond}
	always := map[string]any{
		"http.request.method": "POST", "server.address": "multiplayeractivity.xboxlive.com", "server.port": int64(443),
		"url.full":      "https://multiplayeractivity.xboxlive.com/titles/730/invites",
		"url.template":  "/titles/{titleId}/invites",
		"invited.title": int64(730), "invited.lane": "bulk", "invited.recipients": int64(16), "invited.jobs": int64(3), "invited.attempt": int64(2),
	}
	for name, c := range map[string]struct {
		change func(*dispatcher.CallEnded)
		want   map[string]any
		status tracepb.Status_StatusCode
	}{
		"sent": {func(*dispatcher.CallEnded) {}, map[string]any{"invited.result": "sent", "http.response.status_code": int64(204)}, tracepb.Status_STATUS_CODE_UNSET},
		"throttled": {func(c *dispatcher.CallEnded) {
			c.Kind, c.Status, c.RetryAfter = xbl.Throttled, 429, 1500*time.Millisecond
		}, map[string]any{
			"invited.result": "throttled", "http.response.status_code": int64(429), "error.type": "429", "invited.retry_after": 1.5,
		}, tracepb.Status_STATUS_CODE_ERROR},
		"no answer": {func(c *dispatcher.CallEnded) { c.Kind = xbl.Ambiguous }, map[string]any{
			"invited.result": "ambiguous", "error.type": "ambiguous",
		}, tracepb.Status_STATUS_CODE_ERROR},
		"an answer that is none of this API": {func(c *dispatcher.CallEnded) { c.Kind, c.Status = xbl.Ambiguous, 200 }, map[string]any{
			"invited.result": "ambiguous", "error.type": "ambiguous", "http.response.status_code": int64(200),
		}, tracepb.Status_STATUS_CODE_ERROR},
	} {
		t.Run(name, func(t *testing.T) {
			traced(t, "", func(t *testing.T, f *fixture) {
				x, begun := call, time.Now()
				c.change(&x)
				f.calls(x)
				f.tracer.Shutdown()

				require.Len(t, f.spans, 1)
				s := f.spans[0]
				want := map[string]any{}
				for _, part := range []map[string]any{always, c.want} {
					maps.Copy(want, part)
				}
				assert.Equal(t, want, attributes(s))
				assert.Equal(t, "POST /titles/{titleId}/invites", s.Name)
				assert.Equal(t, tracepb.Span_SPAN_KIND_CLIENT, s.Kind)
				assert.Equal(t, c.status, s.GetStatus().GetCode())
				assert.Equal(t, begun.UnixNano(), int64(s.StartTimeUnixNano))
				assert.Equal(t, begun.Add(80*time.Millisecond).UnixNano(), int64(s.EndTimeUnixNano), "it is over when the answer came")
				assert.Equal(t, "invited", f.resource["service.name"])
				assert.Equal(t, "v1.2.3", f.resource["service.version"])
				assert.NotEmpty(t, f.resource["service.instance.id"])
			})
		})
	}
}

func TestASpanOfAServersCallSaysSo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fixture{collector: collector{t: t}}
		f.tracer = f.start("OTEL_TRACES_EXPORTER=otlp", tracing.Options{BaseURL: "http://127.0.0.1:8080/prefix", Audience: xbl.AudienceServer})
		f.observer = f.tracer.Observe(&f.told)
		f.calls(dispatcher.CallEnded{TitleID: 5})
		f.tracer.Shutdown()
		require.Len(t, f.spans, 1)
		got := attributes(f.spans[0])
		assert.Equal(t, "http://127.0.0.1:8080/prefix/titles/5/invites/server", got["url.full"])
		assert.Equal(t, "/titles/{titleId}/invites/server", got["url.template"])
		assert.Equal(t, int64(8080), got["server.port"])
		assert.Equal(t, "http://localhost:4318/v1/traces", f.requests[0].URL.String(), "where nobody says where")
	})
}

func TestASpanIsLinkedToItsJobsAndPartOfTheTraceOfAPlayersRequest(t *testing.T) {
	for name, c := range map[string]struct {
		lane         queue.Lane
		jobs         int
		traceparents []string
		links        []string // spans
		child        bool
	}{
		"a player's job":                      {queue.Interactive, 1, []string{traceparent}, []string{spanID}, true},
		"several jobs of one request":         {queue.Interactive, 2, []string{traceparent, traceparent}, []string{spanID}, true},
		"jobs of several requests":            {queue.Interactive, 2, []string{traceparent, another}, []string{spanID, "20f067aa0ba902b7"}, false},
		"another job without a trace":         {queue.Interactive, 2, []string{traceparent}, []string{spanID}, false},
		"a campaign's job":                    {queue.Bulk, 1, []string{traceparent}, []string{spanID}, false},
		"no trace":                            {queue.Interactive, 1, nil, nil, false},
		"one that is none beside one that is": {queue.Interactive, 2, []string{"00-xyz", traceparent}, []string{spanID}, true},
		"one that is none":                    {queue.Interactive, 1, []string{"00-" + traceID + "-0000000000000000-01"}, nil, false},
	} {
		t.Run(name, func(t *testing.T) {
			traced(t, "OTEL_TRACES_SAMPLER=always_on", func(t *testing.T, f *fixture) {
				f.calls(dispatcher.CallEnded{Lane: c.lane, Jobs: c.jobs, Traceparents: c.traceparents})
				f.tracer.Shutdown()
				require.Len(t, f.spans, 1)
				s := f.spans[0]
				var links []string
				for _, l := range s.Links {
					links = append(links, hex.EncodeToString(l.SpanId))
				}
				assert.Equal(t, c.links, links)
				if c.child {
					assert.Equal(t, traceID, hex.EncodeToString(s.TraceId))
					assert.Equal(t, spanID, hex.EncodeToString(s.ParentSpanId))
				} else {
					assert.NotEqual(t, traceID, hex.EncodeToString(s.TraceId))
					assert.Empty(t, s.ParentSpanId)
				}
			})
		})
	}
}

func TestACallIsRecordedAsTheTracesOfItsJobsAre(t *testing.T) {
	both, none, one := []string{unsampled, traceparent}, []string(nil), []string{unsampled}
	for name, c := range map[string]struct {
		sampler      string
		traceparents []string
		recorded     bool
	}{
		"by default, if any of them is":             {"", both, true},
		"by default, not if none of them is":        {"", one, false},
		"by default, where there is none":           {"", none, true},
		"parentbased_always_off, if any is":         {"parentbased_always_off", both, true},
		"parentbased_always_off, where none is":     {"parentbased_always_off", none, false},
		"parentbased_traceidratio, if any is":       {"parentbased_traceidratio", both, true},
		"parentbased_traceidratio, where none is":   {"parentbased_traceidratio", none, false},
		"always_on, whatever they are":              {"always_on", one, true},
		"always_off, whatever they are":             {"always_off", both, false},
		"traceidratio of 0, whatever they are":      {"traceidratio", both, false},
		"capitals, which OpenTelemetry allows, too": {"ALWAYS_OFF", both, false},
	} {
		for _, lane := range []queue.Lane{queue.Interactive, queue.Bulk} {
			t.Run(name+", "+lane.String(), func(t *testing.T) {
				traced(t, "OTEL_TRACES_SAMPLER_ARG=0 OTEL_TRACES_SAMPLER="+c.sampler, func(t *testing.T, f *fixture) {
					f.calls(dispatcher.CallEnded{Lane: lane, Jobs: len(c.traceparents), Traceparents: c.traceparents})
					f.tracer.Shutdown()
					assert.Equal(t, c.recorded, len(f.spans) == 1)
					assert.Equal(t, 1, f.told.calls, "metrics have it all the same")
				})
			})
		}
	}
}

func TestMetricsAreToldEverythingAsBefore(t *testing.T) {
	traced(t, "", func(t *testing.T, f *fixture) {
		f.observer.JobDelivered(queue.Bulk, false)
		f.calls(dispatcher.CallEnded{}, dispatcher.CallEnded{})
		f.observer.JobEnded(dispatcher.JobEnded{})
		assert.Equal(t, audience{calls: 2, jobs: 1, delivered: 1}, f.told)
	})
}
