package xblsim_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/invitedhq/invited/xbl/xblsim"
	"github.com/invitedhq/invited/xbl/xblsim/auth"
)

// title's service with what it needs to get tokens: a certificate, a proof key, and a service token.
type partner struct {
	t       *testing.T
	auth    *auth.Service
	tls     *tls.ConnectionState
	key     *ecdsa.PrivateKey
	service string
}

// withAuth returns a simulator that checks tokens, and a title's service that is authenticated there.
func withAuth(t *testing.T, o xblsim.Options) (*fixture, *partner) {
	t.Helper()
	authority, err := auth.NewAuthority(time.Now().AddDate(10, 0, 0))
	require.NoError(t, err)
	pair, err := authority.Partner(time.Now(), time.Now().AddDate(1, 0, 0))
	require.NoError(t, err)
	certificate, err := pair.TLS()
	require.NoError(t, err)
	leaf, err := x509.ParseCertificate(certificate.Certificate[0])
	require.NoError(t, err)
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	o.Auth = auth.New(auth.Options{ClientCAs: authority.Pool()})
	p := &partner{t: t, auth: o.Auth, key: key,
		tls: &tls.ConnectionState{Version: tls.VersionTLS13, PeerCertificates: []*x509.Certificate{leaf}}}
	point, err := key.PublicKey.Bytes()
	require.NoError(t, err)
	text := base64.RawURLEncoding.EncodeToString
	p.service, _ = p.post("/service/authenticate", fmt.Sprintf(`{"RelyingParty":"http://auth.xboxlive.com","TokenType":"JWT",`+
		`"Properties":{"ProofKey":{"alg":"ES256","kty":"EC","use":"sig","crv":"P-256","x":%q,"y":%q}}}`, text(point[1:33]), text(point[33:])))
	return inProcess(t, o), p
}

// post calls the auth services for a token, and returns it with its user hash.
func (p *partner) post(path, body string) (token, hash string) {
	r := httptest.NewRequest(http.MethodPost, path, strings.NewReader(body))
	r.TLS = p.tls
	r.Header = http.Header{"Content-Type": {"application/json"}, "X-Xbl-Contract-Version": {"1"}, "Signature": {p.sign(path, "", body)}}
	w := httptest.NewRecorder()
	p.auth.ServeHTTP(w, r)
	require.Equal(p.t, http.StatusOK, w.Code, w.Body)
	var issued struct {
		Token         string
		DisplayClaims struct{ Xui []struct{ Uhs string } }
	}
	require.NoError(p.t, json.Unmarshal(w.Body.Bytes(), &issued))
	if users := issued.DisplayClaims.Xui; len(users) > 0 {
		return issued.Token, users[0].Uhs
	}
	return issued.Token, "-"
}

// sign signs a POST that is made now.
func (p *partner) sign(path, authorization, body string) string {
	head := binary.BigEndian.AppendUint32(nil, 1)
	filetime := binary.BigEndian.AppendUint64(nil, uint64(time.Now().UnixMicro()+11644473600_000_000)*10)
	signed := fmt.Sprintf("%s\x00%s\x00POST\x00%s\x00%s\x00%s\x00", head, filetime, path, authorization, body)
	digest := sha256.Sum256([]byte(signed))
	r, s, err := ecdsa.Sign(rand.Reader, p.key, digest[:])
	require.NoError(p.t, err)
	raw := slices.Concat(head, filetime, r.FillBytes(make([]byte, 32)), s.FillBytes(make([]byte, 32)))
	return base64.StdEncoding.EncodeToString(raw)
}

// authorization returns a user's Authorization value, or with XUID 0 the service's own.
func (p *partner) authorization(xuid uint64) string {
	delegation := ""
	if xuid != 0 {
		text, _ := p.auth.Delegate(xuid)
		delegation = `,"DelegationToken":"` + text + `"`
	}
	token, hash := p.post("/xsts/authorize", `{"RelyingParty":"http://xboxlive.com","TokenType":"JWT","Properties":{"SandboxId":"RETAIL",`+
		`"ServiceToken":"`+p.service+`"`+delegation+`}}`)
	return "XBL3.0 x=" + hash + ";" + token
}

// signed returns a call with that Authorization, signed.
func (p *partner) signed(r *request, authorization string) *request {
	r.header.Set("Authorization", authorization)
	r.header.Set("Signature", p.sign(r.path, authorization, r.body))
	return r
}

