package main

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/invitedhq/invited/cmd/internal/harness"
	"github.com/invitedhq/invited/queue"
)

// The benchmarks of this package measure whole processes, under load that is bounded in time. Each of them does its work once,
// whatever b.N is: run them with -benchtime 1x. docs/benchmarks.md has the commands, the bounds and what was measured.

// benchTitle is the title of all jobs, unless a benchmark needs several.
const benchTitle = 730

// benchTime bounds each benchmark.
const benchTime = 6 * time.Minute

// figures are what a benchmark measured. All are reported; where a bound is missed the benchmark fails, and says all of them.
type figures struct {
	b      *testing.B
	all    []string
	missed []string
}

func newFigures(b *testing.B) *figures {
	b.ReportMetric(0, "ns/op") // the time of the whole benchmark says nothing
	return &figures{b: b}
}

// note reports a figure that has no bound.
func (f *figures) note(unit string, value float64) {
	f.b.ReportMetric(value, unit)
	f.all = append(f.all, fmt.Sprintf("%.5g %s", value, unit))
}

func (f *figures) atLeast(unit string, value, bound float64) {
	f.note(unit, value)
	f.check(unit, value, value >= bound, "at least", bound)
}

func (f *figures) atMost(unit string, value, bound float64) {
	f.note(unit, value)
	f.check(unit, value, value <= bound, "at most", bound)
}

func (f *figures) exactly(unit string, value, bound int) {
	f.note(unit, float64(value))
	f.check(unit, float64(value), value == bound, "exactly", float64(bound))
}

func (f *figures) check(unit string, value float64, ok bool, how string, bound float64) {
	if !ok {
		f.missed = append(f.missed, fmt.Sprintf("%s is %.5g; it has to be %s %.5g", unit, value, how, bound))
	}
}

// verdict fails the benchmark if a bound was missed.
func (f *figures) verdict() {
	f.b.Helper()
	if f.missed != nil {
		f.b.Fatalf("%s\nmeasured: %s", strings.Join(f.missed, "\n"), strings.Join(f.all, ", "))
	}
}

// stage is what a benchmark plays on: NATS and the simulator, each in a process, and this process as producer and observer.
type stage struct {
	b         *testing.B
	ctx       context.Context // ends with the benchmark, or after benchTime
	nats      *harness.NATS
	sim       *harness.Sim
	conn      *nats.Conn
	publisher *queue.Publisher
	reader    *queue.Reader
	futures   []*queue.Future
	players   queue.XUID // that jobs were published for
}

func newStage(b *testing.B, simFlags ...string) *stage {
	b.Helper()
	return newStageOn(b, programs.NATS(b), simFlags...)
}

func newStageOn(b *testing.B, n *harness.NATS, simFlags ...string) *stage {
	b.Helper()
	s := &stage{b: b, nats: n, sim: programs.Sim(b, simFlags...)}
	ctx, cancel := context.WithTimeout(b.Context(), benchTime)
	b.Cleanup(cancel)
	s.ctx = ctx
	s.conn = s.nats.Connect(b)
	var err error
	s.publisher, err = queue.NewPublisher(s.conn)
	s.must(err)
	s.reader, err = queue.NewReader(s.conn)
	s.must(err)
	return s
}

func (s *stage) must(err error) {
	s.b.Helper()
	if err != nil {
		s.b.Fatal(err)
	}
}

// worker starts a worker on the stage.
func (s *stage) worker(o harness.WorkerOptions) *harness.Worker {
	s.b.Helper()
	o.NATS = s.nats.URL()
	if o.API == "" {
		o.API = s.sim.URL
	}
	return programs.Worker(s.b, o)
}

// watch hears of all jobs that end from now on, until the benchmark ends.
func (s *stage) watch() *watch {
	s.b.Helper()
	from, err := s.reader.WatchResults(s.ctx)
	s.must(err)
	w := &watch{s: s, arrived: make(chan ended, 1<<16)}
	done := make(chan struct{})
	go func() {
		defer close(done)
		w.listen(from)
	}()
	s.b.Cleanup(func() { from.Stop(); <-done })
	return w
}

type watch struct {
	s       *stage
	arrived chan ended
	err     error // why no more come; to be read once arrived is closed
}

// ended is a job that ended, and when this process heard of it.
type ended struct {
	queue.Result
	at time.Time
}

// listen notes when results come. One that is stored twice counts once.
func (w *watch) listen(from *queue.Watch) {
	defer close(w.arrived)
	seen := make(map[string]struct{})
	for {
		r, err := from.Next(w.s.ctx)
		if err != nil {
			w.err = err
			return
		}
		if _, again := seen[r.Job]; again {
			continue
		}
		seen[r.Job] = struct{}{}
		w.arrived <- ended{r, time.Now()}
	}
}

// next waits for the next job that ended.
func (w *watch) next() ended {
	w.s.b.Helper()
	r, ok := <-w.arrived
	if !ok {
		w.s.b.Fatalf("there are no more results: %v", w.err)
	}
	return r
}

// gather waits for n jobs to end, for so long at the most, and returns those that did.
func (w *watch) gather(n int, limit time.Duration) (all []ended) {
	late := time.After(limit)
	for len(all) < n {
		select {
		case r, ok := <-w.arrived:
			if !ok {
				return all
			}
			all = append(all, r)
		case <-late:
			return all
		}
	}
	return all
}

// publish sends a job for n new players on its way: see stored.
func (s *stage) publish(to queue.Address, n int) {
	s.b.Helper()
	f, err := s.publisher.PublishAsync(s.ctx, to, s.job(n))
	s.must(err)
	s.futures = append(s.futures, f)
}

// stored waits until all that was published is stored.
func (s *stage) stored() {
	s.b.Helper()
	for _, f := range s.futures {
		_, err := f.Wait(s.ctx)
		s.must(err)
	}
	s.futures = nil
}

// job is a job for n players who have got none before.
func (s *stage) job(n int) queue.Job {
	j := queue.Job{ConnectionString: "lobby", InvitedUsers: make([]queue.XUID, n)}
	for i := range j.InvitedUsers {
		s.players++
		j.InvitedUsers[i] = firstPlayer + s.players
	}
	return j
}

// firstPlayer is where XUIDs begin.
const firstPlayer queue.XUID = 2533274790000000

// senders are n names.
func senders(n int) []string {
	names := make([]string, n)
	for i := range names {
		names[i] = fmt.Sprintf("sender-%d", i)
	}
	return names
}

// noise measures how late timers of this process are, which nobody is to blame for but the machine, whose cores others want
// too. What it returns ends it, and says how late the latest was: no process on this machine can be held to less.
func (s *stage) noise() (end func() time.Duration) {
	var worst time.Duration
	stop, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		tick := time.NewTicker(time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case at := <-tick.C:
				worst = max(worst, time.Since(at))
			case <-stop:
				return
			}
		}
	}()
	end = sync.OnceValue(func() time.Duration {
		close(stop)
		<-done
		return worst
	})
	s.b.Cleanup(func() { end() })
	return end
}

// ms is how figures name times.
func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
