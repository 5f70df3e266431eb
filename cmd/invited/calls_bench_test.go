package main

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/invitedhq/invited/cmd/internal/harness"
	"github.com/invitedhq/invited/queue"
)

// BenchmarkQuotaCalls measures what calls are spent on, for three keys at once, each with about 16,000 recipients: a thousand calls.
//
//   - singles: jobs of one recipient that can share calls, against the least number of calls;
//   - parties: jobs of one to eight recipients that can share calls, against the room in those calls;
//   - campaign: 16 of its recipients are refused by the API, each in another call.
//
// The jobs are there when the worker starts. How soon the first calls are made, and with how few of them, is the worker's
// choice; one that waited for more would make players wait.
//
// The quota is twice the published one, a hundred times as fast; the short window is 75 times as long as a call.
func BenchmarkQuotaCalls(b *testing.B) {
	const (
		quota, latency             = "14/150ms,100/3s", 2 * time.Millisecond
		singles, parties, campaign = 1, 2, 3 // titles
		recipients, refused        = 16_000, 16
	)
	bad := make([]string, refused)
	for i := range bad {
		bad[i] = strconv.FormatUint(uint64(firstPlayer)+1+uint64(i)*(recipients/refused+3), 10)
	}
	s := newStage(b, "--quota", quota, "--latency", latency.String(), "--fault-refuse", strings.Join(bad, ","))
	w := s.worker(harness.WorkerOptions{Quota: quota}) // creates the streams
	w.Stop()
	results := s.watch()
	jobs, published := 0, map[uint32]int{}
	publish := func(title uint32, campaign string, n int) {
		s.publish(queue.Address{TitleID: title, Sender: "cup", Campaign: campaign}, n)
		jobs++
		published[title] += n
	}
	for range recipients / 16 { // first: it has the players that are refused
		publish(campaign, "finals", 16)
	}
	for range recipients {
		publish(singles, "", 1)
	}
	random := rand.New(rand.NewPCG(1, 8))
	for published[parties] < recipients {
		publish(parties, "", 1+random.IntN(8))
	}
	s.stored()
	w.Start()
	w.AwaitReady()

	sent := map[uint32]int{}
	for range jobs {
		r := results.next()
		sent[r.TitleID] += r.Sent
	}
	letters, dead := 0, 0
	for letter, err := range s.reader.DeadLetters(s.ctx, queue.Filter{}) {
		s.must(err)
		letters++
		job, err := queue.DecodeJob(letter.Body)
		s.must(err)
		dead += len(job.InvitedUsers)
	}
	metrics, ledger := w.Metrics(), s.sim.Ledger()
	calls := func(title int) float64 {
		return metrics.Sum("invited_calls_total", fmt.Sprintf("title=%q", strconv.Itoa(title)))
	}

	f := newFigures(b)
	f.atMost("singles-calls-per-least", calls(singles)/(recipients/16), 1.05)
	f.atLeast("parties-slots-filled", float64(published[parties])/(16*calls(parties)), 0.94)
	f.exactly("campaign-sent", sent[campaign], recipients-refused)
	f.exactly("dead-letters", letters, refused)
	f.exactly("dead", dead, refused)
	f.note("calls-per-refused", (calls(campaign)-recipients/16)/refused)
	f.exactly("others-not-sent", published[singles]+published[parties]-sent[singles]-sent[parties], 0)
	f.exactly("duplicates", ledger.Duplicates, 0)
	f.exactly("throttled", ledger.Throttled, 0)
	f.exactly("calls-not-counted", ledger.Calls-int(calls(singles)+calls(parties)+calls(campaign)), 0)
	f.verdict()
}
