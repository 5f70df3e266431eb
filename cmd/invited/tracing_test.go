package main

import (
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"

	"github.com/invitedhq/invited/cmd/internal/harness"
	"github.com/invitedhq/invited/queue"
)

// The tests in this file run the real programs as real processes, and play the collector.

// traceCollector is a collector of OpenTelemetry's traces.
type traceCollector struct {
	*httptest.Server
	t *testing.T

	mu    sync.Mutex
	spans []*tracepb.Span
	raw   strings.Builder // all requests: address, headers and body
	calls int
}

func newTraceCollector(t *testing.T) *traceCollector {
	t.Helper()
	c := &traceCollector{t: t}
	c.Server = httptest.NewServer(c)
	t.Cleanup(c.Close)
	return c
}

func (c *traceCollector) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.calls++
	body, err := io.ReadAll(r.Body)
	assert.NoError(c.t, err)
	fmt.Fprint(&c.raw, r.URL, r.Header, string(body))
	assert.Equal(c.t, "POST /v1/traces application/x-protobuf", r.Method+" "+r.URL.Path+" "+r.Header.Get("Content-Type"))
	var data tracepb.TracesData
	assert.NoError(c.t, proto.Unmarshal(body, &data))
	for _, of := range data.ResourceSpans {
		for _, a := range of.Resource.Attributes {
			if a.Key == "service.name" {
				assert.Equal(c.t, "invites-eu", a.Value.GetStringValue())
			}
		}
		for _, scope := range of.ScopeSpans {
			c.spans = append(c.spans, scope.Spans...)
		}
	}
}

// called says how often the collector was asked for anything.
func (c *traceCollector) called() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.calls
}

// taken is how many spans came, and all that did.
func (c *traceCollector) taken() (spans int, raw string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.spans), c.raw.String()
}

// linkedTo waits for n spans with a link to the span, and returns them in the order of their beginning.
func (c *traceCollector) linkedTo(spanID string, n int) (found []*tracepb.Span) {
	c.t.Helper()
	harness.Until(c.t, 20*time.Second, fmt.Sprintf("%d spans linked to %s", n, spanID), func() bool {
		c.mu.Lock()
		defer c.mu.Unlock()
		found = nil
		for _, s := range c.spans {
			for _, l := range s.Links {
				if hex.EncodeToString(l.SpanId) == spanID {
					found = append(found, s)
				}
			}
		}
		return len(found) >= n
	})
	require.Len(c.t, found, n)
	return found
}

// valueOf is a span's attribute, as text.
func valueOf(s *tracepb.Span, key string) string {
	for _, a := range s.Attributes {
		if a.Key == key {
			if text := a.Value.GetStringValue(); text != "" {
				return text
			}
			return fmt.Sprint(a.Value.GetIntValue())
		}
	}
	return ""
}

const (
	matchTrace = "4bf92f3577b34da6a3ce929d0e0e4736"
	matchSpan  = "00f067aa0ba902b7"
	match      = "00-" + matchTrace + "-" + matchSpan + "-01"
)

// producerOf connects to a worker's NATS as its producers do.
func producerOf(t *testing.T, natsURL string) (*nats.Conn, *queue.Publisher) {
	t.Helper()
	conn, err := nats.Connect(natsURL)
	require.NoError(t, err)
	t.Cleanup(conn.Close)
	publisher, err := queue.NewPublisher(conn)
	require.NoError(t, err)
	return conn, publisher
}

