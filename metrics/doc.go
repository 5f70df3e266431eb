// Package metrics is what a worker shows of itself: it owns every metric name,
// and the admin endpoints /metrics, /livez and /readyz.
//
//	registry := prometheus.NewRegistry()
//	m := metrics.New(registry, build)                // a dispatcher.Observer
//	d := dispatcher.New(cfg, client, q, q, m)
//	m.Watch(registry, d, q)                          // gauges, read when they are scraped
//	metrics.WatchTokens(registry, tokens)            // likewise
//	mux := metrics.Handler(registry, alive, ready)
//
// The names and labels are those of the project's contract; docs/metrics.md is
// made from them. Series of closed label sets exist from the start with 0, so
// that an alert on a first failure has something to compare with: those without
// a title at once, those with a title when it is first seen, or named by
// [Metrics.Know]. No XUID and no sender is ever a label, and a worker that sees
// more than [MaxTitles] titles counts all further ones as "other": the number
// of series is bounded whatever producers publish.
//
// What has a duration may have an exemplar, which OpenMetrics shows: the ids of
// the trace that the job's producer had recorded, and nothing else of a job.
package metrics
