package plan

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/invitedhq/invited/xbl"
)

// restart replaces the planner by a new one that is told what was stored.
func (w *world) restart(cfg Config) {
	w.planner = newWorld(w.t, cfg, &service{}).planner
	for _, s := range w.stored {
		w.planner.Remember(w.now, s)
	}
}

func TestARestartForgetsNeitherCallsNorBlocks(t *testing.T) {
	s := &service{offset: -1, windows: published}
	cfg := Config{Limits: Limits{Windows: published}}
	w := newWorld(t, cfg, s)
	for range 60 { // a restart every 7 s
		w.add(jobs(3, func() *Job { return bulk("cup", "finals", 16) })...)
		w.run(7 * time.Second)
		w.restart(cfg) // what was parked comes again; here it does not matter
	}
	assert.Zero(t, s.refused)
	assert.GreaterOrEqual(t, s.calls, 50, "and the quota is used")

	s.faulty = func(*Call) *xbl.Error {
		return &xbl.Error{Kind: xbl.Throttled, Status: 429, Written: true, RetryAfter: 10 * time.Minute}
	}
	w.run(10 * time.Minute)
	w.add(interactive("ada", 1))
	w.run(time.Second)
	w.restart(cfg)
	calls := 0
	w.onCall = func(*Call) { calls++ }
	w.add(interactive("ada", 1))
	w.run(8 * time.Minute)
	assert.Zero(t, calls, "the Retry-After that was given before the restart")
	w.run(3 * time.Minute)
	assert.Equal(t, 1, calls)
}

func TestWhatOnlyThisWorkerKnowsOfALostKeyCountsWhenItComesBack(t *testing.T) {
	one := []Window{{2, time.Minute}}
	w := newWorld(t, Config{Limits: Limits{Windows: one}}, &service{offset: -1, windows: one})
	call := func(recorded bool) *Call {
		w.planner.Add(w.now, interactive("ada", 1))
		calls := w.planner.Next(w.now).Calls
		require.Len(t, calls, 1)
		if told := w.planner.Changed(w.now); recorded {
			w.planner.Recorded(w.now, told[0])
		}
		return calls[0]
	}
	w.planner.Answer(w.now, call(true), nil)
	stored := w.planner.Changed(w.now)
	require.Len(t, stored, 1)
	w.planner.Answer(w.now, call(false), nil) // NATS does not answer any more
	for range 2 {                             // and not for long, when the partition has come back
		w.planner.Lose(w.now, 0)
		w.now = w.now.Add(5 * time.Second)
		w.planner.Remember(w.now, stored[0])
	}
	told := w.planner.Changed(w.now)
	require.Len(t, told, 1, "now it can be stored")
	w.planner.Recorded(w.now, told[0])
	w.planner.Add(w.now, interactive("ada", 1))
	assert.Empty(t, w.planner.Next(w.now).Calls, "both calls count, the recorded and the other")
	w.now = w.now.Add(50 * time.Second)
	calls := w.planner.Next(w.now).Calls
	require.Len(t, calls, 1, "and neither twice, nor longer than it has to")

	w.planner.Changed(w.now)
	refused := &xbl.Error{Kind: xbl.Throttled, Status: 429, Written: true, RetryAfter: 10 * time.Minute}
	w.planner.Answer(w.now, calls[0], refused)
	for _, j := range calls[0].Jobs() {
		w.planner.Drop(w.now, j)
	}
	w.planner.Lose(w.now, 0)
	w.now = w.now.Add(9 * time.Minute)
	w.planner.Add(w.now, interactive("ada", 1))
	w.planner.Recorded(w.now, w.planner.Changed(w.now)[0])
	assert.Empty(t, w.planner.Next(w.now).Calls, "its Retry-After is kept")
	w.now = w.now.Add(time.Minute)
	assert.Len(t, w.planner.Next(w.now).Calls, 1)
}

