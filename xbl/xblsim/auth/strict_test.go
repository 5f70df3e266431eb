package auth_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/invitedhq/invited/xbl/xblsim/auth"
)

func replace(old, by string) func(*request) {
	return func(r *request) { r.body = strings.Replace(r.body, old, by, 1) }
}

func body(s string) func(*request) { return func(r *request) { r.body = s } }

func header(name string, values ...string) func(*request) {
	return func(r *request) { r.header[name] = values }
}

// spoilt is a request that is nearly right.
type spoilt struct {
	name  string
	spoil func(*request)
	names string // what the debugMessage must name
}

func ofBoth() []spoilt {
	return []spoilt{
		{"no contract version", header("X-Xbl-Contract-Version"), "x-xbl-contract-version"},
		{"contract version twice", header("X-Xbl-Contract-Version", "1", "1"), "x-xbl-contract-version"},
		{"other content type", header("Content-Type", "text/plain"), "Content-Type"},
		{"query", func(r *request) { r.path += "?x=1" }, "query"},
		{"Authorization", header("Authorization", "XBL3.0 x=-;secret"), "Authorization"},
		{"no body", body(""), "body"},
		{"null", body("null"), "RelyingParty"},
		{"an array", body("[]"), "body"},
		{"half a body", replace("}}", ""), "body"},
		{"a second value", replace("}}", "}}{}"), "body"},
		{"too long", replace("}}", "}}"+strings.Repeat(" ", 64<<10)), "65536"},
		{"unknown field", replace("{", `{"Colour":"red",`), "Colour"},
		{"unknown property", replace(`"Properties":{`, `"Properties":{"SiteName":"x",`), "Properties/SiteName"},
		{"field in other case", replace("RelyingParty", "relyingParty"), "relyingParty"},
		{"field twice", replace("{", `{"TokenType":"JWT",`), "TokenType"},
		{"a number as a string", replace(`"JWT"`, "1"), "TokenType"},
		{"no relying party", replace("http://", "ftp://"), "RelyingParty"},
		{"a slash behind the relying party", replace(`xboxlive.com"`, `xboxlive.com/"`), "RelyingParty"},
		{"other token type", replace("JWT", "SAML"), "TokenType"},
		{"properties null", func(r *request) {
			before, _, _ := strings.Cut(r.body, `"Properties":`)
			r.body = before + `"Properties":null}`
		}, "Properties/"},
	}
}

func TestAServiceIsAuthenticatedOnlyAsDocumented(t *testing.T) {
	x := newSigner(t).proofKey(t)
	other := x[strings.Index(x, `"x":"`)+5:][:43]
	coordinate := func(value string) func(*request) {
		return func(r *request) {
			at := strings.Index(r.body, `"x":"`) + 5
			r.body = r.body[:at] + value + r.body[at+43:]
		}
	}
	checkSpoilt(t, func(f *fixture) *request { return f.authenticateRequest() }, append(ofBoth(), []spoilt{
		{"https", replace("http://auth", "https://auth"), "RelyingParty"},
		{"other algorithm", replace("ES256", "RS256"), "ProofKey/alg"},
		{"no algorithm", replace(`"alg":"ES256",`, ""), "ProofKey/alg"},
		{"other key type", replace(`"EC"`, `"RSA"`), "ProofKey/kty"},
		{"other use", replace(`"sig"`, `"enc"`), "ProofKey/use"},
		{"other curve", replace("P-256", "P-384"), "ProofKey/crv"},
		{"the private key", replace(`"x":`, `"d":"secret","x":`), "ProofKey/d"},
		{"no x", coordinate(""), "ProofKey/x"},
		{"x too short", coordinate(other[:42]), "ProofKey/x"},
		{"x with padding", coordinate(other + "="), "ProofKey/x"},
		{"x with line breaks", coordinate(other + `\n`), "ProofKey/x"},
		{"x with bits behind its end", coordinate(other[:42] + loose(other[42:])), "ProofKey/x"},
		{"x in plain base64", coordinate("+/" + other[2:]), "ProofKey/x"},
		{"another x", coordinate(other), "curve"},
		{"zero", func(r *request) {
			coordinate(strings.Repeat("A", 43))(r)
			r.body = r.body[:strings.Index(r.body, `"y":"`)+5] + strings.Repeat("A", 43) + `"}}}`
		}, "curve"},
	}...))
}

