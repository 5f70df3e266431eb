package queue

import (
	"context"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// intake holds what was fetched and not handed over yet. It makes the fetching
// side wait only when it holds very much: a client that does not go on asking
// loses its pin, and the leases of what waits in the library are not kept.
type intake struct {
	ctx     context.Context // ends the waiting
	mu      sync.Mutex
	waiting []waitingMsg
	bytes   int
	closed  bool
	arrived chan struct{} // holds one token while something may be waiting
	taken   chan struct{} // holds one token after something was taken
}

type waitingMsg struct {
	msg   jetstream.Msg
	lease time.Time // since when
}

const (
	// intakeBytes and intakeMessages are what one consumer's intake holds before it makes the fetching side wait. Both are more than one
	// request brings: nobody keeps the leases of what waits in the library. A small message takes far more than its body.
	intakeBytes    = 4 << 20
	intakeMessages = 256
)

func newIntake(ctx context.Context) *intake {
	return &intake{ctx: ctx, arrived: make(chan struct{}, 1), taken: make(chan struct{}, 1)}
}

// put reports false once the intake is closed, or is to be.
func (in *intake) put(m jetstream.Msg) bool {
	for {
		in.mu.Lock()
		switch {
		case in.closed:
			in.mu.Unlock()
			return false
		case in.bytes < intakeBytes && len(in.waiting) < intakeMessages:
			in.waiting = append(in.waiting, waitingMsg{m, time.Now()})
			in.bytes += len(m.Data())
			in.mu.Unlock()
			signal(in.arrived)
			return true
		}
		in.mu.Unlock()
		select {
		case <-in.taken:
		case <-in.ctx.Done():
			return false
		}
	}
}

// signal puts a token into a channel that holds one.
func signal(ch chan struct{}) {
	select {
	case ch <- struct{}{}:
	default:
	}
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
	in.bytes -= len(m.Data())
	signal(in.taken)
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

// size is how many messages wait.
func (in *intake) size() int {
	in.mu.Lock()
	defer in.mu.Unlock()
	return len(in.waiting)
}
