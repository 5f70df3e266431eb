package dispatcher

import (
	"sync"

	"github.com/invitedhq/invited/dispatcher/plan"
	"github.com/invitedhq/invited/queue"
)

// waiting are the keys that can't send for now. The loop writes it, the queue's goroutines read it.
type waiting struct {
	mu   sync.RWMutex
	keys map[plan.Key]struct{}
}

func (w *waiting) set(k plan.Key, waits bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case !waits:
		delete(w.keys, k)
	case w.keys == nil:
		w.keys = map[plan.Key]struct{}{k: {}}
	default:
		w.keys[k] = struct{}{}
	}
}

// Waits implements queue.Worker.
func (d *Dispatcher) Waits(a queue.Address) bool {
	w := &d.waiting
	w.mu.RLock()
	defer w.mu.RUnlock()
	_, waits := w.keys[plan.Key{Sender: a.Sender, TitleID: a.TitleID}]
	return waits
}
