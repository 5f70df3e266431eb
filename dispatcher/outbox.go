package dispatcher

import (
	"context"
	"sync/atomic"

	"github.com/invitedhq/invited/dispatcher/plan"
	"github.com/invitedhq/invited/queue"
)

// outbox hands endings and progress to the store, in order, from a goroutine
// of its own. The store makes its caller wait while too much is on its way, as
// when NATS does not answer; the loop must go on even then, or nothing could
// stop it. What waits here is bounded by the jobs held.
type outbox struct {
	letters *mailbox[letter]
	done    chan struct{}
}

// letter is what is to be stored: a key's state, or a job's progress or ending.
type letter struct {
	state    *plan.State
	lost     *atomic.Bool // with state: its partition is lost, and what waited here may be older than what its next owner has stored
	held     *held        // the loop's; the outbox only passes it on
	delivery *queue.Delivery
	progress *queue.Progress
	ending   queue.Ending
}

func newOutbox() *outbox {
	return &outbox{letters: newMailbox[letter](), done: make(chan struct{})}
}

// run delivers until stop is closed. ctx is what the store gets: once it has
// ended, the store makes nobody wait.
func (o *outbox) run(ctx context.Context, d *Dispatcher, stop <-chan struct{}) {
	defer close(o.done)
	var letters []letter
	for {
		select {
		case <-o.letters.arrived:
		case <-stop:
			return
		}
		letters = o.letters.take(letters)
		for i := range letters {
			d.post(ctx, &letters[i])
			letters[i] = letter{}
		}
	}
}

// post hands one letter to the store, whose answer comes back to the loop.
func (d *Dispatcher) post(ctx context.Context, x *letter) {
	h, state := x.held, x.state
	switch {
	case state != nil && x.lost.Load():
		d.stored.put(stored{state: state, err: queue.ErrLost})
	case state != nil:
		d.store.SaveKey(ctx, keyStateOf(*state), func(err error) { d.stored.put(stored{state: state, err: err}) })
	case x.progress != nil:
		d.store.SaveProgress(ctx, x.delivery, *x.progress, func(err error) { d.stored.put(stored{held: h, err: err}) })
	default:
		d.store.Settle(ctx, x.delivery, x.ending, func(err error) { d.stored.put(stored{held: h, ending: true, err: err}) })
	}
}
