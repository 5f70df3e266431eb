package plan

import (
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/invitedhq/invited/queue"
	"github.com/invitedhq/invited/xbl"
)

func TestAnIdleKeySendsAtOnce(t *testing.T) {
	w := newWorld(t, Config{Limits: Limits{Windows: published}}, &service{offset: -1, windows: published})
	var calls int
	w.onCall = func(*Call) { calls++ }
	j := interactive("ada", 3)
	w.add(j)
	assert.Equal(t, 1, calls, "nothing is waited for")
	w.run(time.Second)
	w.requireEndedOnce(j)
	assert.Equal(t, 1, j.Attempts)
	assert.Equal(t, 3, j.Sent)
}

func TestABacklogUsesTheQuotaToTheLastCall(t *testing.T) {
	s := &service{offset: -1, windows: published}
	w := newWorld(t, Config{Limits: Limits{Windows: published}}, s)
	all := jobs(1000, func() *Job { return bulk("cup", "finals", 16) })
	w.add(all...)
	w.run(time.Hour)
	// 50 calls in each 300 s, and 50 more at the beginning of the last window.
	assert.GreaterOrEqual(t, s.calls, 588, "at least 98 %% of the 600 calls that an hour allows")
	assert.Zero(t, s.refused, "no call is refused")
}

func TestARefusedTimeToWaitIsKeptToTheSecondByTheWholeKeyAndByNoOther(t *testing.T) {
	s := &service{offset: -1}
	w := newWorld(t, Config{}, s)
	var blockedAt time.Time
	s.faulty = func(c *Call) *xbl.Error {
		if c.Key.Sender == "ada" && blockedAt.IsZero() {
			blockedAt = w.now
			return &xbl.Error{Kind: xbl.Throttled, Status: 429, Written: true, RetryAfter: 40 * time.Second}
		}
		return nil
	}
	var sentAt []time.Time
	w.onCall = func(c *Call) {
		if c.Key.Sender == "ada" {
			sentAt = append(sentAt, w.now)
		}
	}
	j := interactive("ada", 1)
	w.add(j)
	w.run(time.Second)
	other, late := interactive("bob", 1), interactive("ada", 16)
	w.add(other, late)
	w.run(30 * time.Second)
	assert.Equal(t, 1, w.ended[other], "another key goes on")
	assert.Zero(t, w.ended[late], "the first attempt of a later job waits too")
	w.run(time.Minute)
	w.requireEndedOnce(j, late)
	assert.Equal(t, 1, j.Attempts, "a throttle spends no attempt")
	require.Len(t, sentAt, 3)
	assert.Equal(t, 40*time.Second+10*time.Millisecond, sentAt[1].Sub(blockedAt), "exactly as long as it was told, from the answer on")
	assert.Equal(t, 20*time.Millisecond, sentAt[2].Sub(sentAt[1]), "one probe before all others go")
	assert.Zero(t, s.inBlock)
}

func TestABlockIsNeverShortened(t *testing.T) {
	k := &key{}
	now := time.Unix(0, 0)
	assert.Equal(t, 60*time.Second, k.block(now, now.Add(60*time.Second)))
	assert.Zero(t, k.block(now, now.Add(10*time.Second)))
	assert.Equal(t, now.Add(60*time.Second), k.blocked)
	assert.Equal(t, 5*time.Second, k.block(now, now.Add(65*time.Second)), "only what it adds counts as time spent blocked")
}

func TestJobsThatMayShareACallDo(t *testing.T) {
	s := &service{offset: -1, windows: published}
	w := newWorld(t, Config{Limits: Limits{Windows: published}}, s)
	var calls []*Call
	w.onCall = func(c *Call) { calls = append(calls, c) }
	party := func(connection string) func() *Job {
		return func() *Job {
			j := interactive("ada", 3)
			j.ConnectionString = connection
			return j
		}
	}
	w.add(interactive("ada", 1), interactive("ada", 1), interactive("ada", 1), interactive("ada", 1), interactive("ada", 1), interactive("ada", 1), interactive("ada", 1))
	w.run(14 * time.Second) // 1 call at least; all of the burst may be gone
	calls = nil
	w.add(append(jobs(40, party("a")), jobs(40, party("b"))...)...)
	w.run(time.Hour)
	for _, c := range calls {
		for _, j := range c.Jobs() {
			require.Equal(t, c.ConnectionString, j.ConnectionString, "only jobs of the same connectionString share a call")
		}
	}
	assert.LessOrEqual(t, len(calls), 2*8, "40 jobs of 3 fit into 8 calls, whole")
}

