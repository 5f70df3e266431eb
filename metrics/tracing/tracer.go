package tracing

import (
	"context"
	"log/slog"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/sdk/resource"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"

	"github.com/invitedhq/invited/dispatcher"
	"github.com/invitedhq/invited/queue"
	"github.com/invitedhq/invited/xbl"
)

// Options are what spans say beside what a call is. Logger is required.
type Options struct {
	BaseURL  string // of the API, as xbl.Options has it
	Audience xbl.Audience
	Version  string // of this program; empty: unknown
	Logger   *slog.Logger
	// Transport carries spans to the collector. Default: one of its own, as the variables have it.
	Transport http.RoundTripper
}

// Tracer makes spans. A nil one is off: all methods may be called, and do
// nothing. It is safe for concurrent use.
type Tracer struct {
	provider *sdk.TracerProvider
	tracer   trace.Tracer
	client   *client
	losses   *losses

	name   string               // of all spans
	base   string               // what is before the title in a URL,
	after  string               // and what is behind it
	always []attribute.KeyValue // of all spans
}

// flushFor is how long Shutdown waits for the collector.
const flushFor = 2 * time.Second

// Start reads the variables, and returns nil where they do not ask for traces.
// It connects to nothing. A variable that can't be used is told of in the log
// and left out; where that leaves nowhere to send spans to, tracing is off: no
// mistake in it keeps a worker from its work.
func Start(lookup func(string) (string, bool), o Options) *Tracer {
	s, on := read(&environment{lookup: lookup, log: o.Logger})
	if !on {
		return nil
	}
	about, err := resource.New(context.Background(), resource.WithTelemetrySDK(), resource.WithService(),
		resource.WithAttributes(semconv.ServiceName("invited"), semconv.ServiceVersion(o.Version)), resource.WithFromEnv())
	if err != nil {
		o.Logger.Warn(warning, "variable", "OTEL_RESOURCE_ATTRIBUTES", "problem", err)
	}
	t := &Tracer{losses: &losses{log: o.Logger}}
	t.client = newClient(s, o, t.losses)
	spans := &gate{room: int64(s.queue)}
	spans.SpanProcessor = sdk.NewBatchSpanProcessor(&exporter{otlptrace.NewUnstarted(t.client), spans, t.losses},
		sdk.WithMaxQueueSize(s.queue), sdk.WithMaxExportBatchSize(s.batch),
		sdk.WithBatchTimeout(s.delay), sdk.WithExportTimeout(s.exportTimeout))
	spans.losses = t.losses
	t.provider = sdk.NewTracerProvider(sdk.WithResource(about), sdk.WithSampler(linked{s.sampler}), sdk.WithSpanProcessor(spans))
	t.tracer = t.provider.Tracer("github.com/invitedhq/invited", trace.WithSchemaURL(semconv.SchemaURL),
		trace.WithInstrumentationVersion(o.Version))
	t.calls(o)
	o.Logger.Info("calls are traced", "collector", s.endpoint.Scheme+"://"+s.endpoint.Host)
	return t
}

// calls works out what all calls have in common.
func (t *Tracer) calls(o Options) {
	const titles = "/titles/"
	t.base, t.after = strings.TrimRight(o.BaseURL, "/")+titles, "/invites"
	if o.Audience == xbl.AudienceServer {
		t.after += "/server"
	}
	template := titles + "{titleId}" + t.after
	t.name = http.MethodPost + " " + template
	t.always = []attribute.KeyValue{semconv.HTTPRequestMethodPost, semconv.URLTemplate(template)}
	if u, err := url.Parse(o.BaseURL); err == nil { // it was read before: xbl.NewClient did
		t.always = append(t.always, semconv.ServerAddress(u.Hostname()), semconv.ServerPort(portOf(u)))
	}
}

func portOf(u *url.URL) int {
	if port, err := strconv.Atoi(u.Port()); err == nil {
		return port
	}
	if u.Scheme == "http" {
		return 80
	}
	return 443
}

// Observe returns an observer that makes a span of each call that it is told
// of, and tells next everything. Of a nil Tracer it is next itself.
func (t *Tracer) Observe(next dispatcher.Observer) dispatcher.Observer {
	if t == nil {
		return next
	}
	return observer{next, t}
}

type observer struct {
	dispatcher.Observer
	tracer *Tracer
}

