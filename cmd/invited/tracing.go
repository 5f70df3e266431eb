package main

import (
	"go.opentelemetry.io/otel"

	"github.com/invitedhq/invited/metrics/tracing"
	"github.com/invitedhq/invited/xbl"
)

// lookup is os.LookupEnv, or a test's own.
type lookup func(name string) (string, bool)

// trace begins to trace the client's calls, if the variables say so. nil: they do not.
func (w *worker) trace(client xbl.Options) *tracing.Tracer {
	if w.otel == nil {
		return nil
	}
	// OpenTelemetry has one handler of errors for the whole process, and its own writes past our log.
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(err error) { w.log.Warn("OpenTelemetry", "error", err) }))
	return tracing.Start(w.otel, tracing.Options{
		BaseURL: client.BaseURL, Audience: client.Audience, Version: buildOf().Version, Logger: w.log,
	})
}
