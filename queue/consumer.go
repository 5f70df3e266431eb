package queue

import (
	"context"
	"fmt"
	"strconv"
	"sync"

	"github.com/nats-io/nats.go"
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
