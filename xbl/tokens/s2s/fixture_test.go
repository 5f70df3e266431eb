package s2s

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/invitedhq/invited/xbl/tokens/wire/wiretest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// What the stand-in gives, and what no error may say.
const (
	serviceText    = "eyJzZXJ2aWNl.c2VydmljZS10b2tlbg.s1gn"
	delegationText = "eyJkZWxlZ2F0.ZGVsZWdhdGlvbi10b2tlbg.s1gn"
	xstsText       = "eyJ4c3Rz.eHN0cy10b2tlbg.s1gn"
)

// auth stands for both services. It checks what a client of theirs must get right, with code of its own.
type auth struct {
	t      *testing.T
	url    string
	mu     sync.Mutex
	key    *ecdsa.PublicKey // of the last authenticate
	seen   []string         // the requests, and whether each was as it should be
	clock  time.Duration    // ahead of this machine
	strict bool             // 403 for a signature of another time
	other  bool             // another XSTS token than before
	// answer is given instead, for a path; nil, or status 0: none.
	answer func(path string) (status int, body string)
	bodies []map[string]any
}

func newAuth(t *testing.T) (*auth, *wiretest.Authority, Options) {
	t.Helper()
	a := &auth{t: t}
	authority := wiretest.NewAuthority(t)
	a.url = authority.Serve(t, a).URL
	cert, key := authority.Valid(t, "partner")
	return a, authority, Options{CertificateFile: cert, KeyFile: key, CAFile: authority.CAFile, ServiceURL: a.url, XSTSURL: a.url + "/"}
}

func (a *auth) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	a.mu.Lock()
	defer a.mu.Unlock()
	now := time.Now().Add(a.clock)
	w.Header().Set("Date", now.UTC().Format(http.TimeFormat))
	body, _ := io.ReadAll(r.Body)
	var request map[string]any
	assert.NoError(a.t, json.Unmarshal(body, &request))
	a.bodies = append(a.bodies, request)
	properties, _ := request["Properties"].(map[string]any)
	if r.URL.Path == "/service/authenticate" {
		a.key = publicKey(a.t, properties["ProofKey"].(map[string]any))
	}
	at, ok := a.signed(r, body)
	off := at.Sub(now).Abs() > 5*time.Minute
	a.seen = append(a.seen, fmt.Sprint(r.Method, " ", r.URL.Path, " signed:", ok, " cert:", r.TLS.PeerCertificates[0].Subject.CommonName,
		" v", r.Header.Get("X-Xbl-Contract-Version")))
	if a.strict && off {
		w.WriteHeader(http.StatusForbidden)
		return
	}
	if a.answer != nil {
		if status, text := a.answer(r.URL.Path); status != 0 {
			w.WriteHeader(status)
			fmt.Fprint(w, text)
			return
		}
	}
	claims := ""
	token := serviceText
	end := now.Add(14 * 24 * time.Hour)
	if r.URL.Path == "/xsts/authorize" {
		token, end = xstsText, now.Add(8*time.Hour)
		if a.other {
			token += "2"
		}
		if properties["DelegationToken"] != nil {
			claims = `,"DisplayClaims":{"xui":[{"gtg":"Ada","xid":"2533274790395904","uhs":"1234567890","agg":"Adult","prv":"1"}]}`
		}
	}
	fmt.Fprintf(w, `{"IssueInstant":%q,"NotAfter":%q,"Token":%q%s}`, now.UTC().Format(sevenDigits), end.UTC().Format(sevenDigits), token, claims)
}

const sevenDigits = "2006-01-02T15:04:05.0000000Z"

// signed verifies the request's signature, byte by byte as the documentation has it.
func (a *auth) signed(r *http.Request, body []byte) (time.Time, bool) {
	raw, err := base64.StdEncoding.DecodeString(r.Header.Get("Signature"))
	if err != nil || len(raw) != 76 || a.key == nil {
		return time.Time{}, false
	}
	message := bytes.Join([][]byte{
		raw[:4], raw[4:12], []byte(r.Method), []byte(r.RequestURI), []byte(r.Header.Get("Authorization")), body[:min(len(body), 8192)], nil,
	}, []byte{0})
	ticks := binary.BigEndian.Uint64(raw[4:12])
	at := time.Unix(int64(ticks/1e7)-11644473600, int64(ticks%1e7)*100)
	return at, verify(a.t, a.key, r.Header.Get("Signature"), message)
}

func publicKey(t *testing.T, jwk map[string]any) *ecdsa.PublicKey {
	assert.Equal(t, "ES256 EC sig P-256", fmt.Sprint(jwk["alg"], " ", jwk["kty"], " ", jwk["use"], " ", jwk["crv"]))
	point := []byte{4}
	for _, name := range []string{"x", "y"} {
		raw, err := base64.RawURLEncoding.DecodeString(jwk[name].(string))
		assert.NoError(t, err)
		assert.Len(t, raw, 32)
		point = append(point, raw...)
	}
	key, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), point)
	assert.NoError(t, err)
	return key
}

func newSource(t *testing.T, o Options) *Source {
	t.Helper()
	s, err := New(o)
	require.NoError(t, err)
	t.Cleanup(s.Close)
	return s
}

func quoted(s string) string { return strconv.Quote(s) }