// Two members of a lobby invite the same friend.
func TestNoCallNamesAPlayerTwiceAndBothJobsAreSent(t *testing.T) {
	s := &service{offset: -1}
	w := newWorld(t, Config{}, s)
	var calls [][]queue.XUID
	w.onCall = func(c *Call) { calls = append(calls, slices.Clone(c.InvitedUsers)) }
	ada, bob, eve := interactive("ada", 2), interactive("ada", 2), interactive("ada", 1)
	bob.Recipients[0] = ada.Recipients[1]
	w.add(ada, bob, eve)
	w.run(time.Second)
	w.requireEndedOnce(ada, bob, eve)
	require.Len(t, calls, 2)
	assert.Equal(t, append(ada.Recipients, eve.Recipients...), calls[0], "who is named by nobody else need not wait")
	assert.Equal(t, bob.Recipients, calls[1])
}

func TestAJobOfMoreThanACallIsSentInSeveralAndEndsOnce(t *testing.T) {
	s := &service{offset: -1, windows: published}
	w := newWorld(t, Config{Limits: Limits{Windows: published}}, s)
	j := interactive("ada", 100)
	w.add(j)
	w.run(time.Minute)
	w.requireEndedOnce(j)
	assert.Equal(t, 7, s.calls, "100 recipients are 7 calls")
}

func TestWhatEndedBeforeIsNotSentAgain(t *testing.T) {
	s := &service{offset: -1}
	w := newWorld(t, Config{}, s)
	j := interactive("ada", 40)
	j.Ended = make([]bool, 40)
	for i := range 30 {
		j.Ended[i] = i%2 == 0
	}
	j.Sent = 15
	w.add(j)
	w.run(time.Second)
	w.requireEndedOnce(j)
	assert.Equal(t, 2, s.calls, "25 recipients are left: 2 calls")
	for i, u := range j.Recipients {
		want := 1
		if i < 30 && i%2 == 0 {
			want = 0
		}
		assert.Equalf(t, want, s.sent[u], "recipient %d", i)
	}
}

func TestALargeJobTakesItsTurnWithOthersOfItsKey(t *testing.T) {
	one := []Window{{1, time.Second}}
	w := newWorld(t, Config{Limits: Limits{Windows: one}}, &service{offset: -1, windows: one})
	large, small := interactive("ada", 10_000), interactive("ada", 1)
	small.ConnectionString = "another"
	w.add(large)
	w.add(small)
	w.run(3 * time.Second)
	assert.Equal(t, 1, w.ended[small], "a player does not wait for 625 calls")
	w.run(time.Hour)
	w.requireEndedOnce(large, small)
	assert.Equal(t, 10_000, large.Sent)
}

func TestInteractiveGoesFirstAndCampaignsTakeTurns(t *testing.T) {
	one := []Window{{1, time.Second}}
	w := newWorld(t, Config{Limits: Limits{Windows: one}}, &service{offset: -1, windows: one})
	var order []string
	w.onCall = func(c *Call) { order = append(order, c.Jobs()[0].Ref.(string)) }
	w.add(jobs(3, func() *Job { return bulk("cup", "a", 16) })...)
	w.add(jobs(3, func() *Job { return bulk("cup", "b", 16) })...)
	w.add(jobs(2, func() *Job { return interactive("cup", 16) })...)
	w.run(time.Minute)
	assert.Equal(t, []string{"a", "interactive", "interactive", "a", "b", "a", "b", "b"}, order,
		"the first went at once; then the interactive jobs, then the campaigns in turn")
}

func TestACampaignLeavesTheReserveToPlayersWhoWait(t *testing.T) {
	s := &service{offset: -1, windows: published}
	w := newWorld(t, Config{Limits: Limits{Windows: published, Reserve: 0.1}}, s)
	w.add(jobs(10_000, func() *Job { return bulk("cup", "finals", 16) })...)
	w.run(time.Hour)
	assert.GreaterOrEqual(t, s.calls, 588, "nothing is reserved on a key without interactive jobs")

	w.add(interactive("cup", 1)) // the first one may wait
	w.run(10 * time.Minute)
	for range 60 { // then 5 in each 300 s are within a tenth of 50
		j := interactive("cup", 1)
		j.ConnectionString = "a call of its own"
		w.add(j)
		w.run(40 * time.Millisecond)
		require.Equal(t, 1, w.ended[j], "an interactive job waits for the call in flight at the most")
		w.run(time.Minute)
	}
	before := s.calls
	w.run(time.Hour)
	assert.GreaterOrEqual(t, s.calls-before, 570, "once no more players come the campaign has it all again")
	assert.Zero(t, s.refused)
}

