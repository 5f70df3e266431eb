package queue

import (
	"context"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// repeatsFound is for how long the stream of results is relied on to know a repeat by its message ID. It is well below dedupeWindow.
const repeatsFound = dedupeWindow / 2

// othersHad says whether another worker may have ended the job, and its result come when this worker had the job.
func (d *Delivery) othersHad() bool {
	return (d.MaybeSent || d.Progress != nil && d.Progress.MaybeDuplicate) && !d.claimed.IsZero()
}

// repeatOf reads where a job's result is, of those that were stored since then, where that is so long ago that the stream would store
// another: this worker's own, whose acknowledgement was lost in an outage, or that of a worker who had been cut off. 0: there is none.
func (q *Queue) repeatOf(ctx context.Context, d *Delivery, since time.Time) (sequence uint64, err error) {
	if q.clock.toServer(time.Now()).Sub(since) < repeatsFound {
		return 0, nil
	}
	select { // one by one: there may be thousands after an outage, and a stream has room for a thousand consumers
	case q.looking <- struct{}{}:
		defer func() { <-q.looking }()
	case <-ctx.Done():
		return 0, context.Cause(ctx)
	}
	since = since.Add(-time.Minute) // clocks may differ by a little
	err = readAll(ctx, q.streams[ResultsStream], jetstream.ConsumerConfig{
		FilterSubject: resultSubject(d.Address), HeadersOnly: true,
		DeliverPolicy: jetstream.DeliverByStartTimePolicy, OptStartTime: &since,
	}, func(m jetstream.Msg) error {
		meta, err := m.Metadata()
		if key, ok := settledKey(m.Headers()); err == nil && ok && key == d.key() {
			sequence = meta.Sequence.Stream
		}
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("looking for a result of job %s: %w", d.key().reference(), err)
	}
	return sequence, nil
}
