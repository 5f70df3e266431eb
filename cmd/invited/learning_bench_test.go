package main

import (
	"testing"
	"time"

	"github.com/invitedhq/invited/cmd/internal/harness"
	"github.com/invitedhq/invited/queue"
	"github.com/invitedhq/invited/xbl/xblsim"
)

// A quota with two windows of whole seconds: refusals name no fractions. Their rounding alone, up to a second for each refusal,
// weighs 30 times as much here as with the published quota.
const (
	learnQuota   = "7/2s,20/10s"
	learnMax     = 20 // calls in learnPer: the window that binds a backlog
	learnPer     = 10 * time.Second
	learnLatency = 20 * time.Millisecond
	learnKeys    = 24
)

// BenchmarkQuotaLearnt measures the share of a quota of which two workers know nothing at the start, once they had three of its
// long windows to learn it; from refusals with numbers, and from such without. Both are played at once, on a stage each.
//
// The measuring goes on for two long windows from an instant that is the same for all keys, so that
//
//	possible = 2 × 20
//
// which is what a client that knows where the service's windows begin can make, without the time of a call: the raw ratio.
func BenchmarkQuotaLearnt(b *testing.B) {
	type play struct {
		*stage
		*watch
		before, after xblsim.Ledger
	}
	bodies := []string{"numbers", "none"}
	plays := make([]*play, len(bodies))
	for i, body := range bodies {
		s := newStage(b, "--quota", learnQuota, "--latency", learnLatency.String(), "--in-flight-grace", "250ms", "--throttle-body", body)
		o := harness.WorkerOptions{Quota: harness.NoQuota, Tokens: harness.WriteTokens(b, senders(learnKeys)...)}
		s.worker(o)
		s.worker(o)
		plays[i] = &play{stage: s, watch: s.watch()}
		for range 8 * learnMax {
			for _, sender := range senders(learnKeys) {
				s.publish(queue.Address{TitleID: benchTitle, Sender: sender, Campaign: "cup"}, 16)
			}
		}
		s.stored()
	}
	begin := time.Now().Add(3 * learnPer)
	end := begin.Add(2 * learnPer)
	<-time.After(time.Until(begin))
	for _, p := range plays {
		p.before = p.sim.Ledger()
	}
	<-time.After(time.Until(end))
	for _, p := range plays {
		p.after = p.sim.Ledger()
	}

	f := newFigures(b)
	for i, p := range plays {
		calls := 0
		for r := p.next(); r.EndedAt.Before(end); r = p.next() {
			if !r.EndedAt.Before(begin) {
				calls++
			}
		}
		refused := float64(p.after.Throttled-p.before.Throttled) / float64(p.after.Calls-p.before.Calls)
		body := "-" + bodies[i]
		f.atLeast("share-raw"+body, float64(calls)/(2*learnMax*learnKeys), 0.92)
		f.atMost("refused"+body, refused, 0.03)
		f.note("refused-while-learning"+body, float64(p.before.Throttled)/float64(p.before.Calls))
		f.exactly("inside-a-retry-after"+body, p.after.InBlock, 0)
	}
	f.verdict()
}
