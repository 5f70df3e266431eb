package xblsim_test

import (
	"net/http"
	"slices"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/invitedhq/invited/xbl/xblsim"
)

func TestAQuotaIsReadAsCallsPerTime(t *testing.T) {
	good := map[string][]xblsim.Window{
		"":                {},
		" ":               {},
		"7/15s":           {{Max: 7, Per: 15 * time.Second}},
		"7/15s,50/300s":   {{Max: 7, Per: 15 * time.Second}, {Max: 50, Per: 5 * time.Minute}},
		" 7/1.5s , 50/5m": {{Max: 7, Per: 1500 * time.Millisecond}, {Max: 50, Per: 5 * time.Minute}},
	}
	for text, want := range good {
		got, err := xblsim.ParseQuota(text)
		require.NoError(t, err, text)
		assert.ElementsMatch(t, want, got, text)
	}
	for _, text := range []string{"7", "7/", "/15s", "7/15", "x/15s", "0/15s", "-1/15s", "7/0s", "7/-15s", "7/15s,", "7/15s/2"} {
		_, err := xblsim.ParseQuota(text)
		assert.ErrorContains(t, err, "quota", text)
	}
}

func TestWrongOptionsPanicWithTheirName(t *testing.T) {
	tests := map[string]xblsim.Options{
		"quota":           {Quota: []xblsim.Window{{}}},
		"max concurrent":  {MaxConcurrent: -1},
		"latency":         {Latency: -1},
		"in-flight grace": {InFlightGrace: -1},
		"call log":        {CallLog: -1},
		"retry after":     {RetryAfter: 9},
		"throttle body":   {Throttle: 9},
		"error500":        {Faults: xblsim.Faults{Error500: 2}},
	}
	for name, o := range tests {
		require.ErrorContains(t, o.Validate(), name)
		assert.Panics(t, func() { xblsim.New(o) }, name)
	}
}

// model is the quota of one key, worked out anew from all of its calls each time.
type model struct {
	quota []xblsim.Window
	calls []time.Time
}

// next returns how long a call now must wait for, and the window that says so; zero if it is let through.
func (m *model) next(now time.Time) (wait time.Duration, tripped xblsim.Window, count int) {
	m.calls = append(m.calls, now)
	for _, w := range m.quota {
		begin, n := m.calls[0], 0
		for _, at := range m.calls {
			if at.Sub(begin) >= w.Per {
				begin, n = at, 0
			}
			n++
		}
		if left := begin.Add(w.Per).Sub(now); n > w.Max && left > wait {
			wait, tripped, count = left, w, n
		}
	}
	return wait, tripped, count
}

func TestFixedWindowsAreThoseOfADumbModel(t *testing.T) {
	windows := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) xblsim.Window {
		return xblsim.Window{
			Max: rapid.IntRange(1, 6).Draw(t, "max"),
			Per: time.Duration(rapid.IntRange(1, 24).Draw(t, "per")) * 250 * time.Millisecond,
		}
	}), 0, 3)
	pause := rapid.Custom(func(t *rapid.T) time.Duration {
		return time.Duration(max(0, rapid.IntRange(-8, 20).Draw(t, "pause"))) * 125 * time.Millisecond
	})
	rapid.Check(t, func(t *rapid.T) {
		q := windows.Draw(t, "quota")
		pauses := rapid.SliceOfN(pause, 1, 40).Draw(t, "pauses")
		rapid.SyncTest(t, func(t *rapid.T) {
			sim := inProcess(t, xblsim.Options{Quota: q})
			want := model{quota: q}
			var ledger xblsim.Ledger
			var blocks []time.Time // the ends of all that was given
			for _, p := range pauses {
				<-time.After(p)
				now := time.Now()
				wait, tripped, count := want.next(now)
				a := sim.invite(alice)

				ledger.Calls++
				if slices.ContainsFunc(blocks, now.Before) {
					ledger.InBlock++
				}
				if wait == 0 {
					require.Equal(t, http.StatusNoContent, a.status)
					ledger.Recipients++
					continue
				}
				ledger.Throttled++
				require.Equal(t, http.StatusTooManyRequests, a.status)
				seconds := int((wait + time.Second - 1) / time.Second)
				require.Equal(t, strconv.Itoa(seconds), a.header.Get("Retry-After"))
				blocks = append(blocks, now.Add(time.Duration(seconds)*time.Second))
				period := int((tripped.Per + time.Second - 1) / time.Second)
				require.Equal(t, throttledEntity{1, count, tripped.Max, period, "Rate"}, a.throttledEntity(t))
			}
			ledger.Unique = min(1, ledger.Recipients)
			ledger.Duplicates = ledger.Recipients - ledger.Unique
			require.Equal(t, ledger, sim.Ledger())
		})
	})
}

