package main

import (
	"cmp"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	commonpb "go.opentelemetry.io/proto/otlp/common/v1"
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

func (c *traceCollector) ServeHTTP(_ http.ResponseWriter, r *http.Request) {
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

// linkedTo waits until the spans with a link to a span are enough, and returns them in the order of their beginning.
func (c *traceCollector) linkedTo(spanID string, enough func([]*tracepb.Span) bool) (found []*tracepb.Span) {
	c.t.Helper()
	harness.Until(c.t, 20*time.Second, "the spans linked to "+spanID, func() bool {
		c.mu.Lock()
		defer c.mu.Unlock()
		found = nil
		for _, s := range c.spans {
			if slices.ContainsFunc(s.Links, func(l *tracepb.Span_Link) bool { return hex.EncodeToString(l.SpanId) == spanID }) {
				found = append(found, s)
			}
		}
		return enough(found)
	})
	slices.SortFunc(found, func(a, b *tracepb.Span) int { return cmp.Compare(a.StartTimeUnixNano, b.StartTimeUnixNano) })
	return found
}

func atLeast(n int) func([]*tracepb.Span) bool {
	return func(spans []*tracepb.Span) bool { return len(spans) >= n }
}

// valueOf is a span's attribute, as text.
func valueOf(s *tracepb.Span, key string) string {
	for _, a := range s.Attributes {
		if a.Key == key {
			switch v := a.Value.Value.(type) {
			case *commonpb.AnyValue_StringValue:
				return v.StringValue
			case *commonpb.AnyValue_DoubleValue:
				return fmt.Sprint(v.DoubleValue)
			default:
				return fmt.Sprint(a.Value.GetIntValue())
			}
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
		sender   = "grace-hopper" // which no random UUID or commit spells, as they did "ada"
		refused  = queue.XUID(2533274790000666)
		cupTrace = "11111111111111111111111111111111"
		cupSpan  = "2222222222222222"
	)
	collector := newTraceCollector(t)
	sim := programs.Sim(t, "--fault-refuse", fmt.Sprint(refused))
	worker := programs.Worker(t, harness.WorkerOptions{
		API: sim.URL, Quota: harness.NoQuota, Tokens: harness.WriteTokens(t, sender, "cup"),
		Env: []string{
			"OTEL_EXPORTER_OTLP_ENDPOINT=" + collector.URL, "OTEL_SERVICE_NAME=invites-eu", "OTEL_BSP_SCHEDULE_DELAY=100",
		},
	})
	conn, publisher := producerOf(t, worker.NATS)
	results, err := conn.SubscribeSync("invites.results.>")
	require.NoError(t, err)
	letters, err := conn.SubscribeSync("invites.dead.>")
	require.NoError(t, err)
	require.NoError(t, conn.Flush()) // invitectl publishes by a connection of its own
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
	// A player's request is throttled, once or more often, until it is not.
	sim.SetFaults(fmt.Sprintf(`{"error503RetryAfter":1,"retryAfter":"1s","refusedXuids":["%d"]}`, refused))
	status, _, errOut := programs.Run(t, harness.Invitectl, "send", "--nats-url", worker.NATS, "--title", "730", "--sender", sender,
		"--to", "2533274790000002,2533274790000003", "--connection", secret, "--traceparent", match)
	require.Zero(t, status, errOut)
	collector.linkedTo(matchSpan, atLeast(1))
	sim.SetFaults(fmt.Sprintf(`{"refusedXuids":["%d"]}`, refused))
	ended(match)
	calls := collector.linkedTo(matchSpan, func(all []*tracepb.Span) bool {
		return slices.ContainsFunc(all, func(s *tracepb.Span) bool { return valueOf(s, "invited.result") == "sent" })
	})
	for i, s := range calls {
		want := []string{"throttled", "503", "1"}
		if i == len(calls)-1 {
			want = []string{"sent", "204", ""}
		}
		assert.Equal(t, want, []string{valueOf(s, "invited.result"), valueOf(s, "http.response.status_code"), valueOf(s, "invited.retry_after")})
		assert.Equal(t, fmt.Sprint(i+1), valueOf(s, "invited.attempt"))
		assert.Equal(t, "2", valueOf(s, "invited.recipients"))
		assert.Equal(t, "730", valueOf(s, "invited.title"))
		assert.Equal(t, sim.URL+"/titles/730/invites", valueOf(s, "url.full"))
		assert.Equal(t, matchTrace+" "+matchSpan, hex.EncodeToString(s.TraceId)+" "+hex.EncodeToString(s.ParentSpanId), "it is part of the request's trace")
		assert.Less(t, s.StartTimeUnixNano, s.EndTimeUnixNano)
		if i > 0 {
			assert.GreaterOrEqual(t, s.StartTimeUnixNano-calls[i-1].EndTimeUnixNano, uint64(time.Second), "the wait is what is between them")
		}
	}

	// A campaign's call has a trace of its own. Its dead letter, and the letter's replay, lead to the same trace as the job.
	send(queue.Address{TitleID: 730, Sender: "cup", Campaign: "finals"}, "00-"+cupTrace+"-"+cupSpan+"-01", refused)
	ended("00-" + cupTrace + "-" + cupSpan + "-01")
	m, err := letters.NextMsg(20 * time.Second)
	require.NoError(t, err)
	assert.Equal(t, "00-"+cupTrace+"-"+cupSpan+"-01", m.Header.Get("traceparent"))
	status, _, errOut = programs.Run(t, harness.Invitectl, "dead", "replay", "--nats-url", worker.NATS, "--reason", "rejected")
	require.Zero(t, status, errOut)
	ended("00-" + cupTrace + "-" + cupSpan + "-01")
	for _, s := range collector.linkedTo(cupSpan, atLeast(2)) {
		assert.NotEqual(t, cupTrace, hex.EncodeToString(s.TraceId))
		assert.Empty(t, s.ParentSpanId)
		assert.Equal(t, "bulk", valueOf(s, "invited.lane"))
	}

	// Nobody's trace, and its batch is not due yet.
	send(queue.Address{TitleID: 730, Sender: sender}, "", 2533274790000001)
	ended("")

	worker.Stop()
	spans, raw := collector.taken()
	assert.Equal(t, sim.Ledger().Calls, spans, "one span a call, the last ones as the worker ends")
	assertSilent(t, map[string]string{"what the collector was sent": raw}, "s3cret", "very-secret", "2533274790", sender, "finals")
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
				m, err := results.NextMsg(20 * time.Second)
				require.NoError(t, err)
				assert.Contains(t, string(m.Data), `"sent":1`)
			}
			worker.Await(`spans were lost.* spans=\d+ error=`)
			assert.Less(t, worker.Stop(), 8*time.Second, "a collector is given 10")
		})
	}
}