func TestNoMoreCallsAtOnceThanAllowed(t *testing.T) {
	slow := func() (time.Duration, time.Duration) { return time.Second, time.Second }
	w := newWorld(t, Config{Limits: Limits{MaxInFlight: 3}, MaxInFlight: 5}, &service{offset: -1, latency: slow})
	perKey, most := map[Key]int{}, 0
	w.onCall = func(c *Call) { perKey[c.Key]++; most = max(most, w.planner.InFlight()) }
	for _, sender := range []string{"ada", "bob", "cyd"} {
		w.add(jobs(10, func() *Job { return interactive(sender, 16) })...)
	}
	assert.Equal(t, 5, most, "the worker's limit")
	assert.Equal(t, 3, perKey[Key{"ada", 730}], "the key's limit")
	assert.Equal(t, 2, perKey[Key{"bob", 730}])
	w.run(time.Minute)
	assert.Equal(t, 5, most)
	assert.Len(t, w.ended, 30)
}

func TestAnExpiredJobCostsNoCall(t *testing.T) {
	s := &service{offset: -1}
	w := newWorld(t, Config{}, s)
	for _, recipients := range []int{2, 40} { // one call's, and more
		j := interactive("ada", recipients)
		j.ExpiresAt = w.now
		w.add(j)
		w.requireEndedOnce(j)
		require.Len(t, j.Dead, 1)
		assert.Equal(t, queue.Expired, j.Dead[0].Reason)
		assert.Len(t, j.Dead[0].Recipients, recipients)
	}
	assert.Zero(t, s.calls)
	w.requireForgotten()
}

func TestAJobThatWaitsEndsWhenItExpires(t *testing.T) {
	one := []Window{{1, time.Minute}}
	s := &service{offset: -1, windows: one}
	w := newWorld(t, Config{Limits: Limits{Windows: one}}, s)
	first, late, lasting := interactive("ada", 16), interactive("ada", 40), interactive("ada", 16)
	late.ExpiresAt = w.now.Add(30 * time.Second)
	w.add(first, late, lasting)
	w.run(30 * time.Second)
	assert.Equal(t, 1, w.ended[late], "at the time, not when the quota opens")
	w.run(time.Hour)
	w.requireEndedOnce(first, late, lasting)
	assert.Equal(t, 2, s.calls)
	w.requireForgotten()
}

func TestAJobThatCantMakeItWithinTheQuotaIsGivenUpAtOnce(t *testing.T) {
	one := []Window{{1, time.Minute}}
	s := &service{offset: -1, windows: one, latency: func() (time.Duration, time.Duration) { return 0, 0 }}
	w := newWorld(t, Config{Limits: Limits{Windows: one}}, s)
	var all []*Job
	for i := range 10 {
		j := interactive("ada", 2)
		j.ConnectionString = string(rune('a' + i)) // no two share a call
		j.ExpiresAt = w.now.Add(5 * time.Minute)
		all = append(all, j)
	}
	w.add(all...)
	assert.Len(t, w.ended, 5, "calls go at 0, 1, 2, 3 and 4 minutes: the last five can't make it, and that is told at once")
	for _, j := range all[5:] {
		require.Len(t, j.Dead, 1)
		assert.Equal(t, queue.Expired, j.Dead[0].Reason)
		assert.Contains(t, j.Dead[0].Detail, "calls are ahead of it")
	}
	friend := interactive("ada", 2)
	friend.ConnectionString, friend.ExpiresAt = all[1].ConnectionString, all[1].ExpiresAt
	w.add(friend)
	assert.Zero(t, w.ended[friend], "one that can share a call need not wait for all the others")
	w.run(time.Hour)
	w.requireEndedOnce(all...)
	for _, j := range append(all[:5], friend) {
		assert.Equal(t, 2, j.Sent, "the others make it")
	}
	assert.Equal(t, 5, s.calls)
}

func TestACampaignWhoseFirstJobIsGivenUpLeavesNothingInLine(t *testing.T) {
	s := &service{offset: -1}
	w := newWorld(t, Config{}, s)
	s.faulty = func(*Call) *xbl.Error {
		return &xbl.Error{Kind: xbl.Throttled, Status: 429, Written: true, RetryAfter: time.Minute}
	}
	first, second := interactive("cup", 1), bulk("cup", "finals", 1)
	first.ExpiresAt, second.ExpiresAt = w.now.Add(30*time.Second), w.now.Add(30*time.Second)
	w.add(first)
	w.run(time.Second)
	w.add(second)
	w.requireEndedOnce(first, second)
	w.run(2 * time.Minute) // beyond the Retry-After, when the key looks for what waits
}

