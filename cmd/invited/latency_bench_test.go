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
// answered 204. The API is this process, which knows when that is, and takes no time of its own. All else is on the same machine,
// whose own timers are as late as noise-ms says.
func BenchmarkSpeedIdle(b *testing.B) {
	const players, every = 1_000, 10 * time.Millisecond
	answered := make(chan time.Time, 1)
	api := serveAPI(b, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.WriteHeader(http.StatusNoContent)
		answered <- time.Now()
	})
	s := newStage(b)
	w := s.worker(harness.WorkerOptions{Quota: harness.NoQuota, Config: quiet, API: api})
	party := queue.Address{TitleID: benchTitle, Sender: "party"}
	wait := func() time.Duration {
		began := time.Now()
		_, err := s.publisher.Publish(s.ctx, party, s.job(4))
		s.must(err)
		return (<-answered).Sub(began)
	}
	for range 100 { // connections are made, and the worker has all its code in memory
		wait()
	}
	noise := s.noise()
	next := time.NewTicker(every)
	defer next.Stop()
	var waits []time.Duration
	for range players {
		<-next.C
		waits = append(waits, wait())
	}
	slices.Sort(waits)

	f := newFigures(b)
	f.note("noise-ms", ms(noise()))
	f.atMost("p50-ms", ms(waits[players/2]), 0.5)
	f.atMost("p99-ms", ms(waits[players*99/100]), 2)
	f.note("worst-ms", ms(waits[players-1]))
	f.note("MiB-idle", w.Memory().Now)
	f.verdict()
}

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
