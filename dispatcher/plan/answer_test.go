package plan

import (
	"slices"
	"testing"
	"time"

	"github.com/cenkalti/backoff/v4"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/invitedhq/invited/queue"
	"github.com/invitedhq/invited/xbl"
)

var (
	errDial        = &xbl.Error{Kind: xbl.Transient, Detail: "connection refused"}
	errUnavailable = &xbl.Error{Kind: xbl.Transient, Status: 500, Written: true}
	errCut         = &xbl.Error{Kind: xbl.Ambiguous, Written: true, Detail: "connection reset"}
	errToken       = &xbl.Error{Kind: xbl.Unauthorized, Status: 401, Written: true}
	errNoToken     = &xbl.Error{Kind: xbl.Unauthorized, Detail: "no token"}
)

func TestRefusalsThatNoOtherTryMendsAreDeadLettersAtOnce(t *testing.T) {
	for _, c := range []struct {
		err    *xbl.Error
		reason queue.Reason
	}{
		{&xbl.Error{Kind: xbl.Forbidden, Status: 403, Code: "AuthorizationError", Detail: "no", Written: true}, queue.Forbidden},
		{&xbl.Error{Kind: xbl.Misconfigured, Status: 404, Written: true}, queue.Misconfigured},
	} {
		s := &service{offset: -1, faulty: func(*Call) *xbl.Error { return c.err }}
		w := newWorld(t, Config{}, s)
		j := interactive("ada", 5)
		w.add(j)
		w.run(time.Second)
		w.requireEndedOnce(j)
		require.Len(t, j.Dead, 1)
		assert.Equal(t, queue.Dead{Reason: c.reason, Detail: c.err.Detail, Status: c.err.Status, ErrorCode: c.err.Code, Recipients: j.Recipients}, j.Dead[0])
	}
}

func TestAnOutageIsNobodysFailure(t *testing.T) {
	s := &service{offset: -1}
	longWaits := func() backoff.BackOff { return &backoff.ConstantBackOff{Interval: time.Minute} }
	w := newWorld(t, Config{MaxAttempts: 2, Retry: longWaits}, s)
	down, calls := true, 0
	s.faulty = func(*Call) *xbl.Error {
		calls++
		if down {
			return errUnavailable
		}
		return nil
	}
	all := append(jobs(50, func() *Job { return bulk("cup", "finals", 16) }), jobs(50, func() *Job { return interactive("ada", 16) })...)
	w.add(all...)
	w.run(10 * time.Hour)
	late := interactive("bob", 1) // of a key that was not there when it began
	w.add(late)
	all = append(all, late)
	assert.Empty(t, w.ended, "nothing ends for an outage, however long")
	assert.Less(t, calls, 10*3600/2+20, "one call at a time asks for its end, every 2 s here")
	down = false
	w.run(5 * time.Second)
	assert.Len(t, w.ended, 101, "it goes on within 5 s of the API's return")
	w.requireEndedOnce(all...)
}

func TestAJobThatFailsAloneIsExhausted(t *testing.T) {
	s := &service{offset: -1}
	w := newWorld(t, Config{MaxAttempts: 4}, s)
	poison := interactive("ada", 2)
	s.faulty = func(c *Call) *xbl.Error {
		if slices.Contains(c.Jobs(), poison) {
			return errUnavailable
		}
		return nil
	}
	w.add(poison)
	var others []*Job
	for range 60 {
		j := interactive("ada", 2)
		others = append(others, j)
		w.add(j)
		w.run(300 * time.Millisecond)
	}
	w.run(time.Minute)
	w.requireEndedOnce(append(others, poison)...)
	require.Len(t, poison.Dead, 1)
	assert.Equal(t, queue.Exhausted, poison.Dead[0].Reason)
	for _, j := range others {
		assert.Equal(t, 2, j.Sent, "no other job dies of it")
	}
}

