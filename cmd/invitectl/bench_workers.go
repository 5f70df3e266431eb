package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/invitedhq/invited/queue"
)

var errNothingSent = errors.New("nothing was sent")

// benchWorkers puts a load on the workers of a NATS server.
func (t *tool) benchWorkers(ctx context.Context, l *load, waiting int, may func(ctx context.Context, server string) error) error {
	conn, err := t.connect()
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := may(ctx, queue.RedactURL(conn.ConnectedUrl())); err != nil {
		return err
	}
	b := &workersBench{
		load: l, prefix: "bench-" + strconv.FormatUint(rand.Uint64(), 36) + "-",
		began: time.Now(), heard: time.Now(), dead: make(counts),
		room: make(chan struct{}, waiting), receipts: make(chan receiptDue, waiting),
		reconnects: func() uint64 { return conn.Stats().Reconnects },
	}
	if b.reader, err = queue.NewReader(conn); err != nil {
		return err
	}
	if b.publisher, err = queue.NewPublisher(conn); err != nil {
		return err
	}
	results, err := b.reader.WatchResults(ctx, l.addresses...) // before the first job is published
	if err != nil {
		return err
	}
	defer results.Stop()
	stop := t.showProgress(b.progress)
	b.run(ctx, results)
	stop()
	return t.printBench(b.report())
}

// workersBench is a load on workers. What is below mu is shared by the
// goroutines that publish, wait for receipts and follow results.
type workersBench struct {
	load      *load
	prefix    string // of the jobs' ids
	publisher *queue.Publisher
	reader    *queue.Reader
	room      chan struct{} // a place for each job without a result
	receipts  chan receiptDue
	began     time.Time
	// reconnects is how often the connection was lost and is back.
	reconnects func() uint64

	mu        sync.Mutex
	jobs      []benchJob
	stored    int
	storedAt  time.Time // the last of them
	notStored int
	ended     int
	endedAt   time.Time // the last of them
	heard     time.Time // when anything was last heard
	took      []time.Duration
	why       string // it did not go to its end

	sent, dropped, maybeTwice, attempts int
	dead                                counts
}

// benchJob is one job that was published.
type benchJob struct {
	at     time.Time
	stored bool // for all that is known
	over   bool // its result is here, or it is not stored
}

// receiptDue is a receipt to come.
type receiptDue struct {
	n      int
	future *queue.Future
}

func (b *workersBench) run(ctx context.Context, results *queue.Watch) {
	publishing, stop := context.WithCancel(ctx)
	defer stop()
	var both sync.WaitGroup
	both.Go(func() { defer close(b.receipts); b.publish(publishing) })
	receiving, giveUp := context.WithCancel(context.WithoutCancel(ctx))
	defer giveUp()
	context.AfterFunc(publishing, func() { time.AfterFunc(receiptsFor, giveUp) })
	both.Go(func() { b.take(receiving, stop) })
	published := make(chan struct{})
	go func() { both.Wait(); close(published) }()
	b.follow(ctx, results, published)
	stop()
	<-published
}

// publish publishes jobs while there is room for them.
func (b *workersBench) publish(ctx context.Context) {
	for n := 0; b.load.await(ctx, n, b.began); n++ {
		select {
		case b.room <- struct{}{}:
		case <-ctx.Done():
			return
		}
		j := b.load.job
		j.ID, j.InvitedUsers = b.prefix+strconv.Itoa(n), b.load.recipients(n)
		b.mu.Lock()
		b.jobs = append(b.jobs, benchJob{at: time.Now()})
		b.mu.Unlock()
		future, err := b.publisher.PublishAsync(ctx, b.load.address(n), j)
		if err != nil {
			b.lost(n, err)
			return
		}
		b.receipts <- receiptDue{n, future}
	}
}

// take waits for the receipts. What is not stored once will not be stored the next time: it stops.
func (b *workersBench) take(ctx context.Context, stop func()) {
	for due := range b.receipts {
		_, err := due.future.Wait(ctx)
		switch {
		case err == nil:
			b.keep(due.n)
		case errors.Is(err, queue.ErrNoAnswer), errors.Is(err, queue.ErrDisconnected):
			// It may be stored: then its result says so.
		default:
			b.lost(due.n, err)
			stop()
		}
	}
}

// keep takes note of a job that is stored.
func (b *workersBench) keep(n int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.isStored(n, time.Now())
}

func (b *workersBench) isStored(n int, now time.Time) {
	if !b.jobs[n].stored {
		b.jobs[n].stored = true
		b.stored++
		b.storedAt = now
	}
}

// lost takes note of a job that is not stored, as far as is known.
func (b *workersBench) lost(n int, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.jobs[n].over { // it was stored: its result is here
		return
	}
	b.jobs[n].over = true
	b.notStored++
	if b.why == "" && !errors.Is(err, context.Canceled) {
		b.why = "stopped: a job could not be published: " + err.Error()
	}
}

