package xblsim_test

import (
	"fmt"
	"maps"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/invitedhq/invited/xbl/xblsim"
)

func body(s string) func(*request) { return func(r *request) { r.body = s } }

func header(name string, values ...string) func(*request) {
	return func(r *request) { r.header[name] = values }
}

func serverBody(s string) func(*request) {
	return func(r *request) { r.path += "/server"; r.body = s }
}

// with is the body of a valid request with one more field.
func with(field string) string { return `{"invitedUsers":["1"],` + field + `}` }

func connection(s string) func(*request) { return body(with(`"connectionString":"` + s + `"`)) }

func users(n int) string {
	texts := make([]string, n)
	for i := range texts {
		texts[i] = fmt.Sprintf(`"%d"`, i+1)
	}
	return `{"invitedUsers":[` + strings.Join(texts, ",") + `]}`
}

func TestARequestIsAcceptedOnlyAsDocumented(t *testing.T) {
	tests := []struct {
		name  string
		spoil func(*request)
		names string // what the debugMessage must name
	}{
		{"no contract version", header("X-Xbl-Contract-Version"), "x-xbl-contract-version"},
		{"other contract version", header("X-Xbl-Contract-Version", "2"), "x-xbl-contract-version"},
		{"contract version twice", header("X-Xbl-Contract-Version", "1", "1"), "x-xbl-contract-version"},
		{"no content type", header("Content-Type"), "Content-Type"},
		{"other content type", header("Content-Type", "text/plain"), "Content-Type"},
		{"other charset", header("Content-Type", "application/json; charset=latin1"), "charset"},
		{"unreadable content type", header("Content-Type", ";;"), "Content-Type"},
		{"query", func(r *request) { r.path += "?x=1" }, "query"},

		{"other scheme", header("Authorization", "Bearer abc"), "Authorization"},
		{"no user hash", header("Authorization", "XBL3.0 x=;token"), "user hash"},
		{"no token", header("Authorization", "XBL3.0 x=1;"), "token"},
		{"no semicolon", header("Authorization", "XBL3.0 x=1"), "Authorization"},
		{"space in the token", header("Authorization", "XBL3.0 x=1;a b"), "token"},
		{"two tokens", header("Authorization", alice, bob), "Authorization"},

		{"title not a number", func(r *request) { r.path = "/titles/abc/invites" }, "titleId"},
		{"title with a leading zero", func(r *request) { r.path = "/titles/01/invites" }, "titleId"},
		{"title with a sign", func(r *request) { r.path = "/titles/+1/invites" }, "titleId"},
		{"title of more than 32 bits", func(r *request) { r.path = "/titles/4294967296/invites" }, "titleId"},

		{"no body", body(""), "object"},
		{"no object", body(`["1"]`), "object"},
		{"null", body(`null`), "object"},
		{"not JSON", body(`{"invitedUsers":["1"`), "invitedUsers"},
		{"bad UTF-8", body(with("\"connectionString\":\"\xff\"")), "UTF-8"},
		{"a second value", body(users(1) + `{}`), "follows"},
		{"garbage behind", body(users(1) + `x`), "follows"},
		{"too long", connection(strings.Repeat("x", 64<<10)), "65536"},
		{"unknown field", body(with(`"colour":"red"`)), "colour"},
		{"field in other case", body(`{"InvitedUsers":["1"]}`), "InvitedUsers"},
		{"field twice", body(with(`"invitedUsers":["2"]`)), "invitedUsers"},

		{"no users", body(`{}`), "invitedUsers"},
		{"empty users", body(users(0)), "invitedUsers"},
		{"17 users", body(users(17)), "invitedUsers"},
		{"users null", body(`{"invitedUsers":null}`), "invitedUsers"},
		{"user a number", body(`{"invitedUsers":[1]}`), "invitedUsers"},
		{"user null", body(`{"invitedUsers":["1",null]}`), "invitedUsers"},
		{"user zero", body(`{"invitedUsers":["0"]}`), "invitedUsers[0]"},
		{"user empty", body(`{"invitedUsers":["1",""]}`), "invitedUsers[1]"},
		{"user with a leading zero", body(`{"invitedUsers":["1","02"]}`), "invitedUsers[1]"},
		{"user with a sign", body(`{"invitedUsers":["+1"]}`), "invitedUsers[0]"},
		{"user with a space", body(`{"invitedUsers":["1 "]}`), "invitedUsers[0]"},
		{"user of more than 64 bits", body(`{"invitedUsers":["18446744073709551616"]}`), "invitedUsers[0]"},
		{"user twice", body(`{"invitedUsers":["1","2","1"]}`), "invitedUsers[2]"},

		{"empty connectionString", body(with(`"connectionString":""`)), "connectionString"},
		{"connectionString null", body(with(`"connectionString":null`)), "connectionString"},
		{"connectionString of 513", connection(strings.Repeat("x", 513)), "connectionString"},
		{"connectionString of 257 pairs", connection(strings.Repeat("🎮", 257)), "connectionString"},
		{"empty platform", body(with(`"platform":""`)), "platform"},
		{"platform null", body(with(`"platform":null`)), "platform"},
		{"unknown platform", body(with(`"platform":"scarlett"`)), "platform"},

		{"sender from a client", body(with(`"sender":"1"`)), "sender"},
		{"no sender from a service", serverBody(users(1)), "sender"},
		{"sender a number", serverBody(with(`"sender":1`)), "sender"},
		{"sender a name", serverBody(with(`"sender":"alice"`)), "sender"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			sim := inProcess(t, xblsim.Options{})
			r := validRequest()
			test.spoil(r)
			a := sim.do(r)
			require.Equal(t, http.StatusBadRequest, a.status)
			e := a.errorResponse(t)
			assert.Equal(t, "RequestValidationError", e.ErrorCode)
			assert.Contains(t, e.DebugMessage, test.names)
			assert.Empty(t, sim.Sent(title), "an invalid request must send nothing")
		})
	}
}

