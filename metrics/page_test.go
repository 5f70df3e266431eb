package metrics_test

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/invitedhq/invited/metrics"
)

// advice is what to do with each metric: the part of the page that no registry knows.
var advice = map[string]string{
	"invited_jobs_total": "Is work being finished? `sum by (title, lane) (rate(invited_jobs_total[5m]))`. " +
		"Compare with `invited_queue_jobs`: jobs that wait while nothing ends are an incident.",
	"invited_recipients_total": "The invites themselves: `sum by (title) (rate(invited_recipients_total{outcome=\"sent\"}[5m]))`. " +
		"The share that is not `sent` is the failure rate to set a target for.",
	"invited_calls_total": "What the API thinks of us. `throttled` means that someone else uses the same quota, or that it is configured too " +
		"wide; `unauthorized`: look at the tokens; `transient`: the API or the way to it is in trouble; `ambiguous` ones may have been sent " +
		"and may be sent again; `misconfigured` needs a person.",
	"invited_call_duration_seconds": "`histogram_quantile(0.99, sum by (le, title) (rate(invited_call_duration_seconds_bucket[5m])))`: " +
		"the API's latency as a worker sees it. An exemplar leads to a slow call's trace.",
	"invited_call_recipients": "How full calls are: `rate(invited_call_recipients_sum[5m]) / rate(invited_call_recipients_count[5m])`. " +
		"Quota counts calls, so a campaign far below 16 wastes it: its jobs differ in `connectionString` or `platform`, or are too small.",
	"invited_calls_in_flight": "At `dispatch.max_in_flight` of its worker for long: the API is slow, or the limit is too low.",
	"invited_delivery_seconds": "What a player waits: alert on a high quantile of `lane=\"interactive\"`. `bulk` is as long as the quota makes " +
		"its campaign. An exemplar leads to the trace of a job that took long.",
	"invited_throttle_seconds_total": "`rate(invited_throttle_seconds_total[5m])` is how many keys were blocked on average. " +
		"Above 0 for long: lower `quota.windows`, or find out what else uses the quota.",
	"invited_keys_blocked": "Who is blocked right now; `invitectl status` names the senders.",
	"invited_queue_jobs":   "The backlog: `max by (title, lane) (invited_queue_jobs)`. Never the sum: each worker says the same of the whole queue.",
	"invited_queue_held_jobs": "What waits because somebody wants it to: `max by (title) (invited_queue_jobs{lane=\"bulk\"}) - " +
		"max by (title) (invited_queue_held_jobs)` is what should be on its way. Nobody needs to be woken for the rest.",
	"invited_queue_partitions": "`sum(invited_partitions_owned) < max(invited_queue_partitions)` for longer than a hand-over: " +
		"nobody sends what is in the others.",
	"invited_queue_oldest_seconds": "Alert on `max(invited_queue_oldest_seconds{lane=\"interactive\"})`: a player's invite is worth little " +
		"after a minute. For `bulk` it is as old as the longest campaign.",
	"invited_dead_letters_total": "Alert on an increase, by `reason`; `invitectl dead ls` shows them, and `dead replay` sends them again once " +
		"the cause is gone. `expired` says that there is too little quota or too few workers, `invalid` that a producer is wrong.",
	"invited_redeliveries_total": "Some whenever jobs in hand are given back: at a restart, a hand-over, a campaign's pause. " +
		"A steady rate without one says that workers crash, or are cut off from NATS.",
	"invited_token_refreshes_total": "Alert on an increase of `missing`, `invalid`, `refused` or `denied`: a sender's jobs wait for a token, and a " +
		"person must act. `invitectl status` says whose and why. `unavailable` and `throttled` heal by themselves: what makes tokens is in trouble, " +
		"or is asked too often; while the old token serves nobody waits. Each call that finds no token counts, so it goes on counting as long as jobs wait.",
	"invited_token_expiry_timestamp_seconds": "Alert on `invited_token_expiry_timestamp_seconds - time() < 600`: what should have refreshed it " +
		"does not. Tokens of senders that sent nothing in the last five minutes do not count. With `tokens.source` `static` and `file` there is no such " +
		"series, as those tokens come without a date: " +
		"watch `invited_token_refreshes_total{result=\"refused\"}` and `invited_calls_total{result=\"unauthorized\"}`.",
	"invited_token_certificate_expiry_timestamp_seconds": "Alert weeks before it: a new Business Partner Certificate takes a person in Partner Center. " +
		"It is read from disk with each scrape, so that a renewed one shows at once.",
	"invited_partitions_owned": "The sum over workers is `nats.partitions`, but for seconds while they are handed over. Less for longer: " +
		"nobody sends what is in the others. A worker with 0 beside others: there are more workers than partitions.",
	"invited_quota_bound": "A worker with 1 would not be faster with others beside it: do not scale up for it. " +
		"Where jobs wait, and it is 0 on every worker, more of them help, or something is broken.",
	"invited_build_info": "`count by (version) (invited_build_info)` shows how far a rollout is.",
}

