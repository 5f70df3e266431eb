package xblsim_test

import (
	"context"
	"io"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/invitedhq/invited/xbl/xblsim"
)

// blocked returns a simulator whose key alice was just told to wait 10 s.
func blocked(t *testing.T, o xblsim.Options) *fixture {
	t.Helper()
	o.Quota = quota(t, "1/10s")
	sim := inProcess(t, o)
	require.Equal(t, http.StatusNoContent, sim.invite(alice).status)
	require.Equal(t, http.StatusTooManyRequests, sim.invite(alice).status)
	require.Zero(t, sim.Ledger().InBlock, "the call that was told to wait is not to blame")
	return sim
}

func TestACallInsideTheRetryAfterIsInBlock(t *testing.T) {
	tests := []struct {
		name  string
		after time.Duration
		want  int
	}{
		{"at once", 0, 1},
		{"in the middle", 5 * time.Second, 1},
		{"just before the end", 10*time.Second - 1, 1},
		{"at the end", 10 * time.Second, 0},
		{"later", time.Hour, 0},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				sim := blocked(t, xblsim.Options{})
				<-time.After(test.after)
				sim.invite(alice)
				assert.Equal(t, test.want, sim.Ledger().InBlock)
			})
		})
	}
}

func TestABlockIsOfItsKeyOnly(t *testing.T) {
	sim := blocked(t, xblsim.Options{})
	sim.invite(bob)
	other := inviteRequest(alice, player)
	other.path = "/titles/1/invites"
	sim.do(other)
	assert.Zero(t, sim.Ledger().InBlock)
}

func TestEveryKindOfCallCanBeInBlock(t *testing.T) {
	sim := blocked(t, xblsim.Options{})
	bad := validRequest()
	bad.body = "{}"
	sim.do(bad)
	sim.SetQuota(nil)
	sim.invite(alice)
	assert.Equal(t, 2, sim.Ledger().InBlock, "an invalid call, and one that is let through, broke the block all the same")
}

// A Retry-After is rounded up, so it may end after the window: the client was told so and must keep to it.
func TestABlockEndsWhereTheClientWasTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sim := inProcess(t, xblsim.Options{Quota: quota(t, "1/1500ms")})
		sim.invite(alice)
		require.Equal(t, "2", sim.invite(alice).header.Get("Retry-After"))
		<-time.After(1700 * time.Millisecond)
		assert.Equal(t, http.StatusNoContent, sim.invite(alice).status, "a new window")
		assert.Equal(t, 1, sim.Ledger().InBlock, "the 2 s have not passed")
	})
}

func TestTheLatestEndOfSeveralBlocksCounts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sim := inProcess(t, xblsim.Options{Quota: quota(t, "1/10s")})
		sim.invite(alice)
		sim.invite(alice) // wait until 10 s
		<-time.After(500 * time.Millisecond)
		require.Equal(t, "10", sim.invite(alice).header.Get("Retry-After"), "9.5 s rounded up: wait until 10.5 s")
		<-time.After(time.Second)
		require.Equal(t, "9", sim.invite(alice).header.Get("Retry-After"), "8.5 s rounded up: wait until 10.5 s")
		require.Equal(t, 2, sim.Ledger().InBlock)
		<-time.After(8800 * time.Millisecond) // 10.3 s
		sim.invite(alice)
		assert.Equal(t, 3, sim.Ledger().InBlock)
		<-time.After(200 * time.Millisecond) // 10.5 s
		sim.invite(alice)
		assert.Equal(t, 3, sim.Ledger().InBlock)
	})
}

func TestACallUnderWayBeforeTheAnswerIsNotInBlock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sim := inProcess(t, xblsim.Options{Quota: quota(t, "1/10s"), Latency: time.Second})
		done := make(chan struct{}, 3)
		for range 3 {
			go func() { sim.invite(alice); done <- struct{}{} }()
			<-time.After(300 * time.Millisecond)
		}
		for range 3 {
			<-done
		}
		assert.Equal(t, xblsim.Ledger{Calls: 3, Throttled: 2, Recipients: 1, Unique: 1}, sim.Ledger(),
			"no call arrived after the first refusal was answered")
		sim.invite(alice)
		assert.Equal(t, 1, sim.Ledger().InBlock)
	})
}