func TestWhatExpiresInsideARetryAfterIsGivenUpAtOnce(t *testing.T) {
	s := &service{offset: -1}
	w := newWorld(t, Config{Limits: Limits{MaxInFlight: 1}}, s)
	s.faulty = func(*Call) *xbl.Error {
		s.faulty = nil
		return &xbl.Error{Kind: xbl.Throttled, Status: 429, Written: true, RetryAfter: time.Minute}
	}
	soon, later := interactive("ada", 100), interactive("ada", 16)
	soon.ExpiresAt, later.ExpiresAt = w.now.Add(30*time.Second), w.now.Add(90*time.Second)
	w.add(soon, later)
	w.run(time.Second)
	assert.Equal(t, 1, w.ended[soon], "all of it")
	assert.Zero(t, w.ended[later])
	again := interactive("ada", 16)
	again.ExpiresAt = w.now.Add(30 * time.Second)
	w.add(again)
	assert.Equal(t, 1, w.ended[again], "one that comes later as well")
	w.run(time.Hour)
	w.requireEndedOnce(soon, later, again)
	w.requireForgotten()
}

func TestALargeJobIsSentAsFarAsItCanBe(t *testing.T) {
	one := []Window{{1, time.Minute}}
	s := &service{offset: -1, windows: one, latency: func() (time.Duration, time.Duration) { return 0, 0 }}
	w := newWorld(t, Config{Limits: Limits{Windows: one}}, s)
	j := interactive("ada", 160)
	j.ExpiresAt = w.now.Add(150 * time.Second)
	w.add(j)
	w.run(time.Hour)
	w.requireEndedOnce(j)
	assert.Equal(t, 48, j.Sent, "three calls are possible before it expires")
	assert.Len(t, j.Dead[0].Recipients, 112)
}

func TestAWindowOfOneCallIsNotAllReserved(t *testing.T) {
	one := []Window{{1, time.Minute}}
	w := newWorld(t, Config{Limits: Limits{Windows: one, Reserve: 0.1}}, &service{offset: -1, windows: one})
	w.add(interactive("cup", 1))
	campaign := bulk("cup", "finals", 1)
	w.add(campaign)
	w.run(2 * time.Minute)
	assert.Equal(t, 1, w.ended[campaign])
}

func TestAJobExpiresByTheWallClockWhateverItsSteps(t *testing.T) {
	w := newWorld(t, Config{}, &service{offset: -1})
	w.planner.Lease(w.now)
	j := interactive("ada", 1)
	j.ExpiresAt = w.now.Add(time.Minute)
	w.add(j)
	j.ExpiresAt = j.ExpiresAt.Add(time.Hour) // as if the wall clock had been set back by an hour
	w.run(2 * time.Minute)
	assert.Zero(t, w.ended[j])
	w.run(time.Hour)
	assert.Equal(t, 1, w.ended[j])
}

func TestWithoutALeaseNoCallIsMade(t *testing.T) {
	w := newWorld(t, Config{}, &service{offset: -1})
	w.planner.Lease(w.now)
	j, expiring := interactive("ada", 1), interactive("ada", 1)
	expiring.ExpiresAt = w.now.Add(time.Second)
	w.add(j, expiring)
	w.run(time.Minute)
	assert.Equal(t, 1, w.ended[expiring], "jobs expire all the same")
	assert.Zero(t, w.ended[j], "its end is the first moment at which nothing may be sent")
	w.planner.Lease(w.now.Add(time.Millisecond))
	w.step()
	w.run(time.Second)
	assert.Equal(t, 1, w.ended[j])
}

func TestADroppedJobIsNotSent(t *testing.T) {
	one := []Window{{1, time.Second}}
	s := &service{offset: -1, windows: one, refuses: map[queue.XUID]bool{}}
	w := newWorld(t, Config{Limits: Limits{Windows: one}}, s)
	inCall, waiting, suspect, innocent := interactive("ada", 16), interactive("ada", 40), interactive("ada", 8), interactive("ada", 8)
	s.refuses[suspect.Recipients[0]] = true
	waiting.ConnectionString = "another"
	w.add(inCall, suspect, innocent, waiting)
	assert.False(t, w.planner.Drop(w.now, inCall), "what is in a call ends as that call does")
	assert.True(t, w.planner.Drop(w.now, waiting))
	w.run(1100 * time.Millisecond) // the call of suspect and innocent is refused
	assert.True(t, w.planner.Drop(w.now, suspect), "a part of a narrowing can be dropped too")
	w.run(10 * time.Minute)
	w.requireEndedOnce(inCall, innocent)
	assert.Zero(t, w.ended[waiting])
	assert.Zero(t, w.ended[suspect])
	for _, u := range append(waiting.Recipients, suspect.Recipients...) {
		require.Zero(t, s.sent[u])
	}
	w.requireForgotten()
}

