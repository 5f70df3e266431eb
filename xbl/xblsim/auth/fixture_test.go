package auth_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/invitedhq/invited/xbl/xblsim/auth"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const alice = 2533274790395904

// signer is a title's service with its proof key.
type signer struct{ key *ecdsa.PrivateKey }

func newSigner(t require.TestingT) signer {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	return signer{key}
}

// proofKey is the public key as JSON.
func (s signer) proofKey(t require.TestingT) string {
	point, err := s.key.PublicKey.Bytes()
	require.NoError(t, err)
	text := base64.RawURLEncoding.EncodeToString
	return fmt.Sprintf(`{"alg":"ES256","kty":"EC","use":"sig","crv":"P-256","x":%q,"y":%q}`, text(point[1:33]), text(point[33:]))
}

// sign returns a header for a call made at a time. It is written plainly, after the documentation, and by nobody's code but the test's.
func (s signer) sign(t require.TestingT, r *request, at time.Time) string {
	since1601 := at.Sub(time.Unix(0, 0)) / 100
	ticks := uint64(since1601) + 11644473600*10_000_000
	signed := fmt.Sprintf("\x00\x00\x00\x01\x00%s\x00%s\x00%s\x00%s\x00%s\x00", bigEndian(ticks), r.method, r.path,
		r.header.Get("Authorization"), r.body[:min(len(r.body), 8192)])
	digest := sha256.Sum256([]byte(signed))
	R, S, err := ecdsa.Sign(rand.Reader, s.key, digest[:])
	require.NoError(t, err)
	raw := append([]byte("\x00\x00\x00\x01"), bigEndian(ticks)...)
	raw = append(raw, R.FillBytes(make([]byte, 32))...)
	raw = append(raw, S.FillBytes(make([]byte, 32))...)
	return base64.StdEncoding.EncodeToString(raw)
}

func bigEndian(n uint64) []byte {
	b := make([]byte, 8)
	for i := range b {
		b[i] = byte(n >> (56 - 8*i))
	}
	return b
}

// request is a call, to be spoiled by tests.
type request struct {
	method, path, body string
	header             http.Header
	tls                *tls.ConnectionState
}

func newRequest(path, body string) *request {
	return &request{method: http.MethodPost, path: path, body: body, header: http.Header{
		"Content-Type": {"application/json"}, "X-Xbl-Contract-Version": {"1"},
	}}
}

// fixture is the services, called in the process, with a title's service that has a good certificate.
type fixture struct {
	*auth.Service
	t           require.TestingT
	authority   *auth.Authority
	certificate *x509.Certificate
	signer      signer
}

// newFixture makes services whose authority signs for o, which needs none.
func newFixture(t require.TestingT, o auth.Options) *fixture {
	authority, err := auth.NewAuthority(time.Now().AddDate(10, 0, 0))
	require.NoError(t, err)
	o.ClientCAs = authority.Pool()
	f := &fixture{Service: auth.New(o), t: t, authority: authority, signer: newSigner(t)}
	f.certificate = f.partner(time.Now(), time.Now().AddDate(1, 6, 0))
	return f
}

func (f *fixture) partner(from, until time.Time) *x509.Certificate {
	pair, err := f.authority.Partner(from, until)
	require.NoError(f.t, err)
	return leaf(f.t, pair)
}

func leaf(t require.TestingT, pair auth.Pair) *x509.Certificate {
	certificate, err := pair.TLS()
	require.NoError(t, err)
	parsed, err := x509.ParseCertificate(certificate.Certificate[0])
	require.NoError(t, err)
	return parsed
}

func connection(certificates ...*x509.Certificate) *tls.ConnectionState {
	return &tls.ConnectionState{Version: tls.VersionTLS13, HandshakeComplete: true, PeerCertificates: certificates}
}

func (f *fixture) authenticateRequest() *request {
	r := newRequest("/service/authenticate",
		`{"RelyingParty":"http://auth.xboxlive.com","TokenType":"JWT","Properties":{"ProofKey":`+f.signer.proofKey(f.t)+`}}`)
	r.tls = connection(f.certificate)
	return r
}

func authorizeRequest(serviceToken, delegation string) *request {
	if delegation != "" {
		delegation = `,"DelegationToken":"` + delegation + `"`
	}
	return newRequest("/xsts/authorize", `{"RelyingParty":"http://xboxlive.com","TokenType":"JWT","Properties":{"ServiceToken":"`+
		serviceToken+`","SandboxId":"RETAIL"`+delegation+`}}`)
}

// answer is a response that was read to its end.
type answer struct {
	status int
	header http.Header
	body   string
}

