package main

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/invitedhq/invited/cmd/internal/cli"
)

// certificates runs the command, and returns the directory with what it made.
func certificates(t *testing.T, flags ...string) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "certificates")
	var out, errOut bytes.Buffer
	require.Zero(t, cli.Run(t.Context(), newCommand(&out, &errOut), append([]string{"certificates", dir}, flags...)), errOut.String())
	assert.Contains(t, out.String(), "xblsim --auth-listen 127.0.0.1:8443 --tls-cert "+filepath.Join(dir, "server.pem"))
	return dir
}

// startAuth runs the command with auth services on a free port, and returns their URL too.
func startAuth(t *testing.T, dir string, flags ...string) (sim *running, url string) {
	t.Helper()
	file := func(name string) string { return filepath.Join(dir, name) }
	sim = start(t, append([]string{"--auth-listen", "127.0.0.1:0", "--tls-cert", file("server.pem"), "--tls-key", file("server-key.pem"),
		"--auth-client-ca", file("ca.pem")}, flags...)...)
	return sim, sim.authURL
}

// client trusts the authority, and shows a certificate if told so.
func client(t *testing.T, dir string, partner bool) *http.Client {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(dir, "ca.pem"))
	require.NoError(t, err)
	config := &tls.Config{RootCAs: x509.NewCertPool(), MinVersion: tls.VersionTLS12}
	require.True(t, config.RootCAs.AppendCertsFromPEM(text))
	if partner {
		pair, err := tls.LoadX509KeyPair(filepath.Join(dir, "partner.pem"), filepath.Join(dir, "partner-key.pem"))
		require.NoError(t, err)
		config.Certificates = []tls.Certificate{pair}
	}
	return &http.Client{Transport: &http.Transport{TLSClientConfig: config, DisableKeepAlives: true}}
}

func post(t *testing.T, c *http.Client, url, body string) (status int, answer string, err error) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, strings.NewReader(body))
	require.NoError(t, err)
	r.Header = http.Header{"Content-Type": {"application/json"}, "X-Xbl-Contract-Version": {"1"}}
	response, err := c.Do(r)
	if err != nil {
		return 0, "", err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	return response.StatusCode, string(text), nil
}

func TestTheCommandPlaysTheAuthServicesWithCertificatesOfItsOwn(t *testing.T) {
	dir := certificates(t)
	sim, url := startAuth(t, dir, "--auth-quota", "3/1h")

	const noKey = `{"RelyingParty":"http://auth.xboxlive.com","TokenType":"JWT","Properties":{"ProofKey":{}}}`
	_, _, err := post(t, client(t, dir, false), url+"/service/authenticate", noKey)
	require.Error(t, err, "without the partner's certificate the connection is dropped")
	status, answer, err := post(t, client(t, dir, true), url+"/service/authenticate", noKey)
	require.NoError(t, err)
	assert.Equal(t, http.StatusBadRequest, status, "with it the request is looked at")
	assert.Contains(t, answer, "ProofKey/alg")
	const unknown = `{"RelyingParty":"http://xboxlive.com","TokenType":"JWT","Properties":{"ServiceToken":"x","SandboxId":"RETAIL"}}`
	status, answer, err = post(t, client(t, dir, false), url+"/xsts/authorize", unknown)
	require.NoError(t, err)
	assert.Equal(t, http.StatusUnauthorized, status)
	assert.Contains(t, answer, "2148916263")

	assert.Equal(t, http.StatusUnauthorized, sim.invite(http.DefaultClient, "XBL3.0 x=1;secret", "1"), "invites need an issued token now")
	assert.Contains(t, string(sim.body), "invalid_token")
	status, answer, err = post(t, http.DefaultClient, sim.url+"/auth/delegations", `{"xuid":"1"}`)
	require.NoError(t, err)
	assert.Equal(t, http.StatusOK, status)
	assert.Contains(t, answer, "delegationToken")
	assert.Zero(t, sim.stop())
	assert.Equal(t, `{"calls":1,"throttled":0,"inBlock":0,"recipients":0,"unique":0,"duplicates":0}`+"\n", sim.out.String())
	assert.Contains(t, sim.log.String(), "no client certificate")
}

