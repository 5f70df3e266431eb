package queue

import (
	"log/slog"
	"sync/atomic"
	"time"
)

// trouble says now and then what keeps failing: an outage fails everything at once.
type trouble struct {
	warned atomic.Int64 // in Unix nanoseconds
}

func (t *trouble) warn(log *slog.Logger, what string, attrs ...any) {
	now := time.Now().UnixNano()
	last := t.warned.Load()
	if now-last < int64(warnEvery) || !t.warned.CompareAndSwap(last, now) {
		log.Debug(what, attrs...) //nolint:sloglint // the callers' words are constants
		return
	}
	log.Warn(what, attrs...) //nolint:sloglint // the callers' words are constants
}
