package auth_test

import (
	"crypto/tls"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/invitedhq/invited/xbl/xblsim/auth"
)

func TestATitlesServiceGetsATokenOfItsOwn(t *testing.T) {
	inFakeTime(t, auth.Options{}, func(t *testing.T, f *fixture) {
		now := time.Now().UTC()
		service := f.do(f.authenticateRequest()).issued(t)
		assert.Equal(t, now, service.IssueInstant)
		assert.Equal(t, now.Add(14*24*time.Hour), service.NotAfter)

		for _, party := range []string{"http://xboxlive.com", "https://xboxlive.com"} {
			r := authorizeRequest(service.Token, "")
			r.body = strings.Replace(r.body, "http://xboxlive.com", party, 1)
			a := f.do(r)
			access := a.issued(t)
			assert.Equal(t, now.Add(8*time.Hour), access.NotAfter)
			assert.NotContains(t, a.body, "DisplayClaims", "there is no user to tell of")
			assert.Nil(t, f.invite(serverPath, "-", access.Token))
		}
		assert.Equal(t, auth.Ledger{Calls: 3, ServiceTokens: 1, AccessTokens: 2, Refused: map[string]int{}, InvitesRefused: map[string]int{}},
			f.Ledger())
	})
}

func TestADelegationTokenGetsAUsersToken(t *testing.T) {
	inFakeTime(t, auth.Options{}, func(t *testing.T, f *fixture) {
		delegation, notAfter := f.Delegate(alice)
		assert.Equal(t, time.Now().Add(30*24*time.Hour), notAfter)
		access := f.do(authorizeRequest(f.serviceToken(), delegation)).issued(t)
		require.Len(t, access.DisplayClaims.Xui, 1)
		user := access.DisplayClaims.Xui[0]
		assert.Equal(t, "2533274790395904", user["xid"])
		for _, claim := range []string{"agg", "gtg", "prv", "xid", "uhs"} {
			assert.NotEmpty(t, user[claim], claim)
		}
		caller, denied := f.check(inviteRequest(clientPath, user["uhs"], access.Token))
		assert.Nil(t, denied)
		assert.Equal(t, "user 2533274790395904", caller)
	})
}

func TestAConnectionWithoutAGoodCertificateIsDropped(t *testing.T) {
	inFakeTime(t, auth.Options{}, func(t *testing.T, f *fixture) {
		stranger := newFixture(t, auth.Options{})
		server, err := f.authority.Server(time.Now().Add(time.Hour), "localhost")
		require.NoError(t, err)
		old := connection(f.certificate)
		old.Version = tls.VersionTLS11
		for name, state := range map[string]*tls.ConnectionState{
			"no TLS":                         nil,
			"TLS 1.1":                        old,
			"no certificate":                 connection(),
			"another authority's":            connection(stranger.certificate),
			"ended":                          connection(f.partner(time.Now().Add(-2*time.Hour), time.Now().Add(-time.Second))),
			"not begun":                      connection(f.partner(time.Now().Add(time.Minute), time.Now().Add(time.Hour))),
			"a server's":                     connection(leaf(t, server)),
			"a good one behind a stranger's": connection(stranger.certificate, f.certificate),
		} {
			r := f.authenticateRequest()
			r.tls = state
			assert.Zero(t, f.do(r).status, "%s: no answer", name)
		}
		assert.Equal(t, map[string]int{"certificate": 8}, f.Ledger().Refused)
		assert.Zero(t, f.Ledger().ServiceTokens)
	})
}

func TestAConnectionMayOutliveItsCertificate(t *testing.T) {
	inFakeTime(t, auth.Options{}, func(t *testing.T, f *fixture) {
		f.certificate = f.partner(time.Now(), time.Now().Add(time.Hour))
		require.NotEmpty(t, f.serviceToken())
		time.Sleep(time.Hour + time.Second)
		assert.Zero(t, f.do(f.authenticateRequest()).status)
	})
}