func TestACallIsASpanInTheProducersTraceAndItsResultHasTheTraceparent(t *testing.T) {
	const (
		secret   = "lobby=very-secret-42"
		refused  = queue.XUID(2533274790000666)
		cupTrace = "11111111111111111111111111111111"
		cupSpan  = "2222222222222222"
	)
	collector := newTraceCollector(t)
	// A call is taken, the next one refused, with at most two seconds to wait.
	sim := programs.Sim(t, "--quota", "1/2s", "--fault-refuse", fmt.Sprint(refused))
	worker := programs.Worker(t, harness.WorkerOptions{
		API: sim.URL, Quota: harness.NoQuota, Tokens: harness.WriteTokens(t, "ada", "cup"),
		Env: []string{
			"OTEL_EXPORTER_OTLP_ENDPOINT=" + collector.URL, "OTEL_SERVICE_NAME=invites-eu", "OTEL_BSP_SCHEDULE_DELAY=100",
		},
	})
	conn, publisher := producerOf(t, worker.NATS)
	results, err := conn.SubscribeSync("invites.results.>")
	require.NoError(t, err)
	letters, err := conn.SubscribeSync("invites.dead.>")
	require.NoError(t, err)
	ended := func(traceparent string) {
		t.Helper()
		m, err := results.NextMsg(20 * time.Second)
		require.NoError(t, err)
		assert.Equal(t, traceparent, m.Header.Get("traceparent"), "as its producer sent it")
	}
	send := func(a queue.Address, traceparent string, to ...queue.XUID) {
		t.Helper()
		_, err := publisher.Publish(t.Context(), a, queue.Job{InvitedUsers: to, ConnectionString: secret}, queue.WithTraceparent(traceparent))
		require.NoError(t, err)
	}
	ada, cup := queue.Address{TitleID: 730, Sender: "ada"}, queue.Address{TitleID: 730, Sender: "cup", Campaign: "finals"}

	// Nobody's trace, and it uses up the quota.
	send(ada, "", 2533274790000001)
	ended("")
	send(ada, match, 2533274790000002, 2533274790000003)
	ended(match)
	calls := collector.linkedTo(matchSpan, 2)
	for i, want := range []struct{ result, status, attempt string }{{"throttled", "429", "1"}, {"sent", "204", "2"}} {
		s := calls[i]
		assert.Equal(t, want.result, valueOf(s, "invited.result"))
		assert.Equal(t, want.status, valueOf(s, "http.response.status_code"))
		assert.Equal(t, want.attempt, valueOf(s, "invited.attempt"))
		assert.Equal(t, "2", valueOf(s, "invited.recipients"))
		assert.Equal(t, "730", valueOf(s, "invited.title"))
		assert.Equal(t, sim.URL+"/titles/730/invites", valueOf(s, "url.full"))
		assert.Equal(t, matchTrace+" "+matchSpan, hex.EncodeToString(s.TraceId)+" "+hex.EncodeToString(s.ParentSpanId), "a player's request has it")
		assert.Less(t, s.StartTimeUnixNano, s.EndTimeUnixNano)
	}
	assert.GreaterOrEqual(t, calls[1].StartTimeUnixNano, calls[0].EndTimeUnixNano, "the wait is what is between them")

	// A campaign's call has a trace of its own. Its dead letter, and the letter's replay, lead to the same trace as the job.
	send(cup, "00-"+cupTrace+"-"+cupSpan+"-01", refused)
	ended("00-" + cupTrace + "-" + cupSpan + "-01")
	m, err := letters.NextMsg(20 * time.Second)
	require.NoError(t, err)
	assert.Equal(t, "00-"+cupTrace+"-"+cupSpan+"-01", m.Header.Get("traceparent"))
	status, _, errOut := programs.Run(t, harness.Invitectl, "dead", "replay", "--nats-url", worker.NATS, "--reason", "rejected")
	require.Zero(t, status, errOut)
	ended("00-" + cupTrace + "-" + cupSpan + "-01")
	for _, s := range collector.linkedTo(cupSpan, countOf(t, worker, "rejected")+countOf(t, worker, "throttled")-1) {
		assert.NotEqual(t, cupTrace, hex.EncodeToString(s.TraceId))
		assert.Empty(t, s.ParentSpanId)
		assert.Equal(t, "bulk", valueOf(s, "invited.lane"))
	}

	worker.Stop()
	spans, raw := collector.taken()
	assert.Equal(t, sim.Ledger().Calls, spans, "one span a call, the last ones as the worker ends")
	assertSilent(t, map[string]string{"what the collector was sent": raw}, "s3cret", "very-secret", "2533274790", "ada", "finals")
	assert.NotContains(t, worker.Stderr(), "OpenTelemetry")
}

func TestNothingIsSentToACollectorUnlessAskedFor(t *testing.T) {
	collector := newTraceCollector(t)
	sim := programs.Sim(t)
	worker := programs.Worker(t, harness.WorkerOptions{API: sim.URL, Env: []string{
		"OTEL_EXPORTER_OTLP_ENDPOINT=" + collector.URL, "OTEL_TRACES_EXPORTER=none", "OTEL_BSP_SCHEDULE_DELAY=10",
	}})
	_, _, errOut := programs.Run(t, harness.Invitectl, "send", "--nats-url", worker.NATS, "--title", "730", "--to", "1", "--wait")
	assert.Empty(t, errOut)
	worker.Stop()
	assert.Zero(t, collector.called())
	assert.NotContains(t, worker.Stderr(), "traced")
}

func TestACollectorThatIsAwayHoldsUpNobody(t *testing.T) {
	away := httptest.NewServer(http.NotFoundHandler())
	away.Close()
	hung := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		<-r.Context().Done()
	}))
	defer hung.Close()
	sim := programs.Sim(t)
	for name, url := range map[string]string{"nobody is there": away.URL, "it does not answer": hung.URL} {
		t.Run(name, func(t *testing.T) {
			worker := programs.Worker(t, harness.WorkerOptions{API: sim.URL, Quota: harness.NoQuota, Env: []string{
				"OTEL_EXPORTER_OTLP_ENDPOINT=" + url, "OTEL_BSP_SCHEDULE_DELAY=10", "OTEL_BSP_EXPORT_TIMEOUT=200", "OTEL_BSP_MAX_QUEUE_SIZE=8",
			}})
			conn, publisher := producerOf(t, worker.NATS)
			results, err := conn.SubscribeSync("invites.results.>")
			require.NoError(t, err)
			for i := range 50 {
				_, err := publisher.PublishAsync(t.Context(), queue.Address{TitleID: 730, Sender: fmt.Sprint("s", i)},
					queue.Job{InvitedUsers: []queue.XUID{queue.XUID(i + 1)}})
				require.NoError(t, err)
			}
			for range 50 {
				m, err := results.NextMsg(10 * time.Second)
				require.NoError(t, err)
				assert.Contains(t, string(m.Data), `"sent":1`)
			}
			worker.Await(`spans were lost.* spans=\d+ error=`)
			assert.Less(t, worker.Stop(), 5*time.Second)
		})
	}
}

// countOf is how many calls the worker made with a result.
func countOf(t *testing.T, w *harness.Worker, result string) int {
	t.Helper()
	return int(w.Metrics().Sum("invited_calls_total", fmt.Sprintf("result=%q", result)))
}
