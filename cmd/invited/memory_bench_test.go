package main

import (
	"encoding/json"
	"fmt"
	"runtime"
	"testing"
	"time"

	"github.com/invitedhq/invited/cmd/internal/harness"
	"github.com/invitedhq/invited/dispatcher"
	"github.com/invitedhq/invited/dispatcher/plan"
	"github.com/invitedhq/invited/queue"
)

// maxMemory is what a worker may have, in MiB.
const maxMemory = 150

// BenchmarkQuotaMemoryWaiting measures a worker's memory while 1,000,000 bulk and 40,000 interactive recipients wait, all of
// keys that were told to wait for an hour. Bulk is in jobs of 16 and a hundred campaigns, as invitectl uploads; interactive in
// jobs of one recipient and 1,000 keys, which is the most jobs that it can be.
func BenchmarkQuotaMemoryWaiting(b *testing.B) {
	const campaigns, bulk, keys, interactive = 100, 1_000_000, 1_000, 40_000
	const window = 4096 / campaigns // jobs of each campaign that a worker has in hand, at the least
	// One token for all senders, which the simulator takes for one key: one call goes through, all other keys are blocked.
	s := newStage(b, "--quota", "1/1h")
	s.sim.Invite(benchTitle, harness.Token)
	w := s.worker(harness.WorkerOptions{Config: "dispatch: {interactive_ttl: 24h}\nlog: {level: error}"})
	idle := w.Memory()
	for range bulk / campaigns / 16 {
		for n := range campaigns {
			s.publish(queue.Address{TitleID: benchTitle, Sender: fmt.Sprintf("cup-%d", n), Campaign: "finals"}, 16)
		}
	}
	for n := range interactive {
		s.publish(queue.Address{TitleID: benchTitle, Sender: fmt.Sprintf("party-%d", n%keys)}, 1)
	}
	s.stored()
	harness.Until(b, time.Minute, "all is in hand that can be", func() bool {
		return s.inHand(queue.JobsStream) == interactive && s.inHand(queue.CampaignsStream) >= campaigns*window
	})
	harness.Until(b, time.Minute, "all keys are blocked", func() bool {
		return w.Metrics().Sum("invited_keys_blocked") == campaigns+keys
	})
	// Leases of what is in hand are renewed every ten seconds.
	<-time.After(12 * time.Second)
	w.Metrics() // as a scrape would
	m := w.Memory()

	f := newFigures(b)
	f.note("MiB-idle", idle.Now)
	f.note("MiB", m.Now)
	f.atMost("MiB-peak", m.Peak, maxMemory)
	f.exactly("sent", s.sim.Ledger().Unique, 1)
	f.verdict()
}

// inHand is how many jobs of a stream a worker has and has not acknowledged.
func (s *stage) inHand(stream string) (n int) {
	s.b.Helper()
	for total, got := 1, 0; got < total; {
		answer, err := s.conn.Request("$JS.API.CONSUMER.LIST."+stream, fmt.Appendf(nil, `{"offset":%d}`, got), 5*time.Second)
		s.must(err)
		var list struct {
			Total     int
			Consumers []struct {
				NumAckPending int `json:"num_ack_pending"`
			}
		}
		s.must(json.Unmarshal(answer.Data, &list))
		for _, c := range list.Consumers {
			n += c.NumAckPending
		}
		total = list.Total
		if got += len(list.Consumers); len(list.Consumers) == 0 {
			return n
		}
	}
	return n
}

// BenchmarkQuotaMemoryKeys measures a worker's memory when 100,000 keys have come and gone, each with a job for one player, and
// never more than 2,000 of them at once. A key is forgotten two seconds after its call.
func BenchmarkQuotaMemoryKeys(b *testing.B) {
	const keys, atOnce = 100_000, 2_000
	s := newStage(b)
	w := s.worker(harness.WorkerOptions{Quota: "7/1s,50/2s", Config: "log: {level: error}"})
	results := s.watch()
	begin := time.Now()
	for n := range keys {
		if n >= atOnce {
			results.next()
		}
		s.publish(queue.Address{TitleID: benchTitle, Sender: fmt.Sprintf("player-%d", n)}, 1)
	}
	s.stored()
	for range atOnce {
		results.next()
	}
	took := time.Since(begin)
	<-time.After(3 * time.Second) // until the last keys are forgotten
	w.Metrics()                   // as a scrape would
	m := w.Memory()

	f := newFigures(b)
	f.note("keys-per-s", keys/took.Seconds())
	f.note("MiB", m.Now)
	f.atMost("MiB-peak", m.Peak, maxMemory)
	f.exactly("sent", s.sim.Ledger().Unique, keys)
	f.verdict()
}

// BenchmarkQuotaMemoryMillionKeys measures the heap of the core when 1,000,000 keys have come and gone, 100 in a second, each with
// one call and the published windows: 30,000 of them are remembered at a time. What is left is Go's maps, which keep the size
// that they once had: it depends on the most keys at a time, and not on how many there were.
func BenchmarkQuotaMemoryMillionKeys(b *testing.B) {
	const keys, remembered, each = 1_000_000, 30_000, 10 * time.Millisecond
	p := plan.New(plan.Config{
		Limits: plan.Limits{
			Windows: []plan.Window{{Max: 7, Per: 15 * time.Second}, {Max: 50, Per: 300 * time.Second}}, MaxInFlight: 4, Reserve: 0.1,
		},
		MaxInFlight: 256, MaxAttempts: 8, Retry: dispatcher.Retries(time.Second, time.Minute), Probe: dispatcher.Probes(),
	})
	before := heap()
	now := time.Now()
	var most float64
	for n := range keys {
		now = now.Add(each)
		p.Lease(now.Add(time.Second))
		p.Add(now, &plan.Job{
			Key: plan.Key{Sender: fmt.Sprintf("player-%d", n), TitleID: benchTitle}, Recipients: []queue.XUID{firstPlayer + queue.XUID(n)},
		})
		for _, c := range p.Next(now).Calls {
			p.Answer(now, c, nil)
		}
		if step := p.Next(now); len(step.Ended) != 1 {
			b.Fatalf("key %d: %d jobs ended", n, len(step.Ended))
		}
		p.Changed(now)
		if n%(keys/10) == keys/20 {
			most = max(most, heap()-before)
		}
	}
	for next := now; !next.IsZero(); { // until nothing has to be remembered any more
		next = p.Next(next).Wake
	}
	left := heap() - before
	runtime.KeepAlive(p)

	f := newFigures(b)
	f.atMost("MiB-peak", most, maxMemory)
	f.note("bytes-per-remembered-key", most*(1<<20)/remembered)
	f.atMost("MiB-left", left, 8)
	f.verdict()
}

// heap is what is live on this process's heap, in MiB.
func heap() float64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return float64(m.HeapAlloc) / (1 << 20)
}
