package auth_test

import (
	"crypto/elliptic"
	"encoding/base64"
	"encoding/json"
	"math/big"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/invitedhq/invited/xbl/xblsim/auth"
)

// FuzzSignature: of all headers only those that the proof key's owner made are good.
func FuzzSignature(f *testing.F) {
	all := vectors(f)
	v := all[0]
	good := make([]string, len(all))
	for i, v := range all {
		good[i] = v.header.Get("Signature")
		f.Add(good[i])
	}
	f.Add("")
	f.Add(strings.Repeat("A", 102) + "==")
	f.Add(good[0][:102] + "\r\n")
	f.Add(good[0][:101] + "B==")
	f.Fuzz(func(t *testing.T, header string) {
		v := v
		v.header = http.Header{"Signature": {header}}
		d := v.check(signedAt())
		if d == nil {
			// Whoever finds another one can forge: r and n-s is the only other form of a signature that anybody can work out.
			require.Contains(t, []string{good[0], mirrored(t, good[0])}, header)
			return
		}
		require.NotEmpty(t, d.Message)
		require.Equal(t, http.StatusForbidden, d.Status)
		at, err := auth.SignatureTime(header)
		if err != nil {
			require.Equal(t, "malformed_signature", d.Reason)
			return
		}
		raw, err := base64.StdEncoding.DecodeString(header)
		require.NoError(t, err, "what is taken apart is base64 to others too")
		require.Equal(t, header, base64.StdEncoding.EncodeToString(raw), "and has one spelling")
		require.False(t, at.IsZero())
	})
}

// mirrored returns the signature r, n-s.
func mirrored(t *testing.T, header string) string {
	raw, err := base64.StdEncoding.DecodeString(header)
	require.NoError(t, err)
	s := new(big.Int).SetBytes(raw[44:])
	s.Sub(elliptic.P256().Params().N, s).FillBytes(raw[44:])
	return base64.StdEncoding.EncodeToString(raw)
}

// FuzzProofKey: what is accepted, encoding/json reads alike, and is a point of the curve.
func FuzzProofKey(f *testing.F) {
	good := newSigner(f).proofKey(f)
	f.Add([]byte(good))
	f.Add([]byte(strings.Replace(good, `"x":"`, `"x":"A`, 1)))
	f.Add([]byte(strings.Replace(good, "{", `{"d":"AA",`, 1)))
	f.Add([]byte(`{}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		key, err := auth.ParseProofKey(text)
		if err != nil {
			require.NotContains(t, err.Error(), "\n")
			return
		}
		var other struct{ X, Y string }
		require.NoError(t, json.Unmarshal(text, &other))
		require.Equal(t, elliptic.P256(), key.Curve)
		point, err := key.Bytes()
		require.NoError(t, err)
		require.Equal(t, other.X, base64.RawURLEncoding.EncodeToString(point[1:33]))
		require.Equal(t, other.Y, base64.RawURLEncoding.EncodeToString(point[33:]))
	})
}

// FuzzAuthenticate: who gets a token sent what encoding/json finds in the body.
func FuzzAuthenticate(f *testing.F) {
	s := newFixture(f, auth.Options{})
	good := s.authenticateRequest().body
	for _, seed := range []string{good, good + " ", " " + good, good[1:], "{}", "null", strings.Replace(good, "sig", "enc", 1)} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, body string) {
		s.t = t
		r := s.authenticateRequest()
		r.body = body
		a := s.do(r)
		if a.status != http.StatusOK {
			require.Contains(t, []int{http.StatusBadRequest, http.StatusForbidden}, a.status, "403: somebody else's proof key")
			require.NotEmpty(t, a.errorResponse(t).DebugMessage)
			return
		}
		var other struct {
			RelyingParty, TokenType string
			Properties              struct{ ProofKey json.RawMessage }
		}
		require.NoError(t, json.Unmarshal([]byte(body), &other))
		require.Equal(t, "http://auth.xboxlive.com", other.RelyingParty)
		require.Equal(t, "JWT", other.TokenType)
		require.JSONEq(t, s.signer.proofKey(t), string(other.Properties.ProofKey))
		require.Empty(t, a.issued(t).DisplayClaims.Xui)
	})
}

// FuzzAuthorize: who gets a token had a service token, and is the user whose delegation token encoding/json finds in the body.
func FuzzAuthorize(f *testing.F) {
	// Tokens are random; a fixed word in a seed stands for each.
	good := authorizeRequest("SERVICE", "").body
	user := authorizeRequest("SERVICE", "USER").body
	for _, seed := range []string{
		good, user, user[1:], "{}", "null", authorizeRequest("", "").body, authorizeRequest("SERVICE", "SERVICE").body,
		strings.Replace(good, `"RETAIL"`, `"RETAIL","DelegationToken":null`, 1), strings.Replace(good, "http", "https", 1),
	} {
		f.Add(seed)
	}
	s := newFixture(f, auth.Options{})
	service := s.serviceToken()
	delegation, _ := s.Delegate(alice)
	words := strings.NewReplacer("SERVICE", service, "USER", delegation)
	f.Fuzz(func(t *testing.T, body string) {
		s.t = t
		r := authorizeRequest("", "")
		r.body = words.Replace(body)
		a := s.do(r)
		switch a.status {
		case http.StatusBadRequest:
			require.NotEmpty(t, a.errorResponse(t).DebugMessage)
			require.NotContains(t, a.body, service)
			require.NotContains(t, a.body, delegation)
		case http.StatusUnauthorized:
			require.NotZero(t, a.xerr(t))
		default:
			var other struct {
				Properties struct{ ServiceToken, DelegationToken string }
			}
			require.NoError(t, json.Unmarshal([]byte(r.body), &other))
			require.Equal(t, service, other.Properties.ServiceToken)
			users := a.issued(t).DisplayClaims.Xui
			require.Equal(t, other.Properties.DelegationToken == delegation, len(users) == 1)
			require.Equal(t, other.Properties.DelegationToken == "", len(users) == 0)
		}
	})
}

// FuzzPutAuthFaults: what is accepted is valid, and can be put again.
func FuzzPutAuthFaults(f *testing.F) {
	for _, seed := range []string{
		`{}`, `{"xerr":1,"senders":{"1":2}}`, `{"slowBy":"1ns","clockOffset":"-1h"}`, `{"senders":{"01":1}}`, `[`,
	} {
		f.Add(seed)
	}
	s := newFixture(f, auth.Options{})
	f.Fuzz(func(t *testing.T, body string) {
		s.t = t
		if a := s.control("PUT", "/auth/faults", body); a.status != http.StatusNoContent {
			require.Equal(t, http.StatusBadRequest, a.status)
			require.NotEmpty(t, a.errorResponse(t).DebugMessage)
			return
		}
		faults := s.Faults()
		require.NoError(t, faults.Validate())
		shown := s.control("GET", "/auth/faults", "").body
		require.Equal(t, http.StatusNoContent, s.control("PUT", "/auth/faults", shown).status)
		require.Equal(t, shown, s.control("GET", "/auth/faults", "").body)
	})
}
