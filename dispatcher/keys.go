package dispatcher

import (
	"context"
	"time"

	"github.com/invitedhq/invited/dispatcher/plan"
	"github.com/invitedhq/invited/queue"
)

// keySaves keep what is known of keys where the next owner finds it. A change
// is on its way the moment it happens, a call before its request is written, so
// that a worker that is killed takes next to nothing with it. Each key has one
// save on its way at a time; what changes meanwhile is saved after it.
type keySaves struct {
	next map[plan.Key]*plan.State // of keys with a save on its way: what to save then; nil: nothing
	in   map[int]int              // how many of them are in a partition
}

func newKeySaves() keySaves {
	return keySaves{next: make(map[plan.Key]*plan.State), in: make(map[int]int)}
}

func (l *loop) saveKeys(states []plan.State) {
	for _, s := range states {
		if _, owned := l.owned[s.Partition]; !owned {
			continue // the answer to a call of before it was lost: its owner knows better
		}
		if _, busy := l.saves.next[s.Key]; busy {
			l.saves.next[s.Key] = &s
			continue
		}
		l.saves.next[s.Key] = nil
		l.saves.in[s.Partition]++
		l.saveKey(s)
	}
}

func (l *loop) saveKey(s plan.State) {
	l.outbox.letters.put(func(ctx context.Context) {
		l.store.SaveKey(ctx, keyStateOf(s), func(err error) {
			l.Dispatcher.stored.put(stored{key: s.Key, partition: s.Partition, err: err})
		})
	})
}

// keySaved takes note that a save has ended.
func (l *loop) keySaved(s stored) {
	if s.err != nil {
		l.log.Warn("the calls made lately are not stored; another worker may be refused some", "error", s.err)
	}
	_, owned := l.owned[s.partition]
	if next := l.saves.next[s.key]; next != nil && owned && s.err == nil {
		l.saves.next[s.key] = nil
		l.saveKey(*next)
		return
	}
	delete(l.saves.next, s.key)
	if l.saves.in[s.partition]--; l.saves.in[s.partition] == 0 {
		delete(l.saves.in, s.partition)
	}
}

// remember takes over what earlier owners knew of a partition's keys: without
// it their calls would be made once more, and their blocks not be kept.
func (l *loop) remember(now time.Time, states []queue.KeyState) {
	for _, s := range states {
		l.plan.Remember(now, stateOf(s))
	}
}

func keyStateOf(s plan.State) queue.KeyState {
	k := queue.KeyState{
		Partition: s.Partition, TitleID: s.Key.TitleID, Sender: s.Key.Sender,
		Calls: s.Calls, Open: s.Open, BlockedUntil: s.Blocked, Until: s.Until,
	}
	for _, w := range s.Windows {
		k.Windows = append(k.Windows, queue.QuotaWindow(w))
	}
	return k
}

func stateOf(k queue.KeyState) plan.State {
	s := plan.State{
		Key: plan.Key{Sender: k.Sender, TitleID: k.TitleID}, Partition: k.Partition,
		Calls: k.Calls, Open: k.Open, Blocked: k.BlockedUntil,
	}
	for _, w := range k.Windows {
		s.Windows = append(s.Windows, plan.Window(w))
	}
	return s
}