func TestWithAuthOnlyASignedCallWithAnIssuedTokenSendsInvites(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sim, p := withAuth(t, xblsim.Options{})
		user, own := p.authorization(player), p.authorization(0)
		server := func() *request { return validRequest().toServer(player) }
		assert.Equal(t, http.StatusNoContent, sim.do(p.signed(validRequest(), user)).status)
		assert.Equal(t, http.StatusNoContent, sim.do(p.signed(server(), own)).status)
		assert.Equal(t, 2, sim.Ledger().Recipients)

		unsigned := p.signed(validRequest(), user)
		unsigned.header.Del("Signature")
		other := p.signed(validRequest(), user)
		other.body = strings.Replace(other.body, "2533274790395904", "2533274790395905", 1)
		long := p.signed(validRequest(), user)
		long.body += strings.Repeat(" ", 64<<10)
		for _, test := range []struct {
			name   string
			r      *request
			status int
			code   string
		}{
			{"a token of the documented form", p.signed(validRequest(), alice), 401, "invalid_token"},
			{"no signature", unsigned, 403, "missing_signature"},
			{"another player in the body", other, 403, "invalid_signature"},
			{"a user's token in server mode", p.signed(server(), user), 403, "audience"},
			{"a service's own token in client mode", p.signed(validRequest(), own), 403, "audience"},
			{"a body that is too long, its beginning unlike what was signed", long, 403, "invalid_signature"},
			{"an invalid body, well signed", p.signed(&request{
				method: "POST", path: validRequest().path, body: "{}", header: validRequest().header,
			}, user), 400, "RequestValidationError"},
		} {
			a := sim.do(test.r)
			assert.Equal(t, test.status, a.status, test.name)
			assert.Equal(t, test.code, a.errorResponse(t).ErrorCode, test.name)
			if test.status == http.StatusUnauthorized {
				assert.Equal(t, `XBL3.0 error="`+test.code+`"`, a.header.Get("WWW-Authenticate"))
			}
		}
		assert.Equal(t, 2, sim.Ledger().Recipients)
		time.Sleep(8 * time.Hour)
		a := sim.do(p.signed(validRequest(), user))
		assert.Equal(t, http.StatusUnauthorized, a.status)
		assert.Equal(t, `XBL3.0 error="expired_token"`, a.header.Get("WWW-Authenticate"))
	})
}

func TestANewTokenIsNoNewQuota(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sim, p := withAuth(t, xblsim.Options{Quota: quota(t, "2/15s"), CallLog: 3})
		first, second := p.authorization(player), p.authorization(player)
		assert.Equal(t, http.StatusNoContent, sim.do(p.signed(validRequest(), first)).status)
		assert.Equal(t, http.StatusNoContent, sim.do(p.signed(validRequest(), second)).status)
		p.auth.Expire()
		assert.Equal(t, http.StatusTooManyRequests, sim.do(p.signed(validRequest(), first)).status,
			"the quota is the user's, and is looked at before the token")
		assert.Equal(t, []string{xblsim.TokenKey(first), xblsim.TokenKey(second), xblsim.TokenKey(first)},
			[]string{sim.Calls()[0].Token, sim.Calls()[1].Token, sim.Calls()[2].Token})
	})
}

func TestInviteEndpointsTellTheTimeOfTheAuthServices(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sim, p := withAuth(t, xblsim.Options{})
		user := p.authorization(player)
		p.auth.SetFaults(auth.Faults{ClockOffset: -10 * time.Minute})
		a := sim.do(p.signed(validRequest(), user))
		assert.Equal(t, http.StatusForbidden, a.status)
		assert.Equal(t, "signature_time", a.errorResponse(t).ErrorCode)
		assert.Equal(t, time.Now().Add(-10*time.Minute).UTC().Format(http.TimeFormat), a.header.Get("Date"))
	})
}

func TestThePagesOfAuthAreThereWithAuthOnly(t *testing.T) {
	without := inProcess(t, xblsim.Options{})
	with, _ := withAuth(t, xblsim.Options{})
	for _, path := range []string{"/ledger/auth", "/auth/faults"} {
		assert.Equal(t, http.StatusNotFound, without.get(path).status)
		assert.Equal(t, http.StatusOK, with.get(path).status)
	}
	assert.Equal(t, http.StatusOK, with.get("/ledger").status)
}
