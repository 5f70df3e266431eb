package tracing_test

import (
	"bytes"
	"compress/gzip"
	"io"
	"log/slog"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"

	"github.com/invitedhq/invited/dispatcher"
	"github.com/invitedhq/invited/metrics/tracing"
	"github.com/invitedhq/invited/queue"
)

const (
	traceID     = "4bf92f3577b34da6a3ce929d0e0e4736"
	spanID      = "00f067aa0ba902b7"
	traceparent = "00-" + traceID + "-" + spanID + "-01"
	unsampled   = "00-5bf92f3577b34da6a3ce929d0e0e4736-10f067aa0ba902b7-00"
	another     = "00-6bf92f3577b34da6a3ce929d0e0e4736-20f067aa0ba902b7-01"
)

// collector takes spans, in the place of the network.
type collector struct {
	t      *testing.T
	answer func(*http.Request) (reply, error) // nil: 200

	mu       sync.Mutex
	requests []*http.Request
	raw      []string // what came, as it was encoded
	spans    []*tracepb.Span
	resource map[string]string // of the last
}

// reply is what a collector answers.
type reply struct {
	status int
	body   string
	header http.Header
}

// answers is the same answer to all requests.
func answers(status int, body string, header ...string) func(*http.Request) (reply, error) {
	r := reply{status, body, http.Header{}}
	for i := 0; i < len(header); i += 2 {
		r.header.Set(header[i], header[i+1])
	}
	return func(*http.Request) (reply, error) { return r, nil }
}

func (c *collector) RoundTrip(r *http.Request) (*http.Response, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.requests = append(c.requests, r)
	body, err := io.ReadAll(r.Body)
	require.NoError(c.t, err)
	if r.Header.Get("Content-Encoding") == "gzip" {
		z, err := gzip.NewReader(bytes.NewReader(body))
		require.NoError(c.t, err)
		body, err = io.ReadAll(z)
		require.NoError(c.t, err)
	}
	answer := reply{status: 200}
	if c.answer != nil {
		if answer, err = c.answer(r); err != nil {
			return nil, err
		}
	}
	if answer.status == 200 {
		c.take(body)
	}
	return &http.Response{
		StatusCode: answer.status, Status: http.StatusText(answer.status), Header: answer.header,
		Body: io.NopCloser(strings.NewReader(answer.body)),
	}, nil
}

// asked is how many requests came up to now.
func (c *collector) asked() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.requests)
}

// got is how many spans it took up to now.
func (c *collector) got() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.spans)
}

// turns has it answer otherwise from now on; nil: 200.
func (c *collector) turns(answer func(*http.Request) (reply, error)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.answer = answer
}

func (c *collector) take(body []byte) {
	var data tracepb.TracesData
	require.NoError(c.t, proto.Unmarshal(body, &data))
	c.raw = append(c.raw, string(body))
	for _, of := range data.ResourceSpans {
		c.resource = map[string]string{}
		for _, a := range of.Resource.Attributes {
			c.resource[a.Key] = a.Value.GetStringValue()
		}
		for _, scope := range of.ScopeSpans {
			c.spans = append(c.spans, scope.Spans...)
		}
	}
}

// attributes are a span's, as text, numbers and so on.
func attributes(s *tracepb.Span) map[string]any {
	all := map[string]any{}
	for _, a := range s.Attributes {
		switch v := a.Value; {
		case v.GetStringValue() != "":
			all[a.Key] = v.GetStringValue()
		case v.GetDoubleValue() != 0:
			all[a.Key] = v.GetDoubleValue()
		default:
			all[a.Key] = v.GetIntValue()
		}
	}
	return all
}

// audience counts what it is told, as metrics do.
type audience struct{ calls, jobs, delivered int }

func (a *audience) JobDelivered(queue.Lane, bool)  { a.delivered++ }
func (a *audience) CallEnded(dispatcher.CallEnded) { a.calls++ }
func (a *audience) JobEnded(dispatcher.JobEnded)   { a.jobs++ }

// traced runs a test with a tracer that sends to a collector, in fake time.
func traced(t *testing.T, variables string, test func(t *testing.T, f *fixture)) {
	t.Helper()
	// The race detector of Go 1.26 dies when two threads find timers of a bubble due at once.
	before := runtime.GOMAXPROCS(1)
	defer runtime.GOMAXPROCS(before)
	synctest.Test(t, func(t *testing.T) {
		f := &fixture{collector: collector{t: t}}
		if !strings.Contains(variables, "ENDPOINT") {
			variables += " OTEL_EXPORTER_OTLP_ENDPOINT=http://collector:4318"
		}
		f.tracer = f.start(variables, tracing.Options{BaseURL: "https://multiplayeractivity.xboxlive.com"})
		require.NotNil(t, f.tracer, "it is on")
		f.observer = f.tracer.Observe(&f.told)
		defer f.tracer.Shutdown()
		test(t, f)
	})
}

type fixture struct {
	collector
	tracer   *tracing.Tracer
	observer dispatcher.Observer
	told     audience
	log      bytes.Buffer
}

// start reads variables that are written NAME=value, with a space in between.
func (f *fixture) start(variables string, o tracing.Options) *tracing.Tracer {
	return f.startOver(f, variables, o)
}

// startOver does so with another transport; nil is the tracer's own.
func (f *fixture) startOver(transport http.RoundTripper, variables string, o tracing.Options) *tracing.Tracer {
	all := map[string]string{}
	for pair := range strings.FieldsSeq(variables) {
		name, value, _ := strings.Cut(pair, "=")
		all[name] = value
	}
	o.Transport, o.Version = transport, "v1.2.3"
	o.Logger = slog.New(slog.NewTextHandler(&f.log, nil))
	return tracing.Start(func(name string) (string, bool) { v, ok := all[name]; return v, ok }, o)
}

// calls ends calls now.
func (f *fixture) calls(all ...dispatcher.CallEnded) {
	for _, c := range all {
		if c.Started.IsZero() {
			c.Started = time.Now()
		}
		f.observer.CallEnded(c)
	}
}

// pass lets a bubble's time pass, and everybody in it do what is due by then.
func pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}
