package xblsim_test

import (
	"bytes"
	"context"
	"log/slog"
	"math"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/invitedhq/invited/xbl/xblsim"
)

func TestEachFaultOverARealConnection(t *testing.T) {
	one := xblsim.Ledger{Calls: 1}
	recorded := xblsim.Ledger{Calls: 1, Recipients: 1, Unique: 1}
	tests := []struct {
		name   string
		faults xblsim.Faults
		status int // 0: the connection is dropped
		want   xblsim.Ledger
		header http.Header
	}{
		{"none", xblsim.Faults{}, 204, recorded, nil},
		{"500", xblsim.Faults{Error500: 1}, 500, one, http.Header{"Retry-After": nil}},
		{"503", xblsim.Faults{Error503: 1}, 503, one, http.Header{"Retry-After": nil}},
		{"503 with Retry-After", xblsim.Faults{Error503RetryAfter: 1}, 503, one, http.Header{"Retry-After": {"5"}}},
		{"reset before", xblsim.Faults{ResetBefore: 1}, 0, one, nil},
		{"reset after", xblsim.Faults{ResetAfter: 1}, 0, recorded, nil},
		{"slow", xblsim.Faults{Slow: 1, SlowBy: time.Millisecond}, 204, recorded, nil},
		{"refused player", xblsim.Faults{RefusedXUIDs: []uint64{player}}, 400, one, nil},
		{"forbidden player", xblsim.Faults{ForbiddenXUIDs: []uint64{player}}, 400, one, nil},
		{"expired token", xblsim.Faults{ExpiredTokens: []string{alice}}, 401, one,
			http.Header{"Www-Authenticate": {`XBL3.0 error="expired_token"`}}},
		{"expired token by its key", xblsim.Faults{ExpiredTokens: []string{xblsim.TokenKey(alice)}}, 401, one, nil},
		{"reset after a refusal", xblsim.Faults{ResetAfter: 1, RefusedXUIDs: []uint64{player}}, 0, one, nil},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			sim := overHTTP(t, xblsim.Options{Faults: test.faults})
			a, err := sim.try(inviteRequest(alice, player))
			if test.status == 0 {
				require.Error(t, err, "the connection must be dropped without an answer")
			} else {
				require.NoError(t, err)
			}
			assert.Equal(t, test.status, a.status)
			for name, values := range test.header {
				assert.Equal(t, values, a.header[name], name)
			}
			assert.Equal(t, test.want, sim.Ledger())
		})
	}
}

func TestAStreamOfHTTP2IsDroppedToo(t *testing.T) {
	sim := xblsim.New(xblsim.Options{Faults: xblsim.Faults{ResetAfter: 1}})
	server := httptest.NewUnstartedServer(sim)
	server.EnableHTTP2 = true
	server.StartTLS()
	defer server.Close()
	f := &fixture{Server: sim, t: t, base: server.URL, send: server.Client().Do}
	_, err := f.try(inviteRequest(alice, player))
	require.Error(t, err)
	assert.Equal(t, xblsim.Ledger{Calls: 1, Recipients: 1, Unique: 1}, sim.Ledger())
	sim.SetFaults(xblsim.Faults{})
	assert.Equal(t, http.StatusNoContent, f.invite(alice).status)
}

func TestARefusedPlayerCostsTheWholeCall(t *testing.T) {
	sim := inProcess(t, xblsim.Options{Faults: xblsim.Faults{RefusedXUIDs: []uint64{7}, ForbiddenXUIDs: []uint64{8}}})
	e := sim.do(inviteRequest(alice, 1, 7, 2)).errorResponse(t)
	assert.Equal(t, "RequestValidationError", e.ErrorCode)
	assert.NotContains(t, e.DebugMessage, "7", "the service does not say which one")
	e = sim.do(inviteRequest(alice, 1, 7, 8)).errorResponse(t)
	assert.Regexp(t, "^AuthorizationError: ", e.ErrorCode, "the long form that the service documents")
	assert.Empty(t, sim.Sent(title))
	assert.Equal(t, http.StatusNoContent, sim.do(inviteRequest(alice, 1, 2)).status)
}

func TestASlowCallIsRecordedBeforeItsAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sim := inProcess(t, xblsim.Options{Latency: 20 * time.Millisecond, Faults: xblsim.Faults{Slow: 1}})
		begin := time.Now()
		done := make(chan struct{})
		go func() { sim.invite(alice); close(done) }()
		synctest.Wait()
		assert.Equal(t, 1, sim.Ledger().Recipients, "recorded before the wait, so that a client's timeout is ambiguous")
		<-done
		assert.Equal(t, 30*time.Second+20*time.Millisecond, time.Since(begin), "latency and the default delay")
	})
}

func TestAClientsTimeoutOfASlowCallIsAmbiguous(t *testing.T) {
	sim := overHTTP(t, xblsim.Options{Faults: xblsim.Faults{Slow: 1, SlowBy: time.Hour}})
	ctx, timeout := context.WithCancel(t.Context())
	defer timeout()
	send := sim.send
	sim.send = func(r *http.Request) (*http.Response, error) { return send(r.WithContext(ctx)) }
	tried := make(chan error, 1)
	go func() {
		_, err := sim.try(inviteRequest(alice, player))
		tried <- err
	}()
	require.Eventually(t, func() bool { return sim.Ledger().Recipients == 1 }, 30*time.Second, time.Millisecond, "the call counts, though it has no answer")
	timeout()
	require.ErrorIs(t, <-tried, context.Canceled)
}

