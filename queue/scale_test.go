package queue_test

import (
	"context"
	"encoding/json"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"github.com/invitedhq/invited/queue"
)

// The benchmarks of this file measure the queue on three NATS servers, for
// docs/scaling.md. One iteration each is a measurement:
//
//	go test ./queue -run '^$' -bench . -benchtime 1x

// crew is idle workers on a cluster, and who has what.
type crew struct {
	b          *testing.B
	cluster    *cluster
	opts       queue.Options
	partitions int
	workers    []*idler

	mu    sync.Mutex
	alive map[string]bool
	gone  map[string]bool // what they said last may still be on its way
	owned map[int]*idler
}

// idler is a worker whose jobs take no time.
type idler struct {
	crew  *crew
	nc    *nats.Conn
	queue *queue.Queue
	stop  context.CancelFunc
	ended chan struct{}
	gone  bool
}

func newCrew(b *testing.B, c *cluster, replicas, partitions int) *crew {
	b.Helper()
	cr := &crew{
		b: b, cluster: c, partitions: partitions, alive: make(map[string]bool), gone: make(map[string]bool), owned: make(map[int]*idler),
		opts: queue.Options{Replicas: replicas, Partitions: partitions, Logger: discard()},
	}
	nc := c.connect()
	js, err := jetstream.New(nc)
	require.NoError(b, err)
	b.Cleanup(func() {
		for name := range js.StreamNames(b.Context()).Name() {
			_ = js.DeleteStream(context.WithoutCancel(b.Context()), name)
		}
	})
	_, err = nc.Subscribe("invites.workers.alive.*", cr.heard)
	require.NoError(b, err)
	require.NoError(b, nc.Flush())
	return cr
}

func (cr *crew) heard(m *nats.Msg) {
	var r struct {
		Left, Leaving bool
	}
	if json.Unmarshal(m.Data, &r) != nil {
		return
	}
	last := m.Subject[strings.LastIndexByte(m.Subject, '.')+1:]
	cr.mu.Lock()
	defer cr.mu.Unlock()
	cr.alive[last] = !r.Left && !r.Leaving && !cr.gone[last]
}

// join starts workers, all at once.
func (cr *crew) join(n int) {
	cr.b.Helper()
	var opening sync.WaitGroup
	for range n {
		w := &idler{crew: cr, nc: cr.cluster.connect(), ended: make(chan struct{})}
		cr.workers = append(cr.workers, w)
		opening.Go(func() {
			var err error
			w.queue, err = queue.Open(cr.b.Context(), w.nc, cr.opts)
			if err != nil {
				cr.b.Errorf("a worker must start: %v", err)
				return
			}
			ctx, stop := context.WithCancel(context.WithoutCancel(cr.b.Context()))
			w.stop = stop
			go func() {
				defer close(w.ended)
				_ = w.queue.Consume(ctx, w)
			}()
		})
	}
	opening.Wait()
}

func (w *idler) Own(partition int, _ []queue.KeyState) {
	w.crew.mu.Lock()
	defer w.crew.mu.Unlock()
	w.crew.owned[partition] = w
}

func (w *idler) Deliver(d *queue.Delivery) { _ = d.Ack() }

func (w *idler) Waits(queue.Address) bool { return false }

func (w *idler) Withdraw(queue.Address) {}

func (w *idler) Disown(_ context.Context, partition int, _ bool) bool {
	w.crew.mu.Lock()
	defer w.crew.mu.Unlock()
	if w.crew.owned[partition] == w {
		delete(w.crew.owned, partition)
	}
	return true
}

// leave stops a worker in order, or without a word.
func (cr *crew) leave(w *idler, crash bool) {
	if w.stop == nil { // it could not be opened
		w.nc.Close()
		return
	}
	cr.mu.Lock()
	name := w.queue.WorkerName()
	cr.alive[name], cr.gone[name] = false, true
	for n, owner := range cr.owned {
		if owner == w && crash {
			delete(cr.owned, n)
		}
	}
	cr.mu.Unlock()
	if crash {
		w.nc.Close()
	}
	w.stop()
	w.gone = true
	<-w.ended
	w.queue.Close()
}

