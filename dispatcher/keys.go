package dispatcher

import (
	"errors"
	"time"

	"github.com/invitedhq/invited/dispatcher/plan"
	"github.com/invitedhq/invited/queue"
)

// saveKeys has what is new about keys stored where the next owner finds it: a
// call as its request is written, and again when it is answered. The queue
// stores the latest of each key, and calls done for those it left out as well.
func (l *loop) saveKeys(states []plan.State) {
	for i := range states {
		s := &states[i]
		lost := l.owned[s.Partition]
		if lost == nil {
			continue // the answer to a call of before it was lost: its owner knows better
		}
		l.saving[s.Partition]++
		l.outbox.letters.put(letter{state: s, lost: lost})
	}
}

// keySaved takes note that a save has ended.
func (l *loop) keySaved(s stored) {
	if l.saving[s.state.Partition]--; l.saving[s.state.Partition] == 0 {
		delete(l.saving, s.state.Partition)
	}
	if errors.Is(s.err, queue.ErrLost) {
		return // nobody may ever know of the last call but this worker: see plan.Planner.Lose
	}
	if s.err != nil { // only a stop ends the store's own tries
		l.log.Warn("the calls made lately are not stored; another worker may be refused some", "error", s.err)
		return
	}
	l.plan.Recorded(time.Now(), *s.state)
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
		Calls: s.Calls, Open: s.Open, BlockedUntil: s.Blocked, ReservedUntil: s.Reserved, Until: s.Until,
		NoTokenSince: s.NoToken, NoTokenWhy: s.Why,
	}
	for _, w := range s.Learnt {
		k.Learnt = append(k.Learnt, queue.LearntWindow{Max: w.Max, Per: w.Per, Most: w.Most})
	}
	return k
}

func stateOf(k queue.KeyState) plan.State {
	s := plan.State{
		Key: plan.Key{Sender: k.Sender, TitleID: k.TitleID}, Partition: k.Partition,
		Calls: k.Calls, Open: k.Open, Blocked: k.BlockedUntil, Reserved: k.ReservedUntil,
	}
	for _, w := range k.Learnt {
		s.Learnt = append(s.Learnt, plan.Learnt{Window: plan.Window{Max: w.Max, Per: w.Per}, Most: w.Most})
	}
	return s
}
