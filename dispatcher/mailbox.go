package dispatcher

import "sync"

// mailbox takes reports for the loop without ever making the reporter wait: a
// reporter that waited for the loop, while the loop waits for room in the
// store, would stop both for good. What is in it is bounded by the jobs held.
type mailbox[T any] struct {
	arrived chan struct{} // holds one token while there may be mail
	mu      sync.Mutex
	mail    []T
}

func newMailbox[T any]() *mailbox[T] { return &mailbox[T]{arrived: make(chan struct{}, 1)} }

func (b *mailbox[T]) put(x T) {
	b.mu.Lock()
	b.mail = append(b.mail, x)
	b.mu.Unlock()
	select {
	case b.arrived <- struct{}{}:
	default:
	}
}

// take empties the mailbox into buf, whose space it reuses.
func (b *mailbox[T]) take(buf []T) []T {
	b.mu.Lock()
	defer b.mu.Unlock()
	mail := b.mail
	b.mail = buf[:0]
	return mail
}
