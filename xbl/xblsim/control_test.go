package xblsim_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/invitedhq/invited/xbl/xblsim"
)

func (f *fixture) putFaults(body string) answer {
	return f.do(&request{method: http.MethodPut, path: "/faults", body: body})
}

func TestFaultsAreReplacedWhileTheServerRuns(t *testing.T) {
	sim := overHTTP(t, xblsim.Options{})
	all := `{"error500":0.1,"error503":0.1,"error503RetryAfter":0.1,"resetBefore":0.1,"resetAfter":0.1,"slow":0.5,
		"slowBy":"1m30s","retryAfter":"7s","refusedXuids":["1"],"forbiddenXuids":["2"],
		"expiredTokens":["` + xblsim.TokenKey(bob) + `"],"outage":true}`
	require.Equal(t, http.StatusNoContent, sim.putFaults(all).status)
	assert.Equal(t, xblsim.Faults{
		Error500: 0.1, Error503: 0.1, Error503RetryAfter: 0.1, ResetBefore: 0.1, ResetAfter: 0.1, Slow: 0.5,
		SlowBy: 90 * time.Second, RetryAfter: 7 * time.Second,
		RefusedXUIDs: []uint64{1}, ForbiddenXUIDs: []uint64{2}, ExpiredTokens: []string{xblsim.TokenKey(bob)}, Outage: true,
	}, sim.Faults())
	assert.JSONEq(t, all, sim.get("/faults").body)

	got := sim.get("/faults").body
	require.Equal(t, http.StatusNoContent, sim.putFaults(got).status, "what GET shows, PUT takes")
	assert.Equal(t, got, sim.get("/faults").body)

	require.Equal(t, http.StatusNoContent, sim.putFaults(`{}`).status)
	assert.Equal(t, http.StatusNoContent, sim.invite(alice).status, "what a PUT leaves out is off")
}

func TestATokenGivenAsAFaultIsNotShown(t *testing.T) {
	sim := inProcess(t, xblsim.Options{})
	require.Equal(t, http.StatusNoContent, sim.putFaults(`{"expiredTokens":["`+alice+`"]}`).status)
	assert.Equal(t, http.StatusUnauthorized, sim.invite(alice).status)
	assert.Equal(t, http.StatusNoContent, sim.invite(bob).status)
	shown := sim.get("/faults").body
	assert.Contains(t, shown, xblsim.TokenKey(alice))
	assert.NotContains(t, shown, "secret")
}

func TestABadPutNamesTheFieldAndChangesNothing(t *testing.T) {
	tests := []struct{ body, names string }{
		{``, "body"},
		{`{"error500":`, "body"},
		{`[]`, "body"},
		{`{"error500":"secret"}`, "error500"},
		{`{"error500":2}`, "error500"},
		{`{"error500":0.6,"slow":0.6}`, "rates"},
		{`{"slowBy":"30"}`, "slowBy"},
		{`{"slowBy":"-30s"}`, "slow"},
		{`{"retryAfter":5}`, "retryAfter"},
		{`{"refusedXuids":["0"]}`, "refusedXuids[0]"},
		{`{"refusedXuids":[1]}`, "refusedXuids/0"},
		{`{"forbiddenXuids":["1","x"]}`, "forbiddenXuids[1]"},
		{`{"expiredTokens":["secret"]}`, "token 1 of 1"},
		{`{"expiredTokens":"XBL3.0 x=1;secret"}`, "expiredTokens"},
		{`{"error404":1}`, "error404"},
		{`{"slow":0.1,"slow":0.2}`, "slow"},
		{`{} {}`, "body"},
		{`{"refusedXuids":["` + strings.Repeat("1", 2<<20) + `"]}`, "1048576"},
	}
	sim := inProcess(t, xblsim.Options{Faults: xblsim.Faults{RefusedXUIDs: []uint64{5}}})
	before := sim.Faults()
	for _, test := range tests {
		a := sim.putFaults(test.body)
		require.Equal(t, http.StatusBadRequest, a.status, "%.60s", test.body)
		assert.Contains(t, a.errorResponse(t).DebugMessage, test.names, "%.60s", test.body)
		assert.NotContains(t, a.body, "secret", "a value may be a token")
		assert.Equal(t, before, sim.Faults())
	}
}

func TestTheControlPagesTakeTheirMethodsOnly(t *testing.T) {
	sim := inProcess(t, xblsim.Options{})
	assert.Equal(t, "ok\n", sim.get("/healthz").body)
	for path, allow := range map[string]string{
		"/ledger": "GET", "/ledger/recipients": "GET", "/healthz": "GET", "/faults": "GET, PUT",
	} {
		a := sim.do(&request{method: http.MethodDelete, path: path})
		assert.Equal(t, http.StatusMethodNotAllowed, a.status, path)
		assert.Equal(t, allow, a.header.Get("Allow"), path)
	}
}
