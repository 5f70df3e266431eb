package tracing

import (
	"go.opentelemetry.io/otel/sdk/trace"
	api "go.opentelemetry.io/otel/trace"
)

// linked has a sampler that goes by a span's parent go by its links where there
// is no parent: a call for several jobs is recorded if the trace of any of them
// is. Without that, who records one trace in a thousand would get all calls of
// all campaigns.
type linked struct{ trace.Sampler }

// ShouldSample implements trace.Sampler.
func (s linked) ShouldSample(p trace.SamplingParameters) trace.SamplingResult {
	if !api.SpanContextFromContext(p.ParentContext).IsValid() && len(p.Links) > 0 {
		of := p.Links[0].SpanContext
		for _, l := range p.Links {
			if l.SpanContext.IsSampled() {
				of = l.SpanContext
				break
			}
		}
		p.ParentContext = api.ContextWithRemoteSpanContext(p.ParentContext, of)
	}
	return s.Sampler.ShouldSample(p)
}