// CallEnded implements dispatcher.Observer.
func (o observer) CallEnded(c dispatcher.CallEnded) {
	o.Observer.CallEnded(c)
	o.tracer.callEnded(c)
}

// Shutdown sends what is left, for two seconds at the most, and tells of what
// could not be sent. Calls that end later are not traced.
func (t *Tracer) Shutdown() {
	if t == nil {
		return
	}
	t.client.hurry()
	late := time.AfterFunc(flushFor, t.client.cut)
	defer late.Stop()
	_ = t.provider.Shutdown(context.Background()) // ends soon: whatever it waits for has been cut off; errors are losses
	t.client.cut()
	t.losses.sayAll()
}

// Of spans beside those of the semantic conventions for HTTP.
const (
	keyTitle      = attribute.Key("invited.title")
	keyLane       = attribute.Key("invited.lane")
	keyRecipients = attribute.Key("invited.recipients")
	keyJobs       = attribute.Key("invited.jobs")
	keyAttempt    = attribute.Key("invited.attempt")
	keyResult     = attribute.Key("invited.result")
	keyRetryAfter = attribute.Key("invited.retry_after")
)

// sent is the result of a call that was: xbl.Kind has no name for it.
const sent = "sent"

func (t *Tracer) callEnded(c dispatcher.CallEnded) {
	links, parent := relations(c)
	_, span := t.tracer.Start(parent, t.name, trace.WithSpanKind(trace.SpanKindClient),
		trace.WithTimestamp(c.Started), trace.WithLinks(links...))
	defer span.End(trace.WithTimestamp(c.Started.Add(c.Took)))
	if !span.IsRecording() {
		return
	}
	of := append(make([]attribute.KeyValue, 0, maxAttributes), t.always...)
	of = append(of,
		semconv.URLFull(t.base+strconv.FormatUint(uint64(c.TitleID), 10)+t.after),
		keyTitle.Int64(int64(c.TitleID)), keyLane.String(c.Lane.String()), keyRecipients.Int(c.Recipients),
		keyJobs.Int(c.Jobs), keyAttempt.Int(c.Attempt),
	)
	if c.Kind == 0 {
		// The client does not tell which status of the 2xx it was: 204, as the API's documentation has it.
		span.SetAttributes(append(of, keyResult.String(sent), semconv.HTTPResponseStatusCode(http.StatusNoContent))...)
		return
	}
	of = append(of, keyResult.String(c.Kind.String()), semconv.ErrorTypeKey.String(errorType(c)))
	if c.Status != 0 {
		of = append(of, semconv.HTTPResponseStatusCode(c.Status))
	}
	if c.RetryAfter > 0 {
		of = append(of, keyRetryAfter.Float64(c.RetryAfter.Seconds()))
	}
	span.SetAttributes(of...)
	span.SetStatus(codes.Error, "") // the API's own words may name recipients
}

// maxAttributes is how many a span has at most.
const maxAttributes = 14

// errorType is a status that is an error, as the conventions have it, else what the call came to.
func errorType(c dispatcher.CallEnded) string {
	if c.Status >= http.StatusBadRequest {
		return strconv.Itoa(c.Status)
	}
	return c.Kind.String()
}

// relations are a link for each trace context of the call's jobs, and the
// span's parent: the producer's, where a player's request alone led to the
// call. A campaign goes on for hours after its producer's span has ended, with
// more calls than a trace can hold.
func relations(c dispatcher.CallEnded) (links []trace.Link, parent context.Context) {
	parent = context.Background()
	for _, v := range c.Traceparents {
		of := propagation.TraceContext{}.Extract(context.Background(), propagation.MapCarrier{"traceparent": v})
		sc := trace.SpanContextFromContext(of)
		if sc.IsValid() && !has(links, sc) {
			links = append(links, trace.Link{SpanContext: sc})
		}
	}
	if c.Lane == queue.Interactive && len(links) == 1 && len(c.Traceparents) == c.Jobs {
		parent = trace.ContextWithRemoteSpanContext(parent, links[0].SpanContext)
	}
	return links, parent
}

func has(links []trace.Link, sc trace.SpanContext) bool {
	for _, l := range links {
		if l.SpanContext.TraceID() == sc.TraceID() && l.SpanContext.SpanID() == sc.SpanID() {
			return true
		}
	}
	return false
}