type throttledEntity struct {
	Version, CurrentRequests, MaxRequests, PeriodInSeconds int
	LimitType                                              string
}

func (a answer) throttledEntity(t require.TestingT) (e throttledEntity) {
	a.into(t, &e)
	return e
}

// The service documents this example: a burst limit of 30 and a sustained one of 100, and five calls too many.
func TestRefusedCallsUseUpTheLongerWindow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sim := inProcess(t, xblsim.Options{Quota: quota(t, "30/15s,100/300s")})
		round := func() (sent int) {
			for range 35 {
				if sim.invite(alice).status == http.StatusNoContent {
					sent++
				}
			}
			<-time.After(15 * time.Second)
			return sent
		}
		assert.Equal(t, []int{30, 30, 30, 0}, []int{round(), round(), round(), round()},
			"70 calls are counted after two rounds, so the third trips both limits and the fourth is lost")
		assert.Equal(t, "240", sim.invite(alice).header.Get("Retry-After"), "the rest of the 300 s")
		<-time.After(240 * time.Second)
		assert.Equal(t, http.StatusNoContent, sim.invite(alice).status)
	})
}

func TestInvalidAndUnauthorizedCallsCountAgainstTheQuota(t *testing.T) {
	sim := inProcess(t, xblsim.Options{
		Quota:  quota(t, "2/1h"),
		Faults: xblsim.Faults{ExpiredTokens: []string{bob}},
	})
	bad := validRequest()
	bad.body = "{}"
	assert.Equal(t, http.StatusBadRequest, sim.do(bad).status)
	assert.Equal(t, http.StatusBadRequest, sim.do(bad).status)
	assert.Equal(t, http.StatusTooManyRequests, sim.invite(alice).status)

	assert.Equal(t, http.StatusUnauthorized, sim.invite(bob).status)
	assert.Equal(t, http.StatusUnauthorized, sim.invite(bob).status)
	assert.Equal(t, http.StatusTooManyRequests, sim.invite(bob).status)
}

func TestEachTokenTitleAndSenderHasAQuotaOfItsOwn(t *testing.T) {
	sim := inProcess(t, xblsim.Options{Quota: quota(t, "1/1h")})
	otherTitle := inviteRequest(alice, player)
	otherTitle.path = "/titles/1/invites"
	keys := []*request{
		inviteRequest(alice, player),
		inviteRequest(bob, player),
		otherTitle,
		inviteRequest(alice, player).toServer(1),
		inviteRequest(alice, player).toServer(2),
	}
	for i, r := range keys {
		assert.Equal(t, http.StatusNoContent, sim.do(r).status, "first call of key %d", i)
	}
	for i, r := range keys {
		assert.Equal(t, http.StatusTooManyRequests, sim.do(r).status, "second call of key %d", i)
	}
}

func TestAnInvalidCallOfASenderCountsForThatSender(t *testing.T) {
	sim := inProcess(t, xblsim.Options{Quota: quota(t, "1/1h")})
	bad := inviteRequest(alice, player).toServer(7)
	bad.header.Del("X-Xbl-Contract-Version")
	assert.Equal(t, http.StatusBadRequest, sim.do(bad).status)
	assert.Equal(t, http.StatusTooManyRequests, sim.do(inviteRequest(alice, player).toServer(7)).status)
	assert.Equal(t, http.StatusNoContent, sim.do(inviteRequest(alice, player).toServer(8)).status)
}

func TestANewQuotaBeginsWithTheNextCall(t *testing.T) {
	sim := inProcess(t, xblsim.Options{Quota: quota(t, "1/1h")})
	sim.invite(alice)
	sim.SetQuota(quota(t, "2/1h"))
	assert.Equal(t, http.StatusNoContent, sim.invite(alice).status)
	assert.Equal(t, http.StatusNoContent, sim.invite(alice).status)
	assert.Equal(t, http.StatusTooManyRequests, sim.invite(alice).status)
	sim.SetQuota(nil)
	assert.Equal(t, http.StatusNoContent, sim.invite(alice).status)
	assert.Panics(t, func() { sim.SetQuota([]xblsim.Window{{Max: 1}}) })
}

