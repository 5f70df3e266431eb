package queue

import (
	"sync"
	"time"

	"github.com/nats-io/nats.go"
)

// doubt is when acknowledgements of jobs may last have been lost: with a connection, or with a consumer's leader. NATS does not answer
// them. A job whose acknowledgement was lost comes again when its lease ends, and this worker knows that it has settled it; who has the
// partition by then does not, unless he looks.
type doubt struct {
	nc *nats.Conn

	mu         sync.Mutex
	reconnects uint64
	last       time.Time
}

// raise says that some may have been lost just now.
func (d *doubt) raise(now time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.last = now
}

// within says whether that was in the last span. A connection counts as lost when that is asked first.
func (d *doubt) within(now time.Time, span time.Duration) bool {
	reconnects := d.nc.Stats().Reconnects
	d.mu.Lock()
	defer d.mu.Unlock()
	if reconnects != d.reconnects {
		d.reconnects, d.last = reconnects, now
	}
	return !d.last.IsZero() && now.Sub(d.last) < span
}