// busiest is the worker with the most partitions.
func (cr *crew) busiest() (w *idler) {
	cr.mu.Lock()
	defer cr.mu.Unlock()
	most, counts := 0, make(map[*idler]int)
	for _, w := range cr.owned {
		counts[w]++
	}
	for worker, n := range counts {
		if n > most {
			w, most = worker, n
		}
	}
	return w
}

// unsettled is what is missing for every partition to be worked on by who should own it.
func (cr *crew) unsettled() string {
	cr.mu.Lock()
	defer cr.mu.Unlock()
	names := make([]string, 0, len(cr.alive))
	for name, alive := range cr.alive {
		if alive {
			names = append(names, name)
		}
	}
	living, idle, elsewhere := 0, 0, 0
	for _, w := range cr.workers {
		if !w.gone {
			living++
		}
	}
	for n := range cr.partitions {
		switch {
		case cr.owned[n] == nil:
			idle++
		case cr.owned[n].queue.WorkerName() != queue.Preferred(n, names):
			elsewhere++
		}
	}
	if len(names) == living && idle == 0 && elsewhere == 0 {
		return ""
	}
	return fmt.Sprintf("%d of %d workers are heard of; of %d partitions %d are nobody's, %d not who should own them",
		len(names), living, cr.partitions, idle, elsewhere)
}

// settles waits until nothing is missing, and says how long it took since.
func (cr *crew) settles(since time.Time) time.Duration {
	cr.b.Helper()
	look := time.NewTicker(20 * time.Millisecond)
	defer look.Stop()
	late := time.After(2 * time.Minute)
	for missing := cr.unsettled(); missing != ""; missing = cr.unsettled() {
		select {
		case <-look.C:
		case <-late:
			require.FailNow(cr.b, "not settled after two minutes", missing)
		}
	}
	return time.Since(since)
}

func (cr *crew) close() {
	var closing sync.WaitGroup
	for _, w := range cr.workers {
		if !w.gone {
			closing.Go(func() { cr.leave(w, true) })
		}
	}
	closing.Wait()
}

// BenchmarkMembership is what being there costs n idle workers, and how long
// partitions are nobody's when one comes or goes.
func BenchmarkMembership(b *testing.B) {
	for _, replicas := range []int{1, 3} {
		for _, size := range []struct{ workers, partitions int }{{1, 16}, {10, 64}, {100, 512}} {
			b.Run(fmt.Sprintf("R%d/workers=%d/partitions=%d", replicas, size.workers, size.partitions), func(b *testing.B) {
				for b.Loop() {
					membership(b, replicas, size.workers, size.partitions)
				}
			})
		}
	}
}

func membership(b *testing.B, replicas, workers, partitions int) {
	cr := newCrew(b, startCluster(b), replicas, partitions)
	defer cr.close()
	seconds := func(d time.Duration, name string) { b.ReportMetric(d.Seconds(), name) }

	began := time.Now()
	cr.join(1) // it creates the streams
	cr.settles(began)
	began = time.Now()
	cr.join(workers - 1)
	seconds(cr.settles(began), "start-s")

	<-time.After(2 * time.Second) // what the start left behind
	const measured = 5 * time.Second
	servers, own := cr.cluster.usage(), cpu()
	<-time.After(measured)
	now, took := cr.cluster.usage(), cpu()-own
	per := func(n float64, name string) { b.ReportMetric(n/measured.Seconds(), name) }
	per(float64(now.Received-servers.Received), "published/s")
	per(float64(now.Delivered-servers.Delivered), "delivered/s")
	per(1000*(now.CPU-servers.CPU).Seconds(), "servers-ms/s")
	per(1000*took.Seconds()/float64(workers), "worker-ms/s")
	b.ReportMetric(float64(now.Heap)/1e6, "servers-MB")

	began = time.Now()
	cr.join(1)
	seconds(cr.settles(began), "join-s")
	w := cr.busiest()
	began = time.Now()
	cr.leave(w, false)
	seconds(cr.settles(began), "leave-s")
	cr.join(1)
	cr.settles(began)
	w = cr.busiest()
	began = time.Now()
	cr.leave(w, true)
	seconds(cr.settles(began), "crash-s")
	b.ReportMetric(0, "ns/op")
	runtime.KeepAlive(cr)
}
