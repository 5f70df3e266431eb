package queue

import (
	"context"
	"time"
)

// Worker is what a queue hands jobs to. Its methods are called by several
// goroutines at once, for different partitions.
type Worker interface {
	// Own says that from now on this worker alone sends for the keys of a
	// partition, and what earlier owners knew of them. It comes before the
	// partition's first delivery.
	Own(partition int, keys []KeyState)
	// Deliver hands over a job of a partition that is owned. It may block,
	// which is the backpressure; leases of what waits behind it are kept.
	Deliver(d *Delivery)
	// Waits says that nothing of a sender and title can be sent for now: its quota is used up, say, or it is blocked. More of its
	// jobs are set aside then, where others would have to wait behind them. It must be cheap. A wrong answer costs time alone.
	Waits(key Address) bool
	// Withdraw takes a campaign's jobs away: nothing more of them is sent, what is
	// in a call is still to be settled, and the rest is given back. It comes when
	// what is wanted of the campaign has changed; jobs of it may be delivered again after.
	Withdraw(campaign Address)
	// Disown takes a partition away. No delivery of it comes any more. In order,
	// it returns once no call for its keys is under way, how they ended is
	// stored, what is known of the keys too, and all else is given back. Where
	// the partition is lost it may be another worker's already: nothing more of
	// it may be sent, nothing is given back, and it returns at once; what is in
	// a call is still to be settled.
	// It reports false where something of that could not be done: then the next
	// owner takes what it gets for what may have been sent.
	Disown(ctx context.Context, partition int, lost bool) (clean bool)
}

// DeliverFunc is a Worker that knows nothing of keys and quotas. Its Disown does
// not wait: it is for a function that is done with a job when it returns.
type DeliverFunc func(*Delivery)

// Own implements Worker.
func (DeliverFunc) Own(int, []KeyState) {}

// Deliver implements Worker.
func (f DeliverFunc) Deliver(d *Delivery) { f(d) }

// Waits implements Worker.
func (DeliverFunc) Waits(Address) bool { return false }

// Withdraw implements Worker.
func (DeliverFunc) Withdraw(Address) {}

// Disown implements Worker.
func (DeliverFunc) Disown(context.Context, int, bool) bool { return true }

// Lease is until when this worker may send: it is to be asked right before each
// call. A time that has passed means not now: NATS did not answer lately, and
// other workers may take over.
func (q *Queue) Lease() time.Time {
	m := q.members.Load()
	if m == nil {
		return time.Time{} // Consume has not begun
	}
	return m.lease()
}
