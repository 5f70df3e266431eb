package main

import (
	"slices"
	"testing"
	"time"

	"github.com/invitedhq/invited/cmd/internal/harness"
	"github.com/invitedhq/invited/queue"
)

// The published quota, 7 calls in 15 s and 50 in 300 s, a hundred times as fast. The short window is 75 times as long as a call.
const (
	shareQuota   = "7/150ms,50/3s"
	shareLatency = 2 * time.Millisecond
	shareMax     = 50 // calls in sharePer: the window that binds a backlog
	sharePer     = 3 * time.Second
	shareKeys    = 24
)

// BenchmarkQuotaShare measures the share of the quota that a backlog uses: calls made / calls possible.
//
// A call occupies a window from when it is sent until the window's length after its answer: only then is it certain, wherever
// the service's windows begin, that it counts in none that is open. So each of the 50 places of the long window can be used once
// in sharePer + shareLatency, and in a time T
//
//	possible = T × 50 / (sharePer + shareLatency)
//
// raw leaves the latency out: T × 50 / sharePer. A key is measured from one call to the one a whole number of rounds of its 50
// places later, so that it doesn't matter where in a round the measuring begins; its first round, which finds the windows empty,
// is not measured.
func BenchmarkQuotaShare(b *testing.B) {
	for _, c := range []shareCase{
		{name: "one worker", workers: 1, rounds: 2, least: 0.98, leastOfKey: 0.98},
		{name: "two workers", workers: 2, rounds: 2, least: 0.98, leastOfKey: 0.98},
		{name: "eight workers", workers: 8, rounds: 2, least: 0.98, leastOfKey: 0.98},
		{
			name: "one joins", workers: 1, rounds: 4, least: 0.98, leastOfKey: 0.95,
			change: func(s *stage, o harness.WorkerOptions, _ []*harness.Worker) { s.worker(o) },
		},
		{
			name: "one leaves", workers: 2, rounds: 4, least: 0.98, leastOfKey: 0.95,
			change: func(_ *stage, _ harness.WorkerOptions, w []*harness.Worker) { w[0].Stop() },
		},
		{
			name: "one crashes", workers: 3, rounds: 9, least: 0.95,
			change: func(_ *stage, _ harness.WorkerOptions, w []*harness.Worker) { w[0].Kill() },
		},
	} {
		b.Run(c.name, c.measure)
	}
}

// shareCase is a number of workers, and what happens to them once all keys are in their second round.
type shareCase struct {
	name       string
	workers    int
	change     func(*stage, harness.WorkerOptions, []*harness.Worker) // nil: nothing
	rounds     int                                                    // that are measured
	least      float64                                                // that is enough, of the share of all keys
	leastOfKey float64                                                // of the key that got least
}

func (c shareCase) measure(b *testing.B) {
	s := newStage(b, "--quota", shareQuota, "--latency", shareLatency.String())
	o := harness.WorkerOptions{Quota: shareQuota, Tokens: harness.WriteTokens(b, senders(shareKeys)...)}
	var workers []*harness.Worker
	for range c.workers {
		workers = append(workers, s.worker(o))
	}
	results := s.watch()
	calls := (1+c.rounds)*shareMax + 1 // of each key
	for range calls + shareMax {       // and one more round, so that no key is idle before the others are measured
		for _, sender := range senders(shareKeys) {
			s.publish(queue.Address{TitleID: benchTitle, Sender: sender, Campaign: "cup"}, 16)
		}
	}
	s.stored()

	ended := make(map[string][]time.Time) // calls, by sender
	await := func(calls int) {
		for slices.ContainsFunc(senders(shareKeys), func(s string) bool { return len(ended[s]) < calls }) {
			r := results.next()
			ended[r.Sender] = append(ended[r.Sender], r.EndedAt)
		}
	}
	await(shareMax + 1)
	if c.change != nil {
		c.change(s, o, workers)
	}
	await(calls)
	ledger := s.sim.Ledger()

	var made, possible, raw float64
	least := 1.0
	for _, at := range ended {
		slices.SortFunc(at, time.Time.Compare)
		took := at[calls-1].Sub(at[shareMax]).Seconds()
		own := took * shareMax / (sharePer + shareLatency).Seconds()
		least = min(least, float64(c.rounds*shareMax)/own)
		made += float64(c.rounds * shareMax)
		possible += own
		raw += took * shareMax / sharePer.Seconds()
	}
	f := newFigures(b)
	f.atLeast("share", made/possible, c.least)
	f.note("share-raw", made/raw)
	f.atLeast("share-of-the-least", least, c.leastOfKey)
	f.exactly("refused", ledger.Throttled, 0)
	f.note("calls-repeated", float64(ledger.Duplicates)/16)
	f.verdict()
}
