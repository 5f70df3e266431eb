package queue

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// Consume hands over deliveries until ctx ends, and returns nil then. Its only
// error is that the connection was closed for good; lost connections, consumers
// and servers are its own business.
//
// handle is called by several goroutines at once: by one for each partition and
// one for each campaign. It may block, which is the backpressure; leases of what
// waits behind it are kept. Once ctx has ended it must return, because Consume
// waits for it. A delivery handed over is the caller's; Consume gives back at
// once what was fetched and not handed over.
//
// A worker is an owner of the partitions and campaigns that it gets messages of:
// the server gives them to nobody else until the worker leaves or is not heard
// of for four seconds. That is affinity, not a lock: a worker that was cut off
// may still hold jobs that another one gets.
//
// Before the first message of a partition or campaign is handed over, the
// queue reads recent results and all progress, so that what an earlier owner
// did is not done again.
func (q *Queue) Consume(ctx context.Context, handle func(*Delivery)) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	statuses := q.nc.StatusChanged(nats.CLOSED)
	defer q.nc.RemoveStatusListener(statuses)
	if q.nc.IsClosed() {
		return fmt.Errorf("queue: %w", nats.ErrConnectionClosed)
	}

	var running sync.WaitGroup
	for n := range q.partitions {
		s := q.newSource(JobsStream, "partition-"+strconv.Itoa(n), partPrefix+strconv.Itoa(n)+".*.*", q.opts.MaxAckPending, handle)
		running.Go(func() { s.run(ctx) })
	}
	running.Go(func() { q.keepStreams(ctx) })
	campaigns := newCampaigns(q, handle)
	running.Go(func() { campaigns.run(ctx) })

	var err error
	select {
	case <-ctx.Done():
	case <-statuses:
		err = fmt.Errorf("queue: %w", nats.ErrConnectionClosed)
	}
	cancel()
	running.Wait()
	return err
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
			}
			if err != nil && ctx.Err() == nil {
				q.trouble.warn(q.log, "a stream can't be looked at", "stream", want.Name, "error", err)
			}
			cancel()
		}
	}
}