func TestOneFailingJobDoesNotLookLikeAnOutageForLong(t *testing.T) {
	s := &service{offset: -1}
	w := newWorld(t, Config{}, s)
	poison := interactive("ada", 16)
	s.faulty = func(c *Call) *xbl.Error {
		if c.Jobs()[0] == poison {
			return errUnavailable
		}
		return nil
	}
	w.add(poison)
	w.run(time.Minute) // alone it can't be told from an outage
	assert.Empty(t, w.ended)
	for _, sender := range []string{"bob", "ada"} {
		other := interactive(sender, 1)
		w.add(other)
		w.run(5 * time.Second)
		assert.Equal(t, 1, w.ended[other], "the next question is not left to the job that fails")
	}
}

func TestACallThatNeverReachedTheServiceCostsNoQuota(t *testing.T) {
	one := []Window{{1, time.Hour}}
	s := &service{offset: -1, windows: one}
	fails := 2
	s.faulty = func(*Call) *xbl.Error {
		if fails--; fails >= 0 {
			return errDial
		}
		return nil
	}
	w := newWorld(t, Config{Limits: Limits{Windows: one}}, s)
	j := interactive("ada", 1)
	w.add(j)
	w.run(time.Minute)
	w.requireEndedOnce(j)
}

func TestWhatMayHaveBeenSentIsSentAgainAndSaysSo(t *testing.T) {
	s := &service{offset: -1}
	once := true
	s.faulty = func(*Call) *xbl.Error {
		defer func() { once = false }()
		if once {
			return errCut
		}
		return nil
	}
	w := newWorld(t, Config{}, s)
	j := interactive("ada", 1)
	w.add(j)
	w.run(time.Minute)
	w.requireEndedOnce(j)
	assert.True(t, j.MaybeDuplicate)
	assert.Equal(t, 2, s.sent[j.Recipients[0]], "the first call had been recorded")
}

func TestWhatMayHaveBeenSentIsADeadLetterWhereThatIsAsked(t *testing.T) {
	s := &service{offset: -1, faulty: func(*Call) *xbl.Error { return errCut }}
	w := newWorld(t, Config{DeadLetterAmbiguous: true}, s)
	j := interactive("ada", 1)
	w.add(j)
	w.run(time.Minute)
	w.requireEndedOnce(j)
	assert.Equal(t, queue.Ambiguous, j.Dead[0].Reason)
	assert.Equal(t, 1, s.sent[j.Recipients[0]], "never twice")
}

func TestAKeyThatLacksATokenSaysSinceWhenAndWhyUntilItHasOne(t *testing.T) {
	for name, limits := range map[string]Limits{"a quota": {Windows: published}, "none known": {}} {
		broken := true
		s := &service{offset: -1, faulty: func(*Call) *xbl.Error {
			if broken {
				return errNoToken
			}
			return nil
		}}
		w := newWorld(t, Config{Limits: limits}, s)
		start := w.now
		j := bulk("ada", "cup", 1)
		w.add(j)
		w.run(2 * time.Second)
		assert.Zero(t, w.stored[j.Key].NoToken, "%s: one that is got for the first time takes a moment", name)
		w.run(10 * time.Second)
		said := w.stored[j.Key]
		assert.WithinDuration(t, start, said.NoToken, time.Second, name)
		assert.Equal(t, "no token", said.Why, name)
		assert.True(t, said.Until.After(w.now.Add(5*time.Second)), "%s: it outlasts the next time it is asked for", name)
		broken = false
		w.run(5 * time.Second)
		assert.Zero(t, w.stored[j.Key].NoToken, name)
		assert.Empty(t, w.stored[j.Key].Why, name)
		w.requireEndedOnce(j)
	}
}

func TestARefusedTokenIsRefreshedOnceThenTheKeyWaits(t *testing.T) {
	s := &service{offset: -1}
	answers := []*xbl.Error{errToken, errToken, errNoToken, errNoToken, nil}
	w := newWorld(t, Config{MaxAttempts: 1}, s)
	var at []time.Duration
	start := w.now
	w.onCall = func(c *Call) {
		if c.Key.Sender == "ada" {
			at = append(at, w.now.Sub(start).Truncate(100*time.Millisecond))
		}
	}
	s.faulty = func(c *Call) *xbl.Error {
		if c.Key.Sender != "ada" || len(answers) == 0 {
			return nil
		}
		a := answers[0]
		answers = answers[1:]
		return a
	}
	j := interactive("ada", 1)
	w.add(j)
	other := interactive("bob", 1)
	w.add(other)
	w.run(time.Minute)
	w.requireEndedOnce(j, other)
	assert.Equal(t, 1, j.Sent, "nothing is dead-lettered for a token")
	assert.Equal(t, 1, j.Attempts, "and no attempt is spent on it")
	assert.Equal(t, []time.Duration{0, 0, time.Second, 2 * time.Second, 3 * time.Second}, at,
		"at once with a fresh token, then once a second")
}

