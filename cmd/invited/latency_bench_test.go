package main

import (
	"io"
	"net"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/invitedhq/invited/cmd/internal/harness"
	"github.com/invitedhq/invited/queue"
)

// BenchmarkSpeedIdle measures how long a player waits where nobody else does: from before a job is published to when the API has
// answered 204. The API is this process, which knows when that is. Beside the worker, in turns, are who calls the API without any
// queue, and a bare nats.go loop: each wakes processes that sleep, which takes the machine longer than what they then do.
func BenchmarkSpeedIdle(b *testing.B) {
	const players, every = 1_000, 10 * time.Millisecond
	answered := make(chan time.Time, 1)
	s := newStage(b)
	post := s.posterTo(serveAPI(b, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.WriteHeader(http.StatusNoContent)
		answered <- time.Now()
	}))
	w := s.worker(harness.WorkerOptions{Quota: harness.NoQuota, Config: quiet, API: post.api})
	party := queue.Address{TitleID: benchTitle, Sender: "party"}
	bare := s.bareQueue()
	defer s.run(bare, post.post)()
	body := s.bodies(4)
	contenders := []*contender{
		{name: "direct", invite: func() error { return post.post(body()) }},
		{name: "bare", invite: func() error { return bare.Publish(s.ctx, body()) }},
		{name: "worker", invite: func() error { _, err := s.publisher.Publish(s.ctx, party, s.job(4)); return err }},
	}
	wait := func(c *contender) time.Duration {
		began := time.Now()
		s.must(c.invite())
		return (<-answered).Sub(began)
	}
	for range 100 { // connections are made, and all have their code in memory
		for _, c := range contenders {
			wait(c)
		}
	}
	noise := s.noise()
	next := time.NewTicker(every)
	defer next.Stop()
	for range players {
		for _, c := range contenders {
			<-next.C
			c.waits = append(c.waits, wait(c))
		}
	}

	f := newFigures(b)
	f.note("noise-ms", ms(noise()))
	for _, c := range contenders {
		slices.Sort(c.waits)
		f.note(c.name+"-p50-ms", c.wait(50))
		f.note(c.name+"-p99-ms", c.wait(99))
	}
	direct, worker := contenders[0], contenders[2]
	f.atMost("over-direct-p50-ms", worker.wait(50)-direct.wait(50), 0.5)
	f.atMost("over-direct-p99-ms", worker.wait(99)-direct.wait(99), 2)
	f.note("MiB-idle", w.Memory().Now)
	f.verdict()
}

// contender is one of those that invite players.
type contender struct {
	name   string
	invite func() error
	waits  []time.Duration // of each player; sorted, once all have been invited
}

func (c *contender) wait(percent int) float64 { return ms(c.waits[len(c.waits)*percent/100]) }

// serveAPI plays the API, until the benchmark ends.
func serveAPI(b *testing.B, answer http.HandlerFunc) (url string) {
	b.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	server := &http.Server{Handler: answer, ReadHeaderTimeout: time.Minute}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = server.Serve(l) // ends when it is closed
	}()
	b.Cleanup(func() { _ = server.Close(); <-done })
	return "http://" + l.Addr().String()
}
