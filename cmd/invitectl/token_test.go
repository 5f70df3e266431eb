package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/invitedhq/invited/cmd/internal/cli"
	"github.com/invitedhq/invited/xbl/tokens/wire/wiretest"
)

const secretToken = "eyJ4c3Rz.eHN0cy10b2tlbg.s1gn4ture"

// tokenConfig is a configuration file with a tokens section.
func tokenConfig(t *testing.T, section string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "invited.yaml")
	require.NoError(t, os.WriteFile(file, []byte("tokens: "+section+"\n"), 0o600))
	return file
}

// check runs the command. Nothing that it says is a secret.
func check(t *testing.T, args ...string) (status int, out, errOut string) {
	t.Helper()
	status, out, errOut = run(t, append([]string{"token", "check"}, args...)...)
	assert.NotContains(t, out+errOut, secretToken[4:20])
	assert.NotContains(t, out+errOut, "dGVsZWdhdGlvbg")
	return status, out, errOut
}

// authServices stand for Xbox Live's: they give a token of whoever delegated, and check nothing.
func authServices(t *testing.T) (a *wiretest.Authority, url string) {
	t.Helper()
	a = wiretest.NewAuthority(t)
	return a, a.Serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		claims := ""
		if strings.Contains(string(body), "DelegationToken") {
			claims = `,"DisplayClaims":{"xui":[{"gtg":"Ada\u202e","xid":"2533274790395904","uhs":"77"}]}`
		}
		fmt.Fprintf(w, `{"NotAfter":%q,"Token":%q%s}`, time.Now().Add(8*time.Hour+time.Minute).UTC().Format(time.RFC3339), secretToken, claims)
	})).URL
}

func TestATokenIsSaidToBeWhoseAndUntilWhenAndNeverShown(t *testing.T) {
	a, url := authServices(t)
	cert, key := a.Valid(t, "partner")
	delegations := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(delegations, "ada"), []byte("ZGVsZWdhdGlvbg"), 0o600))
	s2s := fmt.Sprintf("certificate_file: %s, key_file: %s, ca_file: %s, service_url: %q, xsts_url: %q", cert, key, a.CAFile, url, url)
	own := tokenConfig(t, "{source: s2s, s2s: {"+s2s+"}}")
	delegated := tokenConfig(t, fmt.Sprintf("{source: s2s, s2s: {%s, delegation_dir: %q}}", s2s, delegations))

	status, out, errOut := check(t, "--config", own)
	assert.Equal(t, cli.Done, status, errOut)
	assert.Contains(t, errOut, "xbl.audience: server", "a warning of the section")
	for _, words := range []string{"source  s2s", "of      the title's own service", "in 8 h", " UTC, in", "the first 8192 bytes"} {
		assert.Contains(t, out, words)
	}
	status, out, _ = check(t, "--config", delegated, "--sender", "ada")
	assert.Equal(t, cli.Done, status)
	assert.Regexp(t, `of      Ada *\(XUID 2533274790395904\)`, out)
	assert.NotContains(t, out, "\u202e", "a gamertag is somebody else's text")

	status, out, _ = check(t, "--config", delegated, "--sender", "ada", "--json")
	assert.Equal(t, cli.Done, status)
	var item map[string]any
	require.NoError(t, json.Unmarshal([]byte(out), &item))
	assert.Equal(t, []any{"user", "2533274790395904", true, "ada", nil},
		[]any{item["kind"], item["xuid"], item["signed"], item["sender"], item["problem"]})
	assert.InDelta(t, 8*3600+60, item["seconds"], 30)

	status, out, _ = check(t, "--config", delegated, "--sender", "bob")
	assert.Equal(t, cli.Failed, status)
	assert.Contains(t, out, "token   missing: write the sender's delegation token to "+filepath.Join(delegations, "bob"))
	assert.Contains(t, out, "somebody has to act")
}

func TestATokenIsLookedForByEverySource(t *testing.T) {
	broker := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/ada":
			fmt.Fprintf(w, `{"authorization":"XBL3.0 x=1;%s","notAfter":"2099-01-01T00:00:00Z"}`, secretToken)
		case "/late":
			fmt.Fprintf(w, `{"authorization":"XBL3.0 x=1;%s","notAfter":"2020-01-01T00:00:00Z"}`, secretToken)
		case "/busy":
			w.Header().Set("Retry-After", "30")
			w.WriteHeader(http.StatusTooManyRequests)
		default:
			http.NotFound(w, r)
		}
	}))
	defer broker.Close()
	http := tokenConfig(t, fmt.Sprintf("{source: http, http: {url: %q}}", broker.URL+"/{sender}"))
	static := tokenConfig(t, fmt.Sprintf("{static: {authorization: %q}}", "XBL3.0 x=1;"+secretToken))
	files := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(files, "ada"), []byte("XBL3.0 x=1;"+secretToken), 0o600))
	file := tokenConfig(t, fmt.Sprintf("{source: file, file: {dir: %q}}", files))
	for what, tt := range map[string]struct {
		config, sender string
		status         int
		says           string
	}{
		"static":                   {static, "ada", cli.Done, "the source does not say; when the API refuses it"},
		"file":                     {file, "ada", cli.Done, "nothing; calls carry the Authorization value alone"},
		"no file":                  {file, "bob", cli.Failed, "missing: write the sender's Authorization value to"},
		"broker":                   {http, "ada", cli.Done, "ends    2099-01-01 00:00:00 UTC, in"},
		"unknown to the broker":    {http, "bob", cli.Failed, "it does not know this sender"},
		"one that has ended":       {http, "late", cli.Failed, "invalid: one was given that ends at 2020-01-01T00:00:00Z, which is past"},
		"a broker asked too often": {http, "busy", cli.Failed, "it may be there in a while"},
	} {
		status, out, errOut := check(t, "--config", tt.config, "--sender", tt.sender)
		assert.Equal(t, tt.status, status, what)
		assert.Contains(t, out, tt.says, what)
		assert.Empty(t, errOut, what)
	}
	status, out, _ := check(t, "--config", http, "--sender", "busy", "--json")
	assert.Equal(t, cli.Failed, status)
	var item map[string]any
	require.NoError(t, json.Unmarshal([]byte(out), &item))
	assert.Equal(t, "throttled", item["problem"])
	assert.InDelta(t, 30, item["retryAfter"], 5)

	status, _, errOut := check(t, "--sender", "../x")
	assert.Equal(t, cli.WrongUse, status)
	assert.Contains(t, errOut, "--sender: a sender is")
	status, _, errOut = check(t, "--config", tokenConfig(t, "{source: s2s}"))
	assert.Equal(t, cli.Failed, status)
	assert.Contains(t, errOut, "the source s2s needs")
}
