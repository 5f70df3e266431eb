package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/invitedhq/invited/cmd/internal/harness"
	"github.com/invitedhq/invited/queue"
	"github.com/invitedhq/invited/queue/bareloop"
)

const (
	speedRounds = 3
	// connections is how many calls the loops make at once, each on a connection of its own.
	connections = 64
	// speedSenders share the jobs: each may have four calls at once.
	speedSenders = 256
)

// BenchmarkSpeed compares, in turns and in one run, what one machine gets through: the service, NATS and who sends are all on it.
//
//   - plain: a net/http loop that makes calls of 16, and knows of no queue;
//   - bare: a nats.go loop that takes jobs of 16 from a work queue, makes a call of each and acknowledges it;
//   - telling: the same, with a result stored for each, as whoever follows their jobs needs it;
//   - worker: invited as it is, with its promises kept, a quota of no windows, jobs of 16 waiting;
//   - bare acks: the bare loop with jobs of one recipient, which makes no call at all;
//   - telling acks: the same, with a result stored for each;
//   - singles: invited with jobs of one recipient, of which 16 share a call.
//
// Rates are those between a tenth and nine tenths of the work. What NATS itself takes for each is told beside.
func BenchmarkSpeed(b *testing.B) {
	const calls, singles = 40_000, 160_000
	s := newStage(b)
	nothing := func([]byte) error { return nil }
	contenders := []struct {
		name string
		run  func() lap
	}{
		{"plain", func() lap { return s.plainLoop(calls) }},
		{"bare", func() lap { return s.bareLoop(calls, 16, false, s.newPoster().post) }},
		{"telling", func() lap { return s.bareLoop(calls, 16, true, s.newPoster().post) }},
		{"worker", func() lap { return s.serve(harness.WorkerOptions{}, calls, 16) }},
		{"bare-acks", func() lap { return s.bareLoop(singles, 1, false, nothing) }},
		{"telling-acks", func() lap { return s.bareLoop(singles, 1, true, nothing) }},
		{"singles", func() lap { return s.serve(harness.WorkerOptions{}, singles, 1) }},
	}
	laps := make(map[string][]lap)
	for range speedRounds {
		for _, c := range contenders {
			l := c.run()
			laps[c.name] = append(laps[c.name], l)
			b.Logf("%-12s %v", c.name, l)
		}
	}
	f := newFigures(b)
	of := func(name string) lap { return median(laps[name]) }
	for _, c := range contenders {
		l := of(c.name)
		f.note(c.name+"/s", l.rate)
		f.note(c.name+"-µs", l.cpu)
		f.note(c.name+"-nats-µs", l.nats)
		f.note(c.name+"-MiB-peak", l.peak)
	}
	f.note("worker-of-telling", of("worker").rate/of("telling").rate)
	f.note("singles-of-telling-acks", of("singles").rate/of("telling-acks").rate)
	f.atLeast("worker-of-plain", of("worker").rate/of("plain").rate, 0.60)
	f.atLeast("worker-of-bare", of("worker").rate/of("bare").rate, 0.95)
	f.atMost("worker-cpu-of-plain", of("worker").cpu/of("plain").cpu, 1.5)
	f.atLeast("singles-of-acks", of("singles").rate/of("bare-acks").rate, 0.8)
	f.atMost("MiB-peak", max(of("worker").peak, of("singles").peak), 120)
	f.verdict()
}

// BenchmarkSpeedDurable is the worker of BenchmarkSpeed where NATS syncs each stored message to the disk before it answers, as the embedded
// server does, and where three servers store it.
func BenchmarkSpeedDurable(b *testing.B) {
	f := newFigures(b)
	b.Run("sync-always", func(b *testing.B) {
		config := filepath.Join(b.TempDir(), "nats.conf")
		text := "jetstream: {store_dir: $NATS_STORE_DIR, sync_interval: always}"
		if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
			b.Fatal(err)
		}
		l := newStageOn(b, programs.NATSWith(b, config)).serve(harness.WorkerOptions{}, 20_000, 16)
		f.note("sync-always-calls/s", l.rate)
		b.Log(l)
	})
	b.Run("three-replicas", func(b *testing.B) {
		l := newStageOn(b, programs.Cluster(b)).serve(harness.WorkerOptions{Replicas: 3}, 20_000, 16)
		f.note("three-replicas-calls/s", l.rate)
		b.Log(l)
	})
}

// quiet is the configuration of workers that are measured.
const quiet = "log: {level: warn}"

// lap is one contender's part of a round.
type lap struct {
	rate float64 // of calls, or of jobs where those share calls, per second
	cpu  float64 // microseconds of the sender's own for each of those
	nats float64 // and of the NATS server's, of the first if there are several
	peak float64 // the sender's memory, in MiB; 0: not asked
}

func (l lap) String() string {
	return fmt.Sprintf("%6.0f/s %6.1f µs, NATS %6.1f µs %4.0f MiB", l.rate, l.cpu, l.nats, l.peak)
}

// median is the lap with the median rate.
func median(laps []lap) lap {
	sorted := slices.SortedFunc(slices.Values(laps), func(a, b lap) int { return int(a.rate - b.rate) })
	return sorted[len(sorted)/2]
}