// follow takes results until all that was published has ended, or nothing is heard any more.
func (b *workersBench) follow(ctx context.Context, results *queue.Watch, published <-chan struct{}) {
	missed, reconnects := false, b.reconnects() // results that came while the connection was lost, or too many at once
	for {
		r, err := b.nextOf(ctx, results)
		now := time.Now()
		switch {
		case err == nil:
			b.end(r, now, false)
		case ctx.Err() != nil:
			b.because("stopped before its end")
			return
		case !errors.Is(err, context.DeadlineExceeded):
			missed = true
			pause(ctx, followFor)
		}
		select {
		case <-published:
			if b.waiting() == 0 {
				return
			}
		default:
		}
		if err == nil {
			continue
		}
		if n := b.reconnects(); n != reconnects {
			missed, reconnects = true, n
		}
		if missed && now.Sub(b.lastHeard()) > lookAfter {
			missed = !b.lookUp(ctx)
		}
		if now.Sub(b.lastHeard()) > b.load.patience {
			b.because(fmt.Sprintf("given up: nothing has ended for %v; do workers run there, and have they a token and a quota? "+
				"invitectl status says", b.load.patience))
			return
		}
	}
}

const (
	// receiptsFor is how long receipts are waited for after the last job: of one without, nobody knows whether it is stored.
	receiptsFor = 2 * time.Second
	// followFor is how long a result is waited for before the rest is looked at.
	followFor = 100 * time.Millisecond
	// lookAfter is how long nothing is heard before results that may have been missed are looked for among the stored ones.
	lookAfter = time.Second
)

func (b *workersBench) nextOf(ctx context.Context, results *queue.Watch) (queue.Result, error) {
	ctx, cancel := context.WithTimeout(ctx, followFor)
	defer cancel()
	return results.Next(ctx)
}

// lookUp reads the results that are stored. It needs permissions that following does not.
func (b *workersBench) lookUp(ctx context.Context) (done bool) {
	a := b.load.addresses[0]
	since := queue.Filter{TitleID: &a.TitleID, Campaign: a.Campaign, Since: b.began.Add(-time.Minute)} // clocks differ
	for r, err := range b.reader.Results(ctx, since) {
		if err != nil {
			return false
		}
		b.end(r, time.Now(), true)
	}
	return true
}

// end takes note of a result: of this run, and the first of its job.
func (b *workersBench) end(r queue.Result, now time.Time, late bool) {
	number, ours := strings.CutPrefix(r.ID, b.prefix)
	n, err := strconv.Atoi(number)
	b.mu.Lock()
	defer b.mu.Unlock()
	if !ours || err != nil || n < 0 || n >= len(b.jobs) || b.jobs[n].over {
		return
	}
	b.jobs[n].over = true
	b.isStored(n, now)
	<-b.room
	b.ended++
	b.endedAt, b.heard = now, now
	if took := now.Sub(b.jobs[n].at); late { // it came at some time before now
		b.took = append(b.took, min(took, r.EndedAt.Sub(r.PublishedAt)))
	} else {
		b.took = append(b.took, took)
	}
	b.sent += r.Sent
	b.dropped += r.Cancelled
	b.attempts += r.Attempts
	if r.Dead > 0 {
		b.dead[string(r.Reason)] += r.Dead
	}
	if r.MaybeDuplicate {
		b.maybeTwice++
	}
}

// waiting is how many jobs have no result, of those that may be stored.
func (b *workersBench) waiting() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.jobs) - b.ended - b.notStored
}

func (b *workersBench) lastHeard() time.Time {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.heard
}

// because says why it ends before its end: the first reason counts.
func (b *workersBench) because(why string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.why == "" {
		b.why = why
	}
}

func (b *workersBench) progress() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	ended := ratedOf(b.ended, time.Since(b.began))
	return fmt.Sprintf("%s of %s ended, %s/s", grouped(b.ended), plural(len(b.jobs), "job"), grouped(int(ended.PerSecond)))
}

// report is for when all goroutines have ended.
func (b *workersBench) report() benchReport {
	published, ended := ratedOf(b.stored, b.since(b.storedAt)), ratedOf(b.ended, b.since(b.endedAt))
	r := benchReport{
		Load: b.load.inWords(), Why: b.why, Published: &published, Ended: &ended, NotStored: b.notStored,
		NoResult: len(b.jobs) - b.ended - b.notStored, Recipients: ratedOf(b.sent, b.since(b.endedAt)), Dead: b.dead, Dropped: b.dropped,
		MaybeTwice: b.maybeTwice, Attempts: b.attempts, Latency: latencyOf(b.took),
	}
	r.Complete = b.why == "" && b.sent == b.load.before(len(b.jobs)) && b.sent > 0
	if b.load.alone() && b.attempts > 0 {
		calls := ratedOf(b.attempts, b.since(b.endedAt))
		r.Calls, r.PerCall = &calls, float64(b.sent)/float64(b.attempts)
	}
	return r
}

func (b *workersBench) since(at time.Time) time.Duration {
	if at.IsZero() {
		return 0
	}
	return at.Sub(b.began)
}