func TestAJobThatHasEndedIsDroppedNoMore(t *testing.T) {
	p := New(Config{MaxInFlight: 1, Limits: Limits{MaxInFlight: 1}})
	now := time.Now()
	p.Lease(now.Add(time.Hour))
	j := bulk("ada", "cup", 16)
	p.Add(now, j)
	calls := p.Next(now).Calls
	require.Len(t, calls, 1)
	p.Answer(now, calls[0], nil)
	require.False(t, p.Drop(now, j), "how it ended is not told of yet: given back now, it would be sent again")
	assert.Equal(t, []*Job{j}, p.Next(now).Ended)
	assert.Zero(t, p.Jobs())
}

func TestStopMakesNoMoreCalls(t *testing.T) {
	w := newWorld(t, Config{}, &service{offset: -1})
	w.planner.Stop()
	var calls int
	w.onCall = func(*Call) { calls++ }
	w.add(interactive("ada", 1))
	w.run(time.Minute)
	assert.Zero(t, calls)
}

func TestIdleKeysAreForgotten(t *testing.T) {
	w := newWorld(t, Config{Limits: Limits{Windows: published}}, &service{offset: -1, windows: published})
	w.add(interactive("ada", 1), bulk("bob", "cup", 20))
	w.run(time.Minute)
	assert.Len(t, w.planner.keys, 2, "while their calls still occupy a window they are remembered")
	w.run(10 * time.Minute)
	w.requireForgotten()
}

// TestTheEndingsOfOneCallTakeOnePlaceInFlight: what a crash repeats is calls. Jobs for one player that shared a call are one of them,
// or a worker would make a sixteenth of the calls that it may while it stores how they ended.
func TestTheEndingsOfOneCallTakeOnePlaceInFlight(t *testing.T) {
	p := New(Config{Limits: Limits{MaxInFlight: 10}, MaxInFlight: 4, MaxAttempts: 8})
	now := time.Unix(1_000_000, 0)
	p.Lease(now.Add(time.Hour))
	for range 10 * xbl.MaxInvitedUsers {
		p.Add(now, interactive("ada", 1))
	}
	first := p.Next(now).Calls
	require.Len(t, first, 4)
	for _, c := range first[:2] {
		require.Len(t, c.Jobs(), xbl.MaxInvitedUsers)
		p.Answer(now, c, nil)
	}
	step := p.Next(now)
	require.Len(t, step.Ended, 2*xbl.MaxInvitedUsers)
	assert.Empty(t, step.Calls, "two calls are in flight, and how two ended is not stored")

	calls := map[uint64]bool{}
	for _, j := range step.Ended {
		calls[j.Call] = true
	}
	require.Len(t, calls, 2, "each job says which call it was in")
	p.Unstored(1)
	assert.Len(t, p.Next(now).Calls, 1, "as soon as how one of them ended is stored, there is a place")
}

func TestAKeyTellsWhenItWaits(t *testing.T) {
	p := New(Config{Limits: Limits{Windows: []Window{{Max: 1, Per: time.Minute}}, MaxInFlight: 4}, MaxInFlight: 100, MaxAttempts: 8})
	now := time.Unix(1_000_000, 0)
	p.Lease(now.Add(time.Hour))
	waits := map[Key]bool{}
	step := func() Step {
		s := p.Next(now)
		for _, state := range p.Changed(now) {
			p.Recorded(now, state)
		}
		p.Waits(func(k Key, w bool) { waits[k] = w })
		return s
	}
	ada := interactive("ada", 1)
	p.Add(now, ada)
	first := step().Calls
	require.Len(t, first, 1)
	assert.False(t, waits[ada.Key], "it may send")
	p.Answer(now, first[0], nil)
	second := interactive("ada", 1)
	p.Add(now, second)
	step()
	assert.True(t, waits[ada.Key], "its quota is used up for a minute")
	now = now.Add(time.Minute)
	assert.Len(t, step().Calls, 1)
	assert.False(t, waits[ada.Key])
}