func TestADocumentedRequestIsAccepted(t *testing.T) {
	tests := map[string]func(*request){
		"one user":                    func(*request) {},
		"16 users":                    body(users(16)),
		"the largest user":            body(`{"invitedUsers":["18446744073709551615"]}`),
		"the largest title":           func(r *request) { r.path = "/titles/4294967295/invites" },
		"connectionString of 512":     connection(strings.Repeat("x", 512)),
		"connectionString, 256 pairs": connection(strings.Repeat("🎮", 256)),
		"charset":                     header("Content-Type", "application/json; charset=UTF-8"),
		"a service's token":           header("Authorization", "XBL3.0 x=-;token"),
		"service":                     serverBody(with(`"sender":"1"`)),
	}
	for p := range strings.FieldsSeq("Android IOS Nintendo PlayStation Scarlett Win32 WindowsOneCore XboxOne") {
		tests["platform "+p] = body(with(`"platform":"` + p + `"`))
	}
	for name, change := range maps.All(tests) {
		t.Run(name, func(t *testing.T) {
			sim := inProcess(t, xblsim.Options{})
			r := validRequest()
			change(r)
			a := sim.do(r)
			require.Equal(t, http.StatusNoContent, a.status, a.body)
			assert.Empty(t, a.body)
			assert.Equal(t, sim.Ledger().Unique, sim.Ledger().Recipients)
			assert.Positive(t, sim.Ledger().Recipients)
		})
	}
}

func TestAnEndpointThatIsNotThereSaysSo(t *testing.T) {
	sim := inProcess(t, xblsim.Options{})
	for _, path := range []string{
		"/", "/titles/1", "/titles/1/", "/titles/1/invite", "/titles/1/invites/", "//titles/1/invites",
		"/titles//invites", "/titles/1/invites/server/x",
	} {
		r := validRequest()
		r.path = path
		assert.Equal(t, http.StatusNotFound, sim.do(r).status, path)
	}
	for _, method := range []string{http.MethodGet, http.MethodPut, http.MethodDelete} {
		r := validRequest()
		r.method = method
		a := sim.do(r)
		assert.Equal(t, http.StatusMethodNotAllowed, a.status, method)
		assert.Equal(t, http.MethodPost, a.header.Get("Allow"))
	}
	assert.Zero(t, sim.Ledger(), "none of these is a call to an invite endpoint")
}

func TestACallWithoutTokenIsUnauthorized(t *testing.T) {
	sim := inProcess(t, xblsim.Options{})
	r := validRequest()
	r.header.Del("Authorization")
	a := sim.do(r)
	assert.Equal(t, http.StatusUnauthorized, a.status)
	assert.Equal(t, `XBL3.0 error="missing_token"`, a.header.Get("WWW-Authenticate"))
	assert.Equal(t, xblsim.Ledger{Calls: 1}, sim.Ledger())
}

func TestNoTokenIsInAnAnswer(t *testing.T) {
	sim := inProcess(t, xblsim.Options{Quota: quota(t, "3/15s"), CallLog: 10})
	for _, token := range []string{
		"secret", "XBL3.0 secret", "XBL3.0 x=secret", "XBL3.0 x=1;secret secret", "XBL3.0 x=1;secret",
	} {
		for range 4 {
			a := sim.invite(token)
			assert.NotContains(t, fmt.Sprint(a), "secret")
		}
	}
	assert.NotContains(t, fmt.Sprintf("%+v", sim.Calls()), "secret")
}