// do signs a request now and returns its answer; status 0 is a dropped connection.
func (f *fixture) do(r *request) answer {
	if r.header.Get("Signature") == "" {
		r.header.Set("Signature", f.signer.sign(f.t, r, time.Now()))
	}
	return f.send(r)
}

// send is do without signing.
func (f *fixture) send(r *request) (a answer) {
	defer func() {
		if p := recover(); p != nil {
			require.Equal(f.t, http.ErrAbortHandler, p, "the only panic allowed is the one that drops the connection")
			a = answer{}
		}
	}()
	w := httptest.NewRecorder()
	f.ServeHTTP(w, r.http())
	return answerOf(f.t, w.Result())
}

func (r *request) http() *http.Request {
	out := httptest.NewRequest(r.method, "http://sim.test"+r.path, bytes.NewBufferString(r.body))
	out.RequestURI = r.path // httptest takes the whole URL, as if it went through a proxy
	out.Header = r.header.Clone()
	out.TLS = r.tls
	return out
}

func answerOf(t require.TestingT, response *http.Response) answer {
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	return answer{response.StatusCode, response.Header, string(body)}
}

// into decodes the body, which may have no fields but those of v.
func (a answer) into(t require.TestingT, v any) {
	dec := json.NewDecoder(bytes.NewBufferString(a.body))
	dec.DisallowUnknownFields()
	require.NoError(t, dec.Decode(v), "body %q", a.body)
}

type errorResponse struct{ ErrorCode, DebugMessage string }

func (a answer) errorResponse(t require.TestingT) (e errorResponse) {
	a.into(t, &e)
	return e
}

// xerr returns the number in the answer of a refusal.
func (a answer) xerr(t require.TestingT) auth.XErr {
	require.Equal(t, http.StatusUnauthorized, a.status, a.body)
	var e struct {
		Identity, Message, Redirect string
		XErr                        auth.XErr
	}
	a.into(t, &e)
	return e.XErr
}

// issued is an answer with a token.
type issued struct {
	IssueInstant, NotAfter time.Time
	Token                  string
	DisplayClaims          struct{ Xui []map[string]string }
}

func (a answer) issued(t require.TestingT) (i issued) {
	require.Equal(t, http.StatusOK, a.status, a.body)
	a.into(t, &i)
	return i
}

// serviceToken authenticates.
func (f *fixture) serviceToken() string { return f.do(f.authenticateRequest()).issued(f.t).Token }

// invite calls an invite endpoint as far as the guard; hash and token make the Authorization.
func (f *fixture) invite(path, hash, token string) *auth.Denial {
	_, denied := f.check(inviteRequest(path, hash, token))
	return denied
}

func inviteRequest(path, hash, token string) *request {
	r := newRequest(path, `{"invitedUsers":["1"]}`)
	r.header.Set("Authorization", "XBL3.0 x="+hash+";"+token)
	return r
}

func (f *fixture) check(r *request) (caller string, denied *auth.Denial) {
	r.header.Set("Signature", f.signer.sign(f.t, r, time.Now()))
	return f.Check(r.http(), r.header.Get("Authorization"), []byte(r.body), r.path == serverPath)
}

const (
	clientPath = "/titles/1/invites"
	serverPath = "/titles/1/invites/server"
)

func inFakeTime(t *testing.T, o auth.Options, test func(t *testing.T, f *fixture)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) { test(t, newFixture(t, o)) })
}

// listener is the services on a real connection.
type listener struct {
	f   *fixture
	url string
}

func startTLS(t *testing.T, f *fixture) listener {
	t.Helper()
	pair, err := f.authority.Server(time.Now().Add(time.Hour), "127.0.0.1")
	require.NoError(t, err)
	certificate, err := pair.TLS()
	require.NoError(t, err)
	server := httptest.NewUnstartedServer(f.Service)
	server.TLS = f.TLS(certificate)
	server.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelInfo)
	server.StartTLS()
	t.Cleanup(server.Close)
	return listener{f, server.URL}
}

// call makes a signed call with these client certificates, on a connection of its own.
func (l listener) call(t *testing.T, r *request, certificates ...tls.Certificate) (answer, error) {
	t.Helper()
	r.header.Set("Signature", l.f.signer.sign(t, r, time.Now()))
	transport := &http.Transport{TLSClientConfig: &tls.Config{
		RootCAs: l.f.authority.Pool(), Certificates: certificates, MinVersion: tls.VersionTLS12,
	}}
	defer transport.CloseIdleConnections()
	out, err := http.NewRequestWithContext(t.Context(), r.method, l.url+r.path, bytes.NewBufferString(r.body))
	require.NoError(t, err)
	out.Header = r.header
	response, err := transport.RoundTrip(out)
	if err != nil {
		return answer{}, err
	}
	return answerOf(t, response), nil
}