func TestTokensEndInTime(t *testing.T) {
	o := auth.Options{ServiceLife: time.Hour, AccessLife: time.Minute, DelegationLife: 2 * time.Minute}
	inFakeTime(t, o, func(t *testing.T, f *fixture) {
		service := f.serviceToken()
		delegation, _ := f.Delegate(alice)
		access := f.do(authorizeRequest(service, "")).issued(t).Token
		time.Sleep(time.Minute - time.Nanosecond)
		assert.Nil(t, f.invite(serverPath, "-", access))
		time.Sleep(time.Nanosecond)
		denied := f.invite(serverPath, "-", access)
		require.NotNil(t, denied, "at NotAfter it has ended")
		assert.Equal(t, http.StatusUnauthorized, denied.Status)
		assert.Equal(t, "expired_token", denied.Reason)

		require.Equal(t, http.StatusOK, f.do(authorizeRequest(service, delegation)).status)
		time.Sleep(time.Minute)
		assert.Equal(t, auth.DelegationExpired, f.do(authorizeRequest(service, delegation)).xerr(t))
		time.Sleep(58 * time.Minute)
		assert.Equal(t, auth.ServiceTokenExpired, f.do(authorizeRequest(service, "")).xerr(t))
	})
}

func TestTokensCanBeTakenBack(t *testing.T) {
	inFakeTime(t, auth.Options{}, func(t *testing.T, f *fixture) {
		service := f.serviceToken()
		delegation, _ := f.Delegate(alice)
		user := f.do(authorizeRequest(service, delegation)).issued(t)
		hash := user.DisplayClaims.Xui[0]["uhs"]
		own := f.do(authorizeRequest(service, "")).issued(t).Token

		assert.Equal(t, 1, f.RevokeAccess(alice))
		assert.Equal(t, "revoked_token", f.invite(clientPath, hash, user.Token).Reason)
		assert.Nil(t, f.invite(serverPath, "-", own), "that is somebody else's")
		assert.Equal(t, http.StatusOK, f.do(authorizeRequest(service, delegation)).status, "a new one can be had")

		assert.Equal(t, 1, f.RevokeAccess(0))
		assert.Equal(t, "revoked_token", f.invite(serverPath, "-", own).Reason)

		assert.Equal(t, 1, f.RevokeDelegations(alice))
		assert.Equal(t, auth.DelegationInvalid, f.do(authorizeRequest(service, delegation)).xerr(t))

		assert.Equal(t, 1, f.RevokeServices())
		assert.Equal(t, auth.ServiceTokenInvalid, f.do(authorizeRequest(service, "")).xerr(t))
		assert.Zero(t, f.RevokeServices(), "each once")
	})
}

func TestAllTokensCanBeEndedAtOnce(t *testing.T) {
	inFakeTime(t, auth.Options{}, func(t *testing.T, f *fixture) {
		service := f.serviceToken()
		own := f.do(authorizeRequest(service, "")).issued(t).Token
		assert.Equal(t, 2, f.Expire())
		assert.Equal(t, "expired_token", f.invite(serverPath, "-", own).Reason)
		assert.Equal(t, auth.ServiceTokenExpired, f.do(authorizeRequest(service, "")).xerr(t))
		assert.Zero(t, f.Expire())
		assert.NotEqual(t, service, f.serviceToken(), "and new ones can be had")
	})
}

func TestATokenIsGoodOnlyWithItsProofKey(t *testing.T) {
	inFakeTime(t, auth.Options{}, func(t *testing.T, f *fixture) {
		service := f.serviceToken()
		own := f.do(authorizeRequest(service, "")).issued(t).Token
		f.signer = newSigner(t)
		a := f.do(authorizeRequest(service, ""))
		assert.Equal(t, http.StatusForbidden, a.status)
		assert.Equal(t, "invalid_signature", a.errorResponse(t).ErrorCode)
		denied := f.invite(serverPath, "-", own)
		require.NotNil(t, denied)
		assert.Equal(t, http.StatusForbidden, denied.Status)

		r := f.authenticateRequest()
		r.header.Set("Signature", newSigner(t).sign(t, r, time.Now()))
		assert.Equal(t, http.StatusForbidden, f.send(r).status, "the proof key must be in the caller's hands")
		assert.Equal(t, map[string]int{"invalid_signature": 2}, f.Ledger().Refused)
		assert.Equal(t, map[string]int{"invalid_signature": 1}, f.Ledger().InvitesRefused)
	})
}

