package tracing

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/exporters/otlp/otlptrace"
	"go.opentelemetry.io/otel/sdk/trace"
)

// gate lets no more spans into the SDK's queue than it holds. The SDK would drop
// the others itself, and tell nobody.
type gate struct {
	trace.SpanProcessor
	room    int64
	waiting atomic.Int64 // spans that were let in and are neither exported nor lost
	losses  *losses
}

var errFull = errors.New("more calls ended than the collector was sent: the queue (OTEL_BSP_MAX_QUEUE_SIZE) is full; " +
	"a sampler (OTEL_TRACES_SAMPLER) records fewer")

// OnEnd implements trace.SpanProcessor.
func (g *gate) OnEnd(s trace.ReadOnlySpan) {
	if g.waiting.Add(1) > g.room {
		g.waiting.Add(-1)
		g.losses.add(1, errFull)
		return
	}
	g.SpanProcessor.OnEnd(s)
}

// exporter takes note of what is lost. It never returns an error: the SDK would
// give it to a handler of which there is one for the whole process.
type exporter struct {
	*otlptrace.Exporter
	gate   *gate
	losses *losses
}

// ExportSpans implements trace.SpanExporter.
func (e *exporter) ExportSpans(ctx context.Context, spans []trace.ReadOnlySpan) error {
	err := e.Exporter.ExportSpans(ctx, spans)
	e.gate.waiting.Add(-int64(len(spans)))
	if err != nil {
		e.losses.add(len(spans), err)
	}
	return nil
}

// losses tells of lost spans: of the first at once, then once a minute.
type losses struct {
	log *slog.Logger

	mu     sync.Mutex
	said   time.Time
	unsaid int
	err    error // of the last
}

const sayEvery = time.Minute

func (l *losses) add(spans int, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.unsaid += spans
	l.err = err
	if l.said.IsZero() || time.Since(l.said) >= sayEvery {
		l.say()
	}
}

// sayAll tells of those that were not told of yet.
func (l *losses) sayAll() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.unsaid > 0 {
		l.say()
	}
}

func (l *losses) say() {
	l.log.Warn("spans were lost; invites go on without them", "spans", l.unsaid, "error", l.err)
	l.said, l.unsaid = time.Now(), 0
}