func TestTheThrottledAnswerComesInSeveralForms(t *testing.T) {
	refused := func(t *testing.T, o xblsim.Options) answer {
		t.Helper()
		o.Quota = quota(t, "1/1500ms")
		sim := inProcess(t, o)
		sim.invite(alice)
		<-time.After(250 * time.Millisecond)
		a := sim.invite(alice)
		require.Equal(t, http.StatusTooManyRequests, a.status)
		return a
	}
	synctest.Test(t, func(t *testing.T) {
		a := refused(t, xblsim.Options{})
		assert.Equal(t, "2", a.header.Get("Retry-After"), "1.25 s, rounded up")
		assert.JSONEq(t, `{"version":1,"currentRequests":2,"maxRequests":1,"periodInSeconds":2,"limitType":"Rate"}`, a.body)

		a = refused(t, xblsim.Options{Throttle: xblsim.Strings})
		assert.JSONEq(t, `{"version":"1","currentRequests":"2","maxRequests":"1","periodInSeconds":"2","limitType":"Rate"}`,
			a.body)

		assert.Empty(t, refused(t, xblsim.Options{Throttle: xblsim.NoBody}).body)
		assert.NotContains(t, refused(t, xblsim.Options{RetryAfter: xblsim.NoRetryAfter}).header, "Retry-After")

		a = refused(t, xblsim.Options{RetryAfter: xblsim.HTTPDate})
		date, err := http.ParseTime(a.header.Get("Retry-After"))
		require.NoError(t, err)
		wait := time.Until(date)
		assert.GreaterOrEqual(t, wait, 1250*time.Millisecond, "the date must not be before the window ends")
		assert.Less(t, wait, 2250*time.Millisecond, "the date is rounded up by less than a second")
	})
}

func TestAWaitIsAtLeastASecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		seconds := func(value string) bool { return value == "1" }
		date := func(value string) bool {
			d, err := http.ParseTime(value)
			return err == nil && time.Until(d) >= time.Second
		}
		for form, atLeast := range map[xblsim.RetryAfter]func(string) bool{xblsim.Seconds: seconds, xblsim.HTTPDate: date} {
			<-time.After(1100 * time.Millisecond)
			sim := inProcess(t, xblsim.Options{Quota: quota(t, "1/10ms"), RetryAfter: form, Latency: time.Millisecond})
			sim.invite(alice)
			value := sim.invite(alice).header.Get("Retry-After")
			assert.True(t, atLeast(value), "Retry-After: %s", value)
		}
	})
}

func TestCallsAtOnceAreLimitedPerKey(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sim := inProcess(t, xblsim.Options{MaxConcurrent: 2, Latency: time.Second})
		statuses := make(chan int, 3)
		for range 3 {
			go func() {
				a := sim.invite(alice)
				if a.status == http.StatusTooManyRequests {
					assert.Equal(t, throttledEntity{1, 3, 2, 0, "Concurrency"}, a.throttledEntity(t))
					assert.Equal(t, "1", a.header.Get("Retry-After"))
				}
				statuses <- a.status
			}()
		}
		synctest.Wait()
		assert.Equal(t, http.StatusNoContent, sim.invite(bob).status, "another key is not limited by this one")
		assert.ElementsMatch(t, []int{204, 204, 429}, []int{<-statuses, <-statuses, <-statuses})
		assert.Equal(t, http.StatusNoContent, sim.invite(alice).status, "the calls at once are over")
	})
}

func TestIdleKeysAreForgottenAndBusyOnesNot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sim := inProcess(t, xblsim.Options{Quota: quota(t, "1/15s")})
		token := func(i int) string { return "XBL3.0 x=1;t" + strconv.Itoa(i) }
		const many = 3000 // more than the server keeps without looking for idle ones
		for i := range many {
			require.Equal(t, http.StatusNoContent, sim.invite(token(i)).status)
		}
		for i := range many {
			require.Equal(t, http.StatusTooManyRequests, sim.invite(token(i)).status, "key %d was forgotten", i)
		}
		require.Equal(t, many, sim.Keys())
		<-time.After(16 * time.Second)
		for i := range 2 * many {
			sim.invite(token(many + i))
		}
		assert.LessOrEqual(t, sim.Keys(), 2*many, "the first %d keys are idle", many)
	})
}

func TestAKeyIsNotForgottenWhileItIsBlockedOrBusy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sim := inProcess(t, xblsim.Options{
			Quota:         quota(t, "1/1500ms"),
			MaxConcurrent: 1,
			Faults:        xblsim.Faults{Slow: 1, SlowBy: 10 * time.Second},
		})
		const busy = "XBL3.0 x=1;busy"
		done := make(chan struct{})
		go func() { sim.invite(busy); close(done) }()
		synctest.Wait()
		sim.SetFaults(xblsim.Faults{})
		sim.invite(alice)
		require.Equal(t, "2", sim.invite(alice).header.Get("Retry-After"))
		<-time.After(1700 * time.Millisecond) // no window is open any more
		for i := range 3000 {
			sim.invite("XBL3.0 x=1;t" + strconv.Itoa(i))
		}
		assert.Equal(t, "Concurrency", sim.invite(busy).throttledEntity(t).LimitType)
		before := sim.Ledger().InBlock
		sim.invite(alice)
		assert.Equal(t, before+1, sim.Ledger().InBlock)
		<-done
	})
}
