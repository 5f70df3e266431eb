package dispatcher

import "context"

// outbox hands endings and progress to the store, in order, from a goroutine
// of its own. The store makes its caller wait while too much is on its way, as
// when NATS does not answer; the loop must go on even then, or nothing could
// stop it. What waits here is bounded by the jobs held.
type outbox struct {
	letters *mailbox[func(context.Context)]
	done    chan struct{}
}

func newOutbox() *outbox {
	return &outbox{letters: newMailbox[func(context.Context)](), done: make(chan struct{})}
}

// run delivers until stop is closed. ctx is what the store gets: once it has
// ended, the store makes nobody wait.
func (o *outbox) run(ctx context.Context, stop <-chan struct{}) {
	defer close(o.done)
	var letters []func(context.Context)
	for {
		select {
		case <-o.letters.arrived:
		case <-stop:
			return
		}
		letters = o.letters.take(letters)
		for i, deliver := range letters {
			deliver(ctx)
			letters[i] = nil
		}
	}
}
