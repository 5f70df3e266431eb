package queue

import (
	"context"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// intake holds what was fetched and not handed over yet. It never makes the
// fetching side wait, because a client that does not go on asking loses its pin
// and its leases; MaxAckPending bounds what can be in it.
type intake struct {
	mu      sync.Mutex
	waiting []waitingMsg
	closed  bool
	arrived chan struct{} // holds one token while something may be waiting
}

type waitingMsg struct {
	msg   jetstream.Msg
	lease time.Time // since when
}

func newIntake() *intake { return &intake{arrived: make(chan struct{}, 1)} }

// put reports false once the intake is closed.
func (in *intake) put(m jetstream.Msg) bool {
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.closed {
		return false
	}
	in.waiting = append(in.waiting, waitingMsg{m, time.Now()})
	select {
	case in.arrived <- struct{}{}:
	default:
	}
	return true
}

// take waits for the next message. It reports false when ctx has ended, even if
// there are more.
func (in *intake) take(ctx context.Context) (jetstream.Msg, bool) {
	for ctx.Err() == nil {
		if m, ok := in.pop(); ok {
			return m, true
		}
		select {
		case <-in.arrived:
		case <-ctx.Done():
		}
	}
	return nil, false
}

func (in *intake) pop() (jetstream.Msg, bool) {
	in.mu.Lock()
	defer in.mu.Unlock()
	if len(in.waiting) == 0 {
		return nil, false
	}
	m := in.waiting[0].msg
	in.waiting[0] = waitingMsg{}
	in.waiting = in.waiting[1:]
	return m, true
}

// extend renews leases that are older than age. One that can't be renewed runs
// out, and its message comes again.
func (in *intake) extend(age time.Duration) {
	in.mu.Lock()
	defer in.mu.Unlock()
	now := time.Now()
	for i := range in.waiting {
		if w := &in.waiting[i]; now.Sub(w.lease) >= age && w.msg.InProgress() == nil {
			w.lease = now
		}
	}
}

// close gives everything back, and lets put refuse from now on.
func (in *intake) close() {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.closed = true
	for _, w := range in.waiting {
		_ = w.msg.Nak() // else its lease runs out
	}
	in.waiting = nil
}