func TestOnlyWhatChangedIsTold(t *testing.T) {
	w := newWorld(t, Config{Limits: Limits{Windows: published}}, &service{offset: -1, windows: published})
	w.planner.Add(w.now, interactive("ada", 1))
	require.Len(t, w.planner.Next(w.now).Calls, 1)
	require.Len(t, w.planner.Changed(w.now), 1)
	assert.Empty(t, w.planner.Changed(w.now), "once")
	w.planner.Add(w.now, interactive("ada", 1))
	w.planner.Forget(w.now, 0)
	unlimited := newWorld(t, Config{}, &service{offset: -1})
	unlimited.add(interactive("ada", 1))
	unlimited.run(time.Second)
	assert.Empty(t, unlimited.stored, "without windows there is nothing to remember")
}

func TestAKeysNextCallWaitsUntilItsLastIsRecorded(t *testing.T) {
	w := newWorld(t, Config{Limits: Limits{Windows: published}}, &service{offset: -1, windows: published})
	w.planner.Add(w.now, interactive("ada", 16))
	w.planner.Add(w.now, interactive("ada", 16))
	w.planner.Add(w.now, interactive("bob", 16))
	assert.Len(t, w.planner.Next(w.now).Calls, 2, "one for each key: a crash now leaves no more than that unknown")
	told := w.planner.Changed(w.now)
	require.Len(t, told, 2)
	assert.Empty(t, w.planner.Next(w.now).Calls)
	for _, s := range told {
		w.planner.Recorded(w.now, s)
	}
	assert.Len(t, w.planner.Next(w.now).Calls, 1)
}

func TestAGoneOwnersLastCallCountsThoughItIsNotRecorded(t *testing.T) {
	one := []Window{{2, time.Minute}}
	w := newWorld(t, Config{Limits: Limits{Windows: one}}, &service{offset: -1, windows: one})
	calls := 0
	w.onCall = func(*Call) { calls++ }
	for range 3 {
		j := interactive("ada", 16)
		j.MaybeSent = true
		w.add(j)
	}
	w.run(59 * time.Second)
	assert.Equal(t, 1, calls, "one may have been made of the two")
	w.run(2 * time.Minute)
	assert.Equal(t, 3, calls)
}

func TestACallFromAClockThatIsAheadCountsFromNow(t *testing.T) {
	one := []Window{{1, time.Minute}}
	w := newWorld(t, Config{Limits: Limits{Windows: one}}, &service{offset: -1, windows: one})
	w.planner.Remember(w.now, State{Key: Key{"ada", 730}, Calls: []Run{{At: w.now.Add(time.Hour), N: 1}}})
	j := interactive("ada", 1)
	w.add(j)
	w.run(2 * time.Minute)
	assert.Equal(t, 1, w.ended[j], "not in an hour and a minute")
}

func TestAKeyThatIsGivenAwayAndComesBackIsANewOne(t *testing.T) {
	s := &service{offset: -1}
	w := newWorld(t, Config{MaxInFlight: 1}, s)
	other, waiting := interactive("bob", 16), interactive("ada", 16)
	w.add(other, waiting) // ada is in line behind bob's call
	require.True(t, w.planner.Drop(w.now, waiting))
	w.planner.Forget(w.now, 0)
	back := interactive("ada", 16)
	w.add(back)
	w.run(time.Minute)
	w.requireEndedOnce(other, back)
	assert.Zero(t, w.ended[waiting])
	w.requireForgotten()
}

func TestAPartitionsKeysAreForgottenAndTold(t *testing.T) {
	w := newWorld(t, Config{Limits: Limits{Windows: published}}, &service{offset: -1, windows: published})
	here, there := interactive("ada", 1), interactive("bob", 1)
	there.Partition = 1
	w.add(here, there)
	states := w.planner.Forget(w.now, 1)
	assert.Empty(t, states, "not while a call is in flight")
	w.run(time.Second)
	states = w.planner.Forget(w.now, 1)
	require.Len(t, states, 1)
	assert.Equal(t, Key{"bob", 730}, states[0].Key)
	assert.Len(t, states[0].Calls, 1)
	assert.Len(t, w.planner.keys, 1, "the other partition's stay")
}