// loose returns the character that stands for the same bits and for one more, which has no place in 32 bytes.
func loose(last string) string {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	return string(alphabet[strings.Index(alphabet, last)+1])
}

func TestATokenIsIssuedOnlyAsDocumented(t *testing.T) {
	checkSpoilt(t, func(f *fixture) *request { return authorizeRequest(f.serviceToken(), "") }, append(ofBoth(), []spoilt{
		{"other relying party", replace("http://xboxlive.com", "http://auth.xboxlive.com"), "RelyingParty"},
		{"no service token", replace("ServiceToken", "DelegationToken"), "ServiceToken"},
		{"no sandbox", replace(`"RETAIL"`, `""`), "SandboxId"},
		{"user tokens", replace("}}", `,"UserTokens":["secret"]}}`), "UserTokens"},
		{"delegation token empty", replace("}}", `,"DelegationToken":""}}`), "DelegationToken"},
		{"delegation token null", replace("}}", `,"DelegationToken":null}}`), "DelegationToken"},
		{"delegation token a list", replace("}}", `,"DelegationToken":["secret"]}}`), "DelegationToken"},
	}...))
}

func checkSpoilt(t *testing.T, valid func(*fixture) *request, tests []spoilt) {
	t.Helper()
	f := newFixture(t, auth.Options{})
	require.Equal(t, http.StatusOK, f.do(valid(f)).status)
	before := f.Tokens()
	for _, test := range tests {
		r := valid(f)
		was := fmt.Sprint(*r)
		test.spoil(r)
		require.NotEqual(t, was, fmt.Sprint(*r), "%s: must spoil something", test.name)
		issued := f.Tokens()
		a := f.do(r)
		require.Equal(t, http.StatusBadRequest, a.status, test.name)
		assert.Contains(t, a.errorResponse(t).DebugMessage, test.names, test.name)
		assert.NotContains(t, a.body, "secret", test.name)
		assert.NotContains(t, a.body, "xblsim-", "%s: no part of a token may come back", test.name)
		assert.Equal(t, issued, f.Tokens(), "%s: nothing may be issued", test.name)
	}
	assert.LessOrEqual(t, before, f.Tokens())
	assert.Equal(t, map[string]int{"invalid_request": len(tests)}, f.Ledger().Refused)
}

func TestWhatIsNotThereSaysSo(t *testing.T) {
	f := newFixture(t, auth.Options{})
	for _, path := range []string{"/", "/service/authenticate/", "/xsts", "//xsts/authorize", "/xsts%2Fauthorize", "/auth/faults"} {
		r := authorizeRequest("x", "")
		r.path = path
		assert.Equal(t, http.StatusNotFound, f.do(r).status, path)
	}
	for _, path := range []string{"/service/authenticate", "/xsts/authorize"} {
		a := f.do(&request{method: http.MethodGet, path: path, header: http.Header{}})
		assert.Equal(t, http.StatusMethodNotAllowed, a.status)
		assert.Equal(t, "POST", a.header.Get("Allow"))
	}
	assert.Zero(t, f.Ledger().Calls)
}

func TestOptionsThatMakeNoSenseAreNamed(t *testing.T) {
	pool := newFixture(t, auth.Options{}).authority.Pool()
	for name, o := range map[string]auth.Options{
		"client CAs":      {},
		"service life":    {ClientCAs: pool, ServiceLife: -1},
		"access life":     {ClientCAs: pool, AccessLife: -1},
		"delegation life": {ClientCAs: pool, DelegationLife: -1},
		"in-flight grace": {ClientCAs: pool, InFlightGrace: -1},
		"skew":            {ClientCAs: pool, Skew: -1},
		"latency":         {ClientCAs: pool, Latency: -1},
		"max body":        {ClientCAs: pool, MaxBody: -1},
		"quota":           {ClientCAs: pool, Quota: make([]window, 1)},
		"slowBy":          {ClientCAs: pool, Faults: auth.Faults{SlowBy: -1}},
		"retryAfter":      {ClientCAs: pool, Faults: auth.Faults{RetryAfter: -1}},
		"senders":         {ClientCAs: pool, Faults: auth.Faults{Senders: map[uint64]auth.XErr{alice: 0}}},
		"unavailable":     {ClientCAs: pool, Faults: auth.Faults{Unavailable: true, Throttle: true}},
	} {
		require.ErrorContains(t, o.Validate(), name)
		assert.Panics(t, func() { auth.New(o) }, name)
	}
}
