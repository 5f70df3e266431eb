package auth_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/invitedhq/invited/xbl/xblsim/auth"
)

// control calls a control page.
func (f *fixture) control(method, path, body string) answer {
	w := httptest.NewRecorder()
	require.True(f.t, f.ServeControl(w, httptest.NewRequest(method, path, strings.NewReader(body))))
	return answerOf(f.t, w.Result())
}

func TestAuthFaultsAreReplacedWhileTheServicesRun(t *testing.T) {
	f := newFixture(t, auth.Options{})
	all := `{"xerr":2148916227,"senders":{"2533274790395904":2148916242},"unavailable":true,"throttle":false,
		"retryAfter":"7s","slowBy":"1s","clockOffset":"-10m0s"}`
	require.Equal(t, http.StatusNoContent, f.control("PUT", "/auth/faults", all).status)
	assert.Equal(t, auth.Faults{
		XErr: auth.AccountBanned, Senders: map[uint64]auth.XErr{alice: auth.SandboxDenied}, Unavailable: true,
		RetryAfter: 7 * time.Second, SlowBy: time.Second, ClockOffset: -10 * time.Minute,
	}, f.Faults())
	shown := f.control("GET", "/auth/faults", "").body
	assert.JSONEq(t, all, shown)
	require.Equal(t, http.StatusNoContent, f.control("PUT", "/auth/faults", shown).status, "what GET shows, PUT takes")
	require.Equal(t, http.StatusNoContent, f.control("PUT", "/auth/faults", "{}").status)
	assert.Equal(t, auth.Faults{}, f.Faults(), "what a PUT leaves out is off")
}

func TestABadControlCallNamesTheFieldAndChangesNothing(t *testing.T) {
	f := newFixture(t, auth.Options{Faults: auth.Faults{SlowBy: 1}})
	for _, test := range []struct{ method, path, body, names string }{
		{"PUT", "/auth/faults", `{"xerr":-1}`, "xerr"},
		{"PUT", "/auth/faults", `{"xerr":4294967296}`, "xerr"},
		{"PUT", "/auth/faults", `{"senders":{"bob":1}}`, "senders"},
		{"PUT", "/auth/faults", `{"senders":{"1":0}}`, "senders"},
		{"PUT", "/auth/faults", `{"slowBy":"1"}`, "slowBy"},
		{"PUT", "/auth/faults", `{"slowBy":"-1s"}`, "slowBy"},
		{"PUT", "/auth/faults", `{"unavailable":true,"throttle":true}`, "unavailable"},
		{"PUT", "/auth/faults", `{"token":"secret"}`, "token"},
		{"PUT", "/auth/faults", `{}{}`, "body"},
		{"PUT", "/auth/faults", strings.Repeat(" ", 1<<20+1), "1048576"},
		{"POST", "/auth/revoke", `{}`, "tokens"},
		{"POST", "/auth/revoke", `{"tokens":"all"}`, "tokens"},
		{"POST", "/auth/revoke", `{"tokens":"service","xuid":"1"}`, "xuid"},
		{"POST", "/auth/revoke", `{"tokens":"delegation"}`, "xuid"},
		{"POST", "/auth/revoke", `{"tokens":"access","xuid":""}`, "XUID"},
		{"POST", "/auth/delegations", `{}`, "XUID"},
		{"POST", "/auth/delegations", `{"xuid":"0"}`, "XUID"},
	} {
		a := f.control(test.method, test.path, test.body)
		require.Equal(t, http.StatusBadRequest, a.status, "%.60s", test.body)
		assert.Contains(t, a.errorResponse(t).DebugMessage, test.names, "%.60s", test.body)
		assert.NotContains(t, a.body, "secret")
	}
	assert.Equal(t, auth.Faults{SlowBy: 1}, f.Faults())
	assert.Zero(t, f.Tokens())
}

func TestTokensAreEndedAndTakenBackWhileTheServicesRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, auth.Options{})
		var made struct {
			DelegationToken string
			NotAfter        time.Time
		}
		f.control("POST", "/auth/delegations", `{"xuid":"2533274790395904"}`).into(t, &made)
		assert.Equal(t, time.Now().Add(30*24*time.Hour).UTC(), made.NotAfter)
		service := f.serviceToken()
		user := f.do(authorizeRequest(service, made.DelegationToken)).issued(t)
		own := f.do(authorizeRequest(service, "")).issued(t).Token

		one := `{"tokens":1}` + "\n"
		for _, body := range []string{
			`{"tokens":"access","xuid":"2533274790395904"}`, `{"tokens":"access"}`, `{"tokens":"delegation","xuid":"2533274790395904"}`,
		} {
			assert.JSONEq(t, one, f.control("POST", "/auth/revoke", body).body, body)
		}
		assert.Equal(t, "revoked_token", f.invite(clientPath, user.DisplayClaims.Xui[0]["uhs"], user.Token).Reason)
		assert.Equal(t, "revoked_token", f.invite(serverPath, "-", own).Reason)
		assert.Equal(t, auth.DelegationInvalid, f.do(authorizeRequest(service, made.DelegationToken)).xerr(t))
		assert.JSONEq(t, `{"tokens":3}`, f.control("POST", "/auth/expire", "").body)
		assert.JSONEq(t, one, f.control("POST", "/auth/revoke", `{"tokens":"service"}`).body)
		assert.Equal(t, auth.ServiceTokenInvalid, f.do(authorizeRequest(service, "")).xerr(t))

		assert.JSONEq(t, `{"calls":5,"throttled":0,"inBlock":0,"serviceTokens":1,"accessTokens":2,
			"refused":{"xerr_8015dc26":1,"xerr_8015dc27":1},"invitesRefused":{"revoked_token":2}}`, f.control("GET", "/ledger/auth", "").body)
	})
}

func TestTheAuthPagesTakeTheirMethodsOnly(t *testing.T) {
	f := newFixture(t, auth.Options{})
	for path, allow := range map[string]string{
		"/ledger/auth": "GET", "/auth/faults": "GET, PUT", "/auth/expire": "POST", "/auth/revoke": "POST", "/auth/delegations": "POST",
	} {
		a := f.control("DELETE", path, "")
		assert.Equal(t, http.StatusMethodNotAllowed, a.status, path)
		assert.Equal(t, allow, a.header.Get("Allow"), path)
	}
	assert.False(t, f.ServeControl(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/auth", http.NoBody)))
}