func TestACallInFlightCountsForTheNextOwner(t *testing.T) {
	one := []Window{{1, time.Minute}}
	cfg := Config{Limits: Limits{Windows: one}}
	w := newWorld(t, cfg, &service{offset: -1, windows: one})
	w.add(interactive("ada", 1))
	state := w.stored[Key{"ada", 730}]
	assert.Equal(t, 1, state.Open, "it is told of before its answer")
	next := newWorld(t, cfg, &service{offset: -1, windows: one})
	next.planner.Remember(next.now, state)
	calls := 0
	next.onCall = func(*Call) { calls++ }
	next.add(interactive("ada", 1))
	next.run(59 * time.Second)
	assert.Zero(t, calls, "as one that was answered when the key changed hands")
	next.run(2 * time.Second)
	assert.Equal(t, 1, calls)
}

func TestARecordOfManyCallsIsShortAndNeverCountsTooFew(t *testing.T) {
	many := []Window{{10_000, time.Hour}}
	w := newWorld(t, Config{Limits: Limits{Windows: many, MaxInFlight: 8}}, &service{offset: -1, windows: many})
	w.add(bulk("cup", "finals", 50_000))
	w.run(50 * time.Minute)
	w.add(bulk("cup", "finals", 10_000))
	w.run(time.Second)
	state := w.stored[Key{"cup", 730}]
	assert.Less(t, len(state.Calls), 300)
	total := 0
	for i, r := range state.Calls {
		total += r.N
		if i > 0 {
			require.True(t, state.Calls[i-1].At.Before(r.At))
		}
	}
	assert.Equal(t, w.planner.keys[Key{"cup", 730}].log.ends.len(), total)
	next := newWorld(t, Config{Limits: Limits{Windows: many}}, &service{offset: -1, windows: many})
	next.planner.Remember(w.now, state)
	for i := range total {
		was, is := w.planner.keys[Key{"cup", 730}].log.ends.at(i), next.planner.keys[Key{"cup", 730}].log.ends.at(i)
		require.False(t, is.Before(was), "a call counts longer, never shorter")
	}
}

func TestPlayersKeepTheirReserveWhoeverOwnsTheKey(t *testing.T) {
	ten := []Window{{10, time.Minute}}
	cfg := Config{Limits: Limits{Windows: ten, Reserve: 0.5}}
	s := &service{offset: -1, windows: ten}
	w := newWorld(t, cfg, s)
	w.add(interactive("cup", 1))
	began := w.now
	w.run(30 * time.Second)
	told := w.stored[Key{"cup", 730}]
	assert.Equal(t, began.Add(15*time.Minute), told.Reserved)

	w.restart(cfg)
	before := s.calls
	w.add(jobs(40, func() *Job { return bulk("cup", "finals", 16) })...)
	w.run(30 * time.Second)
	assert.Equal(t, 4, s.calls-before, "half of the window, and the player's call is in it")
	w.add(jobs(200, func() *Job { return bulk("cup", "finals", 16) })...)
	w.run(14 * time.Minute)
	before = s.calls
	w.run(2 * time.Minute)
	assert.GreaterOrEqual(t, s.calls-before, 18, "it ends when the last owner said, not 15 minutes after the new one came")
	assert.Zero(t, w.stored[Key{"cup", 730}].Reserved)

	told.Reserved = w.now.AddDate(1, 0, 0)
	w.planner.Remember(w.now, told)
	assert.Equal(t, w.now, w.planner.keys[Key{"cup", 730}].lastInteractive, "no record holds a campaign up for longer than a player does")
}
