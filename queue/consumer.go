package queue

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/cenkalti/backoff/v4"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// Consume takes part in the work until ctx ends, and returns nil then. Its only
// error is that the connection was closed for good; lost connections, consumers
// and servers are its own business. Call it once at a time.
//
// Each partition, with the campaigns of its keys, is one worker's at a time. Who
// should have it follows from who is there, by rendezvous hashing: a worker that
// comes or goes moves as few as can be. An owner gives a partition away in
// order: it stops, waits for its calls, stores, gives back, and only then says
// so. One that is gone is missed for three seconds. A worker may send only
// while its [Queue.Lease] lasts, and nobody takes over what is its own before
// the lease has ended, so no two workers ever send for one key at the same time.
//
// When it returns, worker has been told of every partition it does not own any more.
func (q *Queue) Consume(ctx context.Context, worker Worker) error {
	statuses := q.nc.StatusChanged(nats.CLOSED)
	defer q.nc.RemoveStatusListener(statuses)
	if q.nc.IsClosed() {
		return fmt.Errorf("queue: %w", nats.ErrConnectionClosed)
	}
	stopping, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	ended := make(chan struct{})
	defer close(ended)
	go func() {
		select {
		case <-statuses:
			stop(nats.ErrConnectionClosed)
		case <-ended:
		}
	}()
	q.consume(stopping, worker)
	if err := context.Cause(stopping); errors.Is(err, nats.ErrConnectionClosed) {
		return fmt.Errorf("queue: %w", err)
	}
	return nil
}

// consume runs until ctx ends. The lease is kept until the last partition is released.
func (q *Queue) consume(ctx context.Context, worker Worker) {
	keeping, done := context.WithCancel(context.WithoutCancel(ctx))
	var around, working sync.WaitGroup
	defer around.Wait()
	defer done()

	members := newMembers(q)
	q.members.Store(members)
	campaigns := newCampaigns(q, worker)
	partitions := make([]*partition, q.partitions)
	for n := range partitions {
		partitions[n] = newPartition(n, members, worker, campaigns)
	}
	leave := takePart(ctx, members, partitions)
	if leave == nil {
		return // ctx has ended
	}
	around.Go(func() { members.run(keeping) })
	around.Go(func() { q.keepStreams(keeping) })
	around.Go(func() { q.sweepAll(keeping, members) })
	around.Go(func() { q.keepTallies(keeping, members) })
	around.Go(func() { q.keepQuota(keeping) })
	around.Go(func() { campaigns.run(keeping) })
	for _, p := range partitions {
		working.Go(func() { p.run(ctx) })
	}
	<-ctx.Done()
	members.leave(keeping)
	working.Wait()
	done() // no renewal comes after this worker has left
	around.Wait()
	leave()
}

// takePart makes this worker known, and lets it hear of others and of who owns
// what. It tries until ctx ends, and returns what undoes it.
func takePart(ctx context.Context, m *members, partitions []*partition) (leave func()) {
	b := backoff.NewExponentialBackOff(backoff.WithInitialInterval(50*time.Millisecond),
		backoff.WithMaxInterval(2*time.Second), backoff.WithMaxElapsedTime(0))
	leave, _ = backoff.RetryNotifyWithData(func() (func(), error) {
		return m.begin(ctx, partitions)
	}, backoff.WithContext(b, ctx), func(err error, _ time.Duration) {
		m.q.trouble.warn(m.q.log, "this worker can't take part yet; it is tried again", "error", err)
	})
	return leave
}

// keepStreamsEvery is how long a deleted stream is missed.
const keepStreamsEvery = 10 * time.Second

// keepStreams creates streams again that somebody deleted, so that how jobs
// end can be stored, and new ones published, without a restart.
func (q *Queue) keepStreams(ctx context.Context) {
	for wait(ctx, keepStreamsEvery); ctx.Err() == nil; wait(ctx, keepStreamsEvery) {
		if q.nc.Status() != nats.CONNECTED {
			continue
		}
		for _, want := range q.wanted {
			asking, cancel := context.WithTimeout(ctx, apiTimeout)
			_, err := q.js.Stream(asking, want.Name)
			if errors.Is(err, jetstream.ErrStreamNotFound) {
				q.log.Error("a stream was deleted; it is created again, without what was in it", "stream", want.Name)
				_, err = q.js.CreateStream(asking, want)
				signal(q.quotaSet) // it may have been in it
			}
			if err != nil && ctx.Err() == nil {
				q.trouble.warn(q.log, "a stream can't be looked at", "stream", want.Name, "error", err)
			}
			cancel()
		}
	}
}

// sweepAll sweeps now and then. One worker does it for all: the one that should
// own the first partition.
func (q *Queue) sweepAll(ctx context.Context, m *members) {
	for wait(ctx, sweepEvery); ctx.Err() == nil; wait(ctx, sweepEvery) {
		if !m.wants(0) {
			continue
		}
		sweeping, cancel := context.WithTimeout(ctx, sweepEvery)
		if err := q.sweep(sweeping); err != nil && ctx.Err() == nil {
			q.log.Debug("records of progress could not be swept", "error", err)
		}
		if err := q.forgetCampaigns(sweeping); err != nil && ctx.Err() == nil {
			q.trouble.warn(q.log, "records of campaigns that ended long ago can't be removed; it is tried again", "error", err)
		}
		cancel()
	}
}