func TestCertificatesAreForTheHostsAndTheTimeThatWereAskedFor(t *testing.T) {
	dir := certificates(t, "--host", "sim.test", "--host", "192.0.2.1", "--for", "1h")
	pair, err := tls.LoadX509KeyPair(filepath.Join(dir, "server.pem"), filepath.Join(dir, "server-key.pem"))
	require.NoError(t, err)
	server, err := x509.ParseCertificate(pair.Certificate[0])
	require.NoError(t, err)
	assert.Equal(t, []string{"sim.test"}, server.DNSNames)
	assert.Len(t, server.IPAddresses, 1)
	assert.WithinDuration(t, time.Now().Add(time.Hour), server.NotAfter, time.Minute)
}

func TestCertificatesLosesNoKey(t *testing.T) {
	dir := certificates(t)
	for _, name := range []string{"server-key.pem", "partner-key.pem"} {
		info, err := os.Stat(filepath.Join(dir, name))
		require.NoError(t, err)
		assert.Equal(t, os.FileMode(0o600), info.Mode().Perm(), "%s is for its owner only", name)
	}
	before, err := os.ReadFile(filepath.Join(dir, "server-key.pem"))
	require.NoError(t, err)
	var out, errOut bytes.Buffer
	assert.Equal(t, 1, cli.Run(t.Context(), newCommand(&out, &errOut), []string{"certificates", dir}))
	assert.Contains(t, errOut.String(), "server-key.pem")
	after, err := os.ReadFile(filepath.Join(dir, "server-key.pem"))
	require.NoError(t, err)
	assert.Equal(t, before, after)
}

func TestWrongUseOfTheAuthFlagsIsExplained(t *testing.T) {
	dir := certificates(t)
	file := func(name string) string { return filepath.Join(dir, name) }
	good := []string{"--auth-listen", "127.0.0.1:0", "--tls-cert", file("server.pem"), "--tls-key", file("server-key.pem"),
		"--auth-client-ca", file("ca.pem")}
	for _, test := range []struct {
		args  []string
		names string
	}{
		{[]string{"--auth-skew", "1m"}, "--auth-listen"},
		{[]string{"--tls-cert", file("server.pem")}, "--auth-listen"},
		{[]string{"--auth-listen", "8443"}, "--auth-listen"},
		{good[:2], "--auth-client-ca"},
		{[]string{"--auth-listen", ":0", "--auth-client-ca", file("ca.pem")}, "xblsim certificates"},
		{append(good[:7:7], file("server-key.pem")), "--auth-client-ca"},
		{append(good[:7:7], file("none.pem")), "none.pem"},
		{append(good[:3:3], append([]string{file("partner.pem")}, good[4:]...)...), "--tls-cert"},
		{append(good[:8:8], "--auth-quota", "15"), "--auth-quota"},
		{append(good[:8:8], "--auth-token-life", "-1s"), "access life"},
		{append(good[:8:8], "--auth-fault-xerr", "-1"), "--auth-fault-xerr"},
		{[]string{"certificates"}, "directory"},
		{[]string{"certificates", dir, "--for", "0s"}, "--for"},
	} {
		var out, errOut bytes.Buffer
		assert.Equal(t, 2, cli.Run(t.Context(), newCommand(&out, &errOut), test.args), "%q", test.args)
		assert.Contains(t, errOut.String(), test.names, "%q", test.args)
		assert.Empty(t, out.String())
	}
}

func TestAnAuthAddressInUseEndsWith1(t *testing.T) {
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer listener.Close()
	dir := certificates(t)
	var out, errOut bytes.Buffer
	assert.Equal(t, 1, cli.Run(t.Context(), newCommand(&out, &errOut), []string{"--listen", "127.0.0.1:0",
		"--auth-listen", listener.Addr().String(), "--tls-cert", filepath.Join(dir, "server.pem"),
		"--tls-key", filepath.Join(dir, "server-key.pem"), "--auth-client-ca", filepath.Join(dir, "ca.pem")}))
	assert.Contains(t, errOut.String(), "--auth-listen")
}