func TestThrottlingComesBeforeFaults(t *testing.T) {
	sim := inProcess(t, xblsim.Options{Quota: quota(t, "1/1h"), Faults: xblsim.Faults{Error500: 1}})
	assert.Equal(t, http.StatusInternalServerError, sim.invite(alice).status)
	assert.Equal(t, http.StatusTooManyRequests, sim.invite(alice).status, "the failed call counts against the quota")
}

func TestInAnOutageEveryCallFailsAndCounts(t *testing.T) {
	sim := inProcess(t, xblsim.Options{Quota: quota(t, "50/1h"), Faults: xblsim.Faults{Outage: true}, CallLog: 60})
	seen := map[int]int{}
	for range 60 {
		a, _ := sim.try(inviteRequest(alice, player))
		seen[a.status]++
	}
	assert.Len(t, seen, 3)
	for _, status := range []int{0, 500, 503} {
		assert.Positive(t, seen[status], "status %d", status)
	}
	assert.Equal(t, xblsim.Ledger{Calls: 60}, sim.Ledger())
	sim.SetFaults(xblsim.Faults{})
	assert.Equal(t, http.StatusTooManyRequests, sim.invite(alice).status)
}

// faultsOf returns the faults that n calls suffer.
func faultsOf(t *testing.T, o xblsim.Options, n int) []string {
	t.Helper()
	o.CallLog = n
	sim := inProcess(t, o)
	for range n {
		_, _ = sim.try(inviteRequest(alice, player))
	}
	faults := make([]string, 0, n)
	for _, c := range sim.Calls() {
		faults = append(faults, c.Fault)
	}
	return faults
}

func TestRatesAreMetAndASeedRepeatsItsFaults(t *testing.T) {
	o := xblsim.Options{Seed: 1, Faults: xblsim.Faults{
		Error500: 0.1, Error503: 0.1, Error503RetryAfter: 0.2, ResetBefore: 0.1, ResetAfter: 0.1, Slow: 0.1, SlowBy: 1,
	}}
	const n = 5000
	first := faultsOf(t, o, n)
	assert.Equal(t, first, faultsOf(t, o, n))
	o.Seed = 2
	assert.NotEqual(t, first, faultsOf(t, o, n))

	share := map[string]float64{}
	for _, f := range first {
		share[f] += 1.0 / n
	}
	want := map[string]float64{"": 0.3, "error500": 0.1, "error503": 0.1, "error503RetryAfter": 0.2,
		"resetBefore": 0.1, "resetAfter": 0.1, "slow": 0.1}
	for fault, rate := range want {
		assert.InDelta(t, rate, share[fault], 0.02, "fault %q", fault)
	}
}

func TestFaultsThatMakeNoSenseAreRefused(t *testing.T) {
	tests := map[string]xblsim.Faults{
		"error500":      {Error500: -0.1},
		"error503":      {Error503: 1.1},
		"resetBefore":   {ResetBefore: math.NaN()},
		"rates":         {ResetAfter: 0.6, Slow: 0.5},
		"slow":          {SlowBy: -1},
		"Retry-After":   {RetryAfter: -1},
		"token 2 of 2":  {ExpiredTokens: []string{alice, "my-secret"}},
		"token 1 of 1:": {ExpiredTokens: []string{"0123456789abcdeX"}},
	}
	sim := inProcess(t, xblsim.Options{})
	for name, f := range tests {
		err := f.Validate()
		require.ErrorContains(t, err, name)
		assert.NotContains(t, err.Error(), "secret")
		assert.Panics(t, func() { sim.SetFaults(f) }, name)
	}
	assert.NoError(t, xblsim.Faults{Error500: 0.7, Error503: 0.1, ResetBefore: 0.1, Slow: 0.1}.Validate(),
		"a rounding error is no error")
}

func TestFaultsKeepsNothingOfItsCaller(t *testing.T) {
	refused := []uint64{1}
	sim := inProcess(t, xblsim.Options{Faults: xblsim.Faults{RefusedXUIDs: refused}})
	refused[0] = player
	sim.Faults().RefusedXUIDs[0] = player
	assert.Equal(t, []uint64{1}, sim.Faults().RefusedXUIDs)
	assert.Equal(t, http.StatusNoContent, sim.invite(alice).status)
}

func TestTheLogHasACallPerLineWithoutItsToken(t *testing.T) {
	var log bytes.Buffer
	debug := slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	sim := inProcess(t, xblsim.Options{Logger: debug})
	sim.invite(alice)
	assert.Contains(t, log.String(), "token="+xblsim.TokenKey(alice))
	assert.Contains(t, log.String(), "status=204")
	assert.NotContains(t, log.String(), "secret")
	assert.Equal(t, 1, bytes.Count(log.Bytes(), []byte("\n")))

	log.Reset()
	sim = inProcess(t, xblsim.Options{Logger: slog.New(slog.NewTextHandler(&log, nil))})
	sim.invite(alice)
	assert.Empty(t, log.String(), "at info level there is no line per call")
}

func TestFaultNamesAreThoseOfTheJSON(t *testing.T) {
	sim := inProcess(t, xblsim.Options{})
	var fields map[string]any
	sim.get("/faults").into(t, &fields)
	for _, f := range slices.Compact(slices.Sorted(slices.Values(faultsOf(t, xblsim.Options{Faults: xblsim.Faults{
		Error500: 0.2, Error503: 0.2, Error503RetryAfter: 0.2, ResetBefore: 0.2, ResetAfter: 0.1, Slow: 0.1, SlowBy: 1,
	}}, 200)))) {
		assert.Contains(t, fields, f)
	}
}