// lap measures between a tenth and nine tenths of the work. Work of which no two looks see different parts has no pace.
func (s *stage) lap(work int, done func() int, cpu func() time.Duration) lap {
	s.b.Helper()
	look := time.NewTicker(50 * time.Millisecond)
	defer look.Stop()
	type mark struct {
		n         int
		at        time.Time
		own, nats time.Duration
	}
	pass := func(from int) mark {
		for range look.C {
			if n := done(); n >= from {
				return mark{n, time.Now(), cpu(), s.nats.Servers[0].CPU()}
			}
			if s.ctx.Err() != nil {
				s.b.Fatalf("%d of %d are done, and the time is over", done(), work)
			}
		}
		return mark{}
	}
	first, last := pass(work/10), pass(work*9/10)
	if last.n == first.n {
		return lap{}
	}
	n := float64(last.n - first.n)
	each := func(d time.Duration) float64 { return float64(d.Microseconds()) / n }
	return lap{rate: n / last.at.Sub(first.at).Seconds(), cpu: each(last.own - first.own), nats: each(last.nats - first.nats)}
}

// ownCPU is the processor time of this process.
func ownCPU() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u) // it can't fail for oneself
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// poster makes calls as the API's documentation shows them.
type poster struct {
	ctx    context.Context
	client *http.Client
	api    string
}

func (s *stage) newPoster() *poster { return s.posterTo(s.sim.URL) }

func (s *stage) posterTo(api string) *poster {
	transport := &http.Transport{MaxIdleConnsPerHost: connections}
	s.b.Cleanup(transport.CloseIdleConnections)
	return &poster{s.ctx, &http.Client{Transport: transport}, api}
}

func (p *poster) post(body []byte) error {
	r, err := http.NewRequestWithContext(p.ctx, http.MethodPost, p.api+"/titles/"+strconv.Itoa(benchTitle)+"/invites", bytes.NewReader(body))
	if err != nil {
		return err
	}
	r.Header.Set("Authorization", harness.Token)
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("x-xbl-contract-version", "1")
	resp, err := p.client.Do(r)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		return err
	}
	if resp.StatusCode != http.StatusNoContent {
		return fmt.Errorf("the simulator answers %d", resp.StatusCode)
	}
	return nil
}

// bodies makes bodies for n new players each. It is for one goroutine.
func (s *stage) bodies(n int) func() []byte {
	return func() []byte {
		body, err := s.job(n).Encode()
		s.must(err)
		return body
	}
}

func (s *stage) plainLoop(calls int) lap {
	s.b.Helper()
	post, body := s.newPoster().post, s.bodies(16)
	var making sync.Mutex
	var left, done atomic.Int64
	left.Store(int64(calls))
	var posting sync.WaitGroup
	for range connections {
		posting.Go(func() {
			for left.Add(-1) >= 0 {
				making.Lock()
				b := body()
				making.Unlock()
				if err := post(b); err != nil {
					s.b.Error(err)
					return
				}
				done.Add(1)
			}
		})
	}
	defer posting.Wait()
	return s.lap(calls, func() int { return int(done.Load()) }, ownCPU)
}

func (s *stage) bareQueue() *bareloop.Loop {
	s.b.Helper()
	loop, err := bareloop.New(s.ctx, s.conn)
	s.must(err)
	return loop
}

// run runs a bare loop until stop is called.
func (s *stage) run(loop *bareloop.Loop, handle func([]byte) error) (stop func()) {
	ctx, cancel := context.WithCancel(s.ctx)
	ended := make(chan error, 1)
	go func() { ended <- loop.Run(ctx, connections, handle) }()
	return func() {
		cancel()
		s.must(<-ended)
	}
}

func (s *stage) bareLoop(jobs, recipients int, telling bool, handle func([]byte) error) lap {
	s.b.Helper()
	loop := s.bareQueue()
	loop.Telling = telling
	s.must(loop.Fill(s.ctx, jobs, s.bodies(recipients)))
	var done atomic.Int64
	defer s.run(loop, func(body []byte) error {
		if err := handle(body); err != nil {
			return err
		}
		done.Add(1)
		return nil
	})()
	return s.lap(jobs, func() int { return int(done.Load()) }, ownCPU)
}

// serve has a worker send jobs that wait when it starts.
func (s *stage) serve(o harness.WorkerOptions, jobs, recipients int) lap {
	s.b.Helper()
	o.Quota, o.Config = harness.NoQuota, quiet
	w := s.worker(o) // creates the streams
	w.Stop()
	s.backlog(jobs, recipients)
	return s.sending(w, jobs, recipients)
}

// backlog publishes jobs of all senders in turn.
func (s *stage) backlog(jobs, recipients int) {
	s.b.Helper()
	for i := range jobs {
		s.publish(queue.Address{TitleID: benchTitle, Sender: "sender-" + strconv.Itoa(i%speedSenders)}, recipients)
	}
	s.stored()
}

// sending measures a worker, from its start until all jobs that wait have ended.
func (s *stage) sending(w *harness.Worker, jobs, recipients int) lap {
	s.b.Helper()
	began := s.sim.Ledger().Recipients
	w.Start()
	defer w.Stop()
	w.AwaitReady()
	sent := func() int { return (s.sim.Ledger().Recipients - began) / recipients }
	l := s.lap(jobs, sent, w.CPU)
	harness.Until(s.b, time.Minute, "all jobs have ended", func() bool {
		return w.Metrics().Sum("invited_jobs_total", `outcome="sent"`) == float64(jobs)
	})
	l.peak = w.Memory().Peak
	return l
}
