package tracing_test

import (
	"io"
	"log/slog"
	"net/http"
	"testing"
	"time"

	"github.com/invitedhq/invited/dispatcher"
	"github.com/invitedhq/invited/metrics/tracing"
	"github.com/invitedhq/invited/queue"
)

// BenchmarkCallEnded is what a call's span costs the dispatcher's loop: nothing where tracing is off, and less where the producer
// did not record its trace.
func BenchmarkCallEnded(b *testing.B) {
	for name, c := range map[string]struct{ variables, traceparent string }{
		"off":          {"", traceparent},
		"recorded":     {"otlp", traceparent},
		"not recorded": {"otlp", unsampled},
	} {
		b.Run(name, func(b *testing.B) {
			tracer := tracing.Start(func(name string) (string, bool) {
				return c.variables, name == "OTEL_TRACES_EXPORTER"
			}, tracing.Options{BaseURL: "https://multiplayeractivity.xboxlive.com", Logger: slog.New(slog.DiscardHandler), Transport: swallow{}})
			defer tracer.Shutdown()
			observer := tracer.Observe(&audience{})
			call := dispatcher.CallEnded{
				TitleID: 1739947436, Lane: queue.Interactive, Recipients: 16, Jobs: 1, Attempt: 1,
				Started: time.Now(), Took: 80 * time.Millisecond, Traceparents: []string{c.traceparent},
			}
			b.ReportAllocs()
			for b.Loop() {
				observer.CallEnded(call)
			}
		})
	}
}

// swallow takes everything.
type swallow struct{}

func (swallow) RoundTrip(r *http.Request) (*http.Response, error) {
	_, err := io.Copy(io.Discard, r.Body)
	return &http.Response{StatusCode: 200, Body: http.NoBody}, err
}