func TestARefusedRecipientCostsOnlyItself(t *testing.T) {
	for n := 2; n <= 16; n++ {
		for bad := range n {
			s := &service{offset: -1}
			w := newWorld(t, Config{}, s)
			j := bulk("cup", "finals", n)
			s.refuses = map[queue.XUID]bool{j.Recipients[bad]: true}
			w.add(j)
			w.run(time.Minute)
			w.requireEndedOnce(j)
			require.Equal(t, n-1, j.Sent, "recipient %d of %d is bad", bad, n)
			require.Equal(t, []queue.XUID{j.Recipients[bad]}, j.Dead[0].Recipients)
			require.LessOrEqual(t, s.calls, 9, "halving 16 asks at most twice a level")
			w.requireForgotten()
		}
	}
}

func TestHalvingAsksForNoGroupThatIsKnownToBeRefused(t *testing.T) {
	s := &service{offset: -1}
	w := newWorld(t, Config{}, s)
	j := bulk("cup", "finals", 16)
	s.refuses = map[queue.XUID]bool{j.Recipients[15]: true}
	w.add(j)
	w.run(time.Minute)
	assert.Equal(t, 6, s.calls, "16, 8 and 4 and 2 and 1 that are sent, and the last one: the other halves are not asked as a whole")
}

func TestSixteenSingleJobsOfWhichOneIsRefused(t *testing.T) {
	one := []Window{{1, time.Second}}
	s := &service{offset: -1, windows: one}
	w := newWorld(t, Config{Limits: Limits{Windows: one}}, s)
	w.add(interactive("ada", 16)) // takes the call of this second
	all := jobs(16, func() *Job { return interactive("ada", 1) })
	s.refuses = map[queue.XUID]bool{all[11].Recipients[0]: true}
	w.add(all...)
	w.run(time.Minute)
	w.requireEndedOnce(all...)
	for i, j := range all {
		if i == 11 {
			assert.Equal(t, queue.Rejected, j.Dead[0].Reason)
			assert.Equal(t, 400, j.Dead[0].Status)
			continue
		}
		assert.Equalf(t, 1, j.Sent, "job %d", i)
	}
}

func TestAWhollyRefusedJobStopsEarly(t *testing.T) {
	s := &service{offset: -1, refuses: map[queue.XUID]bool{}}
	w := newWorld(t, Config{}, s)
	refused := func() *Job {
		j := bulk("cup", "finals", 16)
		for _, u := range j.Recipients {
			s.refuses[u] = true
		}
		return j
	}
	first := refused()
	w.add(first)
	w.run(time.Second)
	w.requireEndedOnce(first)
	assert.LessOrEqual(t, s.calls, 8, "at most 8 calls for a wholly refused job of 16")
	assert.Equal(t, 16, len(first.Dead[0].Recipients)+len(first.Dead[1].Recipients))

	before := s.calls
	second := refused()
	w.add(second)
	w.run(time.Second)
	w.requireEndedOnce(second)
	assert.LessOrEqual(t, s.calls-before, 4, "fewer when the same was just refused as a whole")

	good := bulk("cup", "finals", 16)
	w.add(good)
	w.run(time.Second)
	assert.Equal(t, 16, good.Sent, "what is not refused is sent all the same")
}

