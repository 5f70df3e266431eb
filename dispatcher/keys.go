package dispatcher

import (
	"context"
	"fmt"
	"time"

	"github.com/invitedhq/invited/dispatcher/plan"
	"github.com/invitedhq/invited/queue"
)

// KeyMemory keeps what is known of each key's quota for the next worker, or for
// this one after a restart. *queue.Queue is one.
type KeyMemory interface {
	// SaveKeys stores what is known of keys; it returns before that is done, and then calls done.
	SaveKeys(ctx context.Context, states []queue.KeyState, done func(error))
	// LoadKeys reads what is known of all keys.
	LoadKeys(ctx context.Context) ([]queue.KeyState, error)
}

// remember loads what earlier workers knew: without it their calls would be
// made once more, and their blocks not be kept.
func (l *loop) remember(ctx context.Context) error {
	states, err := l.keys.LoadKeys(ctx)
	if err != nil {
		return fmt.Errorf("dispatcher: %w", err)
	}
	now := time.Now()
	for _, s := range states {
		l.plan.Remember(now, stateOf(s))
	}
	return nil
}

// saveKeys has what is new about keys stored. A second of it is lost with a
// worker that is killed.
func (l *loop) saveKeys(now time.Time) {
	changed := l.plan.Changed(now)
	if len(changed) == 0 {
		return
	}
	states := make([]queue.KeyState, len(changed))
	for i, s := range changed {
		states[i] = keyStateOf(s)
	}
	l.storing++
	l.outbox.letters.put(func(ctx context.Context) {
		l.keys.SaveKeys(ctx, states, func(err error) { l.Dispatcher.stored.put(stored{err: err}) })
	})
}

func keyStateOf(s plan.State) queue.KeyState {
	k := queue.KeyState{TitleID: s.Key.TitleID, Sender: s.Key.Sender, Calls: s.Calls, BlockedUntil: s.Blocked}
	for _, w := range s.Windows {
		k.Windows = append(k.Windows, queue.QuotaWindow(w))
	}
	return k
}

func stateOf(k queue.KeyState) plan.State {
	s := plan.State{Key: plan.Key{Sender: k.Sender, TitleID: k.TitleID}, Calls: k.Calls, Blocked: k.BlockedUntil}
	for _, w := range k.Windows {
		s.Windows = append(s.Windows, plan.Window(w))
	}
	return s
}
