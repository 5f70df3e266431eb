// Package tracing makes an OpenTelemetry span of each call to the API and sends
// it to a collector, by OTLP over HTTP. It is off unless the variables of
// OpenTelemetry's convention ask for it; docs/tracing.md lists those it knows.
//
//	t := tracing.Start(os.LookupEnv, tracing.Options{…}) // nil: off
//	defer t.Shutdown()
//	d := dispatcher.New(cfg, client, q, q, t.Observe(metrics))
//
// A span has links to the jobs in its call: to the traceparent that each job's
// producer sent along. A call for one request of a player is part of that
// request's trace; any other call, a campaign's above all, begins a trace.
//
// Nobody waits for a collector: spans go through a bounded queue, and what does
// not fit, or is not taken in time, is lost, counted and told of in the log. No
// span has a recipient, a sender, a connection string, a token, or words of the
// API's answer.
package tracing