// The handler is entered, and the body still comes, while the refusal goes out.
func TestACallThatArrivedBeforeTheAnswerIsNotInBlockHoweverSlowItsBody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sim := inProcess(t, xblsim.Options{Quota: quota(t, "1/10s")})
		sim.invite(alice)
		r := inviteRequest(alice, player)
		in, out := io.Pipe()
		slow := r.http(sim)
		slow.Body = in
		done := make(chan struct{})
		go func() {
			defer close(done)
			resp, err := sim.send(slow)
			if assert.NoError(t, err) {
				assert.NoError(t, resp.Body.Close())
			}
		}()
		synctest.Wait()
		sim.invite(alice) // refused
		_, err := io.WriteString(out, r.body)
		require.NoError(t, err)
		require.NoError(t, out.Close())
		<-done
		assert.Equal(t, 2, sim.Ledger().Throttled)
		assert.Zero(t, sim.Ledger().InBlock)
	})
}

func TestTheGraceExcusesCallsOnTheNetwork(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sim := blocked(t, xblsim.Options{InFlightGrace: 50 * time.Millisecond})
		<-time.After(50*time.Millisecond - 1)
		sim.invite(alice)
		assert.Zero(t, sim.Ledger().InBlock)
		<-time.After(1)
		sim.invite(alice)
		assert.Equal(t, 1, sim.Ledger().InBlock, "the grace begins once, not again with each refusal")
	})
}

func TestA503WithRetryAfterBlocksToo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sim := inProcess(t, xblsim.Options{Faults: xblsim.Faults{Error503RetryAfter: 1, RetryAfter: 1500 * time.Millisecond}})
		require.Equal(t, "2", sim.invite(alice).header.Get("Retry-After"))
		sim.SetFaults(xblsim.Faults{})
		<-time.After(2*time.Second - 1)
		sim.invite(alice)
		<-time.After(1)
		sim.invite(alice)
		assert.Equal(t, xblsim.Ledger{Calls: 3, InBlock: 1, Recipients: 2, Unique: 1, Duplicates: 1}, sim.Ledger())
	})
}

func TestWithoutRetryAfterNothingIsInBlock(t *testing.T) {
	sim := blocked(t, xblsim.Options{RetryAfter: xblsim.NoRetryAfter})
	sim.invite(alice)
	assert.Zero(t, sim.Ledger().InBlock)
}

func TestADateBlocksUntilThatDate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		<-time.After(300 * time.Millisecond) // between two seconds, where a date must be rounded
		sim := inProcess(t, xblsim.Options{Quota: quota(t, "1/10s"), RetryAfter: xblsim.HTTPDate})
		sim.invite(alice)
		date, err := http.ParseTime(sim.invite(alice).header.Get("Retry-After"))
		require.NoError(t, err)
		<-time.After(time.Until(date) - 1)
		sim.invite(alice)
		require.Equal(t, 1, sim.Ledger().InBlock)
		date, err = http.ParseTime(sim.invite(alice).header.Get("Retry-After"))
		require.NoError(t, err)
		before := sim.Ledger().InBlock
		<-time.After(time.Until(date))
		sim.invite(alice)
		assert.Equal(t, before, sim.Ledger().InBlock)
	})
}

func TestAClientThatLeftIsNotToldToWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sim := inProcess(t, xblsim.Options{Quota: quota(t, "1/10s"), Latency: time.Second})
		sim.invite(alice)
		r := inviteRequest(alice, player).http(sim)
		ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
		defer cancel()
		_, err := sim.send(r.WithContext(ctx)) //nolint:bodyclose // there is no answer
		require.ErrorIs(t, err, io.ErrUnexpectedEOF)
		<-time.After(time.Second)
		sim.invite(alice)
		assert.Equal(t, 2, sim.Ledger().Throttled)
		assert.Zero(t, sim.Ledger().InBlock)
	})
}