func TestAnInviteIsForWhomTheTokenIs(t *testing.T) {
	inFakeTime(t, auth.Options{}, func(t *testing.T, f *fixture) {
		service := f.serviceToken()
		delegation, _ := f.Delegate(alice)
		user := f.do(authorizeRequest(service, delegation)).issued(t)
		hash := user.DisplayClaims.Xui[0]["uhs"]
		own := f.do(authorizeRequest(service, "")).issued(t).Token
		tests := []struct {
			name, path, hash, token string
			status                  int
			reason                  string
		}{
			{"a service's own token on /invites", clientPath, "-", own, 403, "audience"},
			{"a user's token on /invites/server", serverPath, hash, user.Token, 403, "audience"},
			{"another user's hash", clientPath, "1", user.Token, 401, "user_hash"},
			{"a user's token as a service's", clientPath, "-", user.Token, 401, "user_hash"},
			{"a service's token as a user's", serverPath, hash, own, 401, "user_hash"},
			{"a token that nobody issued", serverPath, "-", own + "x", 401, "invalid_token"},
			{"a service token", serverPath, "-", service, 401, "invalid_token"},
			{"a delegation token", clientPath, hash, delegation, 401, "invalid_token"},
		}
		for _, test := range tests {
			denied := f.invite(test.path, test.hash, test.token)
			require.NotNil(t, denied, test.name)
			assert.Equal(t, test.status, denied.Status, test.name)
			assert.Equal(t, test.reason, denied.Reason, test.name)
			assert.NotContains(t, denied.Message, test.token, test.name)
		}
		r := inviteRequest(serverPath, "-", own)
		_, denied := f.Check(r.http(), r.header.Get("Authorization"), []byte(r.body), true)
		assert.Equal(t, "missing_signature", denied.Reason)
	})
}

func TestAServiceTokenIsForOneSandbox(t *testing.T) {
	inFakeTime(t, auth.Options{Sandbox: "XDKS.1"}, func(t *testing.T, f *fixture) {
		r := authorizeRequest(f.serviceToken(), "")
		assert.Equal(t, auth.SandboxDenied, f.do(r).xerr(t))
		r = authorizeRequest(f.serviceToken(), "")
		r.body = strings.Replace(r.body, "RETAIL", "XDKS.1", 1)
		assert.Equal(t, http.StatusOK, f.do(r).status)
	})
}

func TestEndedTokensAreForgottenInTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, auth.Options{DelegationLife: time.Minute})
		for range 5000 {
			f.Delegate(alice)
			time.Sleep(time.Second)
		}
		assert.Less(t, f.Tokens(), 10_000)
		for range 20_000 {
			f.Delegate(alice)
			time.Sleep(time.Second)
		}
		assert.Less(t, f.Tokens(), 10_000, "those of the last hour and a minute, and as many that wait to be swept")
	})
}

func TestTheServicesSpeakTLSOnARealConnection(t *testing.T) {
	f := newFixture(t, auth.Options{})
	server := startTLS(t, f)
	pair, err := f.authority.Partner(time.Now().Add(-time.Minute), time.Now().Add(time.Hour))
	require.NoError(t, err)
	certificate, err := pair.TLS()
	require.NoError(t, err)

	_, err = server.call(t, f.authenticateRequest())
	require.Error(t, err, "without a certificate the connection is dropped")
	a, err := server.call(t, f.authenticateRequest(), certificate)
	require.NoError(t, err)
	service := a.issued(t).Token
	a, err = server.call(t, authorizeRequest(service, ""))
	require.NoError(t, err, "the second endpoint needs none")
	assert.Nil(t, f.invite(serverPath, "-", a.issued(t).Token))

	stranger := newFixture(t, auth.Options{})
	pair, err = stranger.authority.Partner(time.Now().Add(-time.Minute), time.Now().Add(time.Hour))
	require.NoError(t, err)
	certificate, err = pair.TLS()
	require.NoError(t, err)
	_, err = server.call(t, f.authenticateRequest(), certificate)
	require.Error(t, err)
	assert.Equal(t, map[string]int{"certificate": 2}, f.Ledger().Refused)
}