// open are labels whose values are whatever there is.
var open = []string{"title", "version", "revision", "goversion"}

func TestThePageOfMetricsSaysWhatTheRegistryDoes(t *testing.T) {
	inFakeTime(t, func(t *testing.T, reg *prometheus.Registry) {
		families := familiesOf(t, reg)
		var there []string
		for _, f := range families {
			there = append(there, f.name)
			require.NotEmpty(t, advice[f.name], "%s: write into advice what one does with it", f.name)
		}
		for name := range advice {
			assert.Contains(t, there, name, "there is advice for it, and no such metric")
		}
		requireIs(t, "../docs/metrics.md", page(families))
	})
}

func page(families []family) string {
	b := bytes.NewBufferString(strings.ReplaceAll(fmt.Sprintf(preface, metrics.MaxTitles), "´", "`"))
	for _, f := range families {
		fmt.Fprintf(b, "\n## `%s`\n\n%s\n\n%s\n\n%s\n", f.name, f.line(), f.help, advice[f.name])
	}
	return b.String()
}

// line is a metric's type, unit, labels and buckets.
func (f family) line() string {
	parts := []string{"*" + f.kind + "*"}
	if f.unit != "" {
		parts = append(parts, "in "+f.unit)
	}
	var labels []string
	for _, l := range f.labels {
		label := "`" + l + "`"
		if !slices.Contains(open, l) {
			label += " (`" + strings.Join(f.values[l], "`, `") + "`)"
		}
		labels = append(labels, label)
	}
	if len(labels) == 0 {
		labels = []string{"no labels"}
	}
	parts = append(parts, strings.Join(labels, ", "))
	if len(f.buckets) > 0 {
		parts = append(parts, "buckets up to "+strings.Join(f.buckets, ", "))
	}
	return strings.Join(parts, " · ")
}

// preface has ´ where the page has a code quote.
const preface = `# Metrics

<!-- Made from the registry. Change metrics/*.go, and write it anew: go test ./metrics -run 'Golden|Page' -update -->

A worker shows them at ´/metrics´ of ´admin.listen´, in Prometheus' text format or, where it is asked for, OpenMetrics. They are the worker's
own: sum them over workers, but for those that begin with ´invited_queue_´, which each of them says of the whole queue.

- **Labels.** Series of closed sets are there from the start with 0: those without a title at once, those with one when the title is
  first seen, or at once if ´quota.titles´ names it. A worker gives labels to %d titles, those of ´quota.titles´ first, then as they
  come, and keeps them until it ends; further ones are counted together as ´title="other"´. ´title="0"´ is what was published on a
  subject that is no address. No player and no sender is ever a label.
- **Exemplars.** In OpenMetrics a bucket of the two latencies has the ´trace_id´ and ´span_id´ of one job in it whose producer sent a
  W3C ´traceparent´ with the flag *sampled*: a trace that nobody recorded leads nowhere. Prometheus keeps them with
  ´--enable-feature=exemplar-storage´.
- **Absent** are those of the queue while NATS does not answer within 2 s; they and the gauges of the worker's loop (calls in flight,
  blocked keys, quota-bound, partitions) until it takes jobs, and once it stops: an old figure would be a lie.
- **Cancelled campaigns.** What was dropped is neither sent nor dead, and no outcome: a job of which nothing else ended is not in
  ´invited_jobs_total´, and dropped recipients are not in ´invited_recipients_total´. ´invitectl campaign status´ counts them.
- **Sent twice.** A job that a worker ended too late, when it was cut off, and that its next owner sent again, is counted by both, as
  are its recipients. It has one result, which says ´maybeDuplicate´.

Besides: ´go_*´ and ´process_*´ of the Go runtime and the process, and ´promhttp_*´ of the page itself.
`