func TestNobodysJobDiesOfWhatHappenedToAnothers(t *testing.T) {
	one := []Window{{1, time.Second}}
	s := &service{offset: -1, windows: one, refuses: map[queue.XUID]bool{}}
	w := newWorld(t, Config{Limits: Limits{Windows: one}}, s)
	w.add(interactive("ada", 16)) // takes the call of this second
	all := jobs(16, func() *Job { return interactive("ada", 1) })
	for _, j := range all[:12] {
		s.refuses[j.Recipients[0]] = true
	}
	w.add(all...)
	w.run(time.Minute)
	w.requireEndedOnce(all...)
	for _, j := range all[12:] {
		assert.Equal(t, 1, j.Sent, "twelve strangers in the same call were refused; that says nothing of this job")
	}
}

func TestARequestRefusedAsAWholeSaysNothingOfAnotherSendersNorOfAnotherReason(t *testing.T) {
	s := &service{offset: -1, refuses: map[queue.XUID]bool{}}
	w := newWorld(t, Config{}, s)
	bad := bulk("cup", "finals", 16)
	for _, u := range bad.Recipients {
		s.refuses[u] = true
	}
	w.add(bad)
	w.run(time.Second)
	w.requireEndedOnce(bad)
	k := w.planner.keys[bad.Key]
	why := refusal{code: "RequestValidationError"}
	assert.True(t, k.justRefused(w.now, why))
	assert.False(t, k.justRefused(w.now, refusal{code: "RequestValidationError", detail: "something else"}))
	assert.False(t, k.justRefused(w.now.Add(hopelessFor), why), "for five minutes")
	assert.False(t, w.planner.key(Key{"bob", 730}, 0).justRefused(w.now, why))
}

func TestARefusedCampaignDoesNotHoldUpAPlayer(t *testing.T) {
	one := []Window{{1, 10 * time.Second}}
	s := &service{offset: -1, windows: one}
	w := newWorld(t, Config{Limits: Limits{Windows: one}}, s)
	first := bulk("cup", "finals", 16) // takes the call of these ten seconds
	campaign := bulk("cup", "finals", 8)
	player := interactive("cup", 1)
	s.refuses = map[queue.XUID]bool{campaign.Recipients[3]: true}
	w.add(first)
	w.add(campaign, player)
	w.run(11 * time.Second)
	assert.Equal(t, 1, w.ended[player], "a call carries one lane, so a refusal of the other's is not theirs")
	w.run(10 * time.Minute)
	w.requireEndedOnce(first, campaign, player)
}

func TestWhatIsStillToBeAskedForExpiresInTimeToo(t *testing.T) {
	one := []Window{{1, time.Second}}
	s := &service{offset: -1, windows: one, refuses: map[queue.XUID]bool{}}
	w := newWorld(t, Config{Limits: Limits{Windows: one}}, s)
	w.add(bulk("cup", "finals", 16)) // takes the call of this second
	lasting, expiring := bulk("cup", "finals", 8), bulk("cup", "finals", 8)
	s.refuses[lasting.Recipients[0]] = true
	expiring.ExpiresAt = w.now.Add(20 * time.Second)
	calls := 0
	s.faulty = func(*Call) *xbl.Error {
		if calls++; calls == 2 { // the first question of the narrowing
			return &xbl.Error{Kind: xbl.Throttled, Status: 429, Written: true, RetryAfter: 2 * time.Hour}
		}
		return nil
	}
	w.add(lasting, expiring)
	w.run(21 * time.Second)
	assert.Equal(t, 1, w.ended[expiring], "not when the Retry-After is over")
	w.run(3 * time.Hour)
	w.requireEndedOnce(lasting, expiring)
	assert.Equal(t, 7, lasting.Sent)
	w.run(time.Hour)
	w.requireForgotten()
}

func TestARefusalOfSeveralIsNarrowedToThem(t *testing.T) {
	for _, bad := range [][]int{{0, 1}, {0, 15}, {7, 8}, {3, 4, 5, 6}, {0, 4, 8, 12}, {1, 3, 5}} {
		s := &service{offset: -1, refuses: map[queue.XUID]bool{}}
		w := newWorld(t, Config{}, s)
		j := bulk("cup", "finals", 16)
		for _, i := range bad {
			s.refuses[j.Recipients[i]] = true
		}
		w.add(j)
		w.run(time.Minute)
		w.requireEndedOnce(j)
		assert.Equalf(t, 16-len(bad), j.Sent, "bad are %v", bad)
	}
}
