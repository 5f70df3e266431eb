package main

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nats-server/v2/conf"
	"github.com/nats-io/nkeys"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/invitedhq/invited/cmd/internal/harness"
)

// The tests in this file run the real programs against NATS servers that want TLS, certificates or credentials.

func TestAServerWithTLSTakesNoPlainText(t *testing.T) {
	s := startSecured(t)
	conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", s.Address(0))
	require.NoError(t, err)
	defer conn.Close()
	require.NoError(t, conn.SetDeadline(time.Now().Add(10*time.Second)))
	_, err = fmt.Fprintf(conn, "CONNECT {\"user\":\"producer\",\"pass\":%q,\"verbose\":false}\r\nPUB invites.jobs.730.ada 2\r\n{}\r\nPING\r\n",
		producer.password())
	require.NoError(t, err)
	said, _ := io.ReadAll(bufio.NewReader(conn)) // until the server hangs up, in whichever way
	assert.NotContains(t, string(said), "PONG")
}

func TestAWorkerDoesNotTrustAServerOfAnotherAuthority(t *testing.T) {
	s := startSecured(t)
	other := newAuthority(t)
	for what, c := range map[string]struct{ nats, says string }{
		"another authority's file": {
			fmt.Sprintf("{url: %q, tls: {ca_file: %q}}", s.url(working), other.file), "of a server that " + other.file + " vouches for",
		},
		"none": {fmt.Sprintf("{url: %q}", s.url(working)), "this system's authorities do not vouch for the server"},
		"a file that is not there": {
			fmt.Sprintf("{url: %q, tls: {ca_file: %q}}", s.url(working), other.file+".gone"), other.file + ".gone",
		},
	} {
		status, errOut := serve(t, c.nats)
		assert.Equal(t, 1, status, what)
		assert.Contains(t, errOut, c.says, what)
		assert.NotContains(t, errOut, working.password())
	}
	status, _, errOut := programs.Run(t, harness.Invitectl, "dead", "ls", "--all", "--nats-url", s.url(operator), "--tls-ca", other.file)
	assert.Equal(t, 1, status)
	assert.Contains(t, errOut, other.file)
	assert.NotContains(t, errOut, operator.password())
}

func TestWhatAsksForTLSSendsNothingWithoutIt(t *testing.T) {
	server := programs.NATS(t)
	status, errOut := serve(t, fmt.Sprintf("{url: %q}", "tls://worker:s3cret@"+server.Address(0)))
	assert.Equal(t, 1, status)
	assert.Contains(t, errOut, "the server has no TLS")
	assert.NotContains(t, errOut, "s3cret")
}

func TestAWrongPasswordEndsAWorkerThatStarts(t *testing.T) {
	s := startSecured(t)
	status, errOut := serve(t, fmt.Sprintf("{url: %q, tls: {ca_file: %q}}", "tls://worker:n0t-it@"+s.Address(0), s.authority.file))
	assert.Equal(t, 1, status)
	assert.Contains(t, errOut, "is it the right password?")
	assert.NotContains(t, errOut, "n0t-it")
}

func TestAPasswordThatIsBeingChangedEndsNoWorkerThatWorks(t *testing.T) {
	config := filepath.Join(t.TempDir(), "nats.conf")
	set := func(password string) {
		require.NoError(t, os.WriteFile(config, fmt.Appendf(nil,
			"jetstream: {store_dir: $NATS_STORE_DIR}\nauthorization: {user: worker, password: %q}\n", password), 0o600))
	}
	set("s3cret-old")
	server := programs.NATSWith(t, config)
	sim := programs.Sim(t)
	worker := programs.Worker(t, harness.WorkerOptions{NATS: "nats://worker:s3cret-old@" + server.Address(0), API: sim.URL, Config: "log: {level: debug}"})
	restart := func() {
		server.Servers[0].Kill()
		server.Servers[0].Start()
		server.AwaitReady()
	}
	set("s3cret-new")
	restart()
	harness.Until(t, 20*time.Second, "the worker was refused more than twice", func() bool {
		return strings.Count(worker.Stderr(), "the connection to NATS is refused; it is tried again for ever") > 3
	})
	assert.False(t, worker.Ready())
	set("s3cret-old")
	restart()
	worker.AwaitReady()
	worker.Stop()
	assert.NotContains(t, worker.Stderr(), "s3cret-")
}

func TestMutualTLS(t *testing.T) {
	dir := t.TempDir()
	here, err := filepath.Abs(deployed)
	require.NoError(t, err)
	for _, name := range []string{"users.conf", "permissions.conf"} { // an include is relative to its file
		text, err := os.ReadFile(filepath.Join(here, name))
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), text, 0o600))
	}
	config := filepath.Join(dir, "mutual.conf")
	require.NoError(t, os.WriteFile(config, []byte(`
jetstream: {store_dir: $NATS_STORE_DIR}
tls: {cert_file: $NATS_CERT_FILE, key_file: $NATS_KEY_FILE, ca_file: $NATS_CA_FILE, verify: true}
include "users.conf"
`), 0o600))
	a := newAuthority(t)
	s := secured{programs.NATSWith(t, config, a.serverEnv(t)...), a}
	sim := programs.Sim(t)
	cert, key := a.issue(t, "client")
	worker := programs.Worker(t, harness.WorkerOptions{
		NATS: s.url(working), API: sim.URL, TLS: fmt.Sprintf("{ca_file: %q, cert_file: %q, key_file: %q}", a.file, cert, key),
	})
	status, out, errOut := s.invitectl(t, producer, "send", "--title", "730", "--to", "1", "--wait", "--tls-cert", cert, "--tls-key", key)
	assert.Zero(t, status, errOut)
	assert.Contains(t, out, "1 sent")
	worker.Stop()

	strange, strangeKey := newAuthority(t).issue(t, "client")
	for what, flags := range map[string][]string{
		"no certificate":                  nil,
		"another authority's certificate": {"--tls-cert", strange, "--tls-key", strangeKey},
	} {
		status, out, errOut := s.invitectl(t, producer, append([]string{"send", "--title", "730", "--to", "1"}, flags...)...)
		assert.Equal(t, 1, status, what)
		assert.Empty(t, out, what)
		assert.Contains(t, errOut, "name a certificate and a key file that its authority vouches for", what)
	}
	status, errOut = serve(t, fmt.Sprintf("{url: %q, tls: {ca_file: %q}}", s.url(working), a.file))
	assert.Equal(t, 1, status)
	assert.Contains(t, errOut, "name a certificate and a key file that its authority vouches for")
	assert.NotContains(t, errOut, working.password())
}

// TestCredentialsFilesOfAnOperatorModeServer has one account with a signing key for each role, which has the permissions of
// deploy/nats. A worker's are too long to stand in each user's own JWT: a server takes lines of 4 KiB from who connects.
func TestCredentialsFilesOfAnOperatorModeServer(t *testing.T) {
	o := newOperatorMode(t)
	server := programs.NATSWith(t, o.config)
	sim := programs.Sim(t)
	worker := programs.Worker(t, harness.WorkerOptions{NATS: server.URL(), API: sim.URL, Creds: o.creds(t, working, time.Hour)})
	invitectl := func(r role, args ...string) (status int, out, errOut string) {
		return programs.Run(t, harness.Invitectl, append(args, "--nats-url", server.URL(), "--credentials", o.creds(t, r, time.Hour))...)
	}
	status, out, errOut := invitectl(producer, "send", "--title", "730", "--to", "1", "--wait")
	assert.Zero(t, status, errOut)
	assert.Contains(t, out, "1 sent")
	status, _, errOut = invitectl(operator, "dead", "ls", "--all")
	assert.Zero(t, status, errOut)
	status, _, errOut = invitectl(producer, "dead", "ls", "--all")
	assert.Equal(t, 1, status)
	assert.Contains(t, errOut, "NATS does not let this user publish to $JS.API.STREAM.INFO.INVITE_DEAD")
	worker.Stop()
	for line := range strings.Lines(worker.Stderr()) {
		assert.NotContains(t, line, "NATS denies")
	}

	expired := o.creds(t, working, -time.Hour)
	status, errOut = serve(t, fmt.Sprintf("{url: %q, credentials_file: %q}", server.URL(), expired))
	assert.Equal(t, 1, status)
	assert.Contains(t, errOut, "the server does not accept "+expired)
}

// operatorMode is a server's configuration without users: it believes whom the account has signed.
type operatorMode struct {
	config  string
	account string // its public key
	signers map[role]nkeys.KeyPair
}

func newOperatorMode(t *testing.T) operatorMode {
	t.Helper()
	root, err := nkeys.CreateOperator()
	require.NoError(t, err)
	account, system := createAccount(t), createAccount(t)
	rootClaims := jwt.NewOperatorClaims(publicKey(t, root))
	rootClaims.Name, rootClaims.SystemAccount = "studio", publicKey(t, system)
	systemClaims := jwt.NewAccountClaims(publicKey(t, system))
	claims := jwt.NewAccountClaims(publicKey(t, account))
	claims.Name = "invites"
	claims.Limits.JetStreamLimits = jwt.JetStreamLimits{DiskStorage: -1, MemoryStorage: -1}
	signers := make(map[role]nkeys.KeyPair)
	for _, r := range []role{producer, working, operator} {
		signers[r] = createAccount(t)
		claims.SigningKeys.AddScopedSigner(scopeOf(t, r, publicKey(t, signers[r])))
	}
	config := filepath.Join(t.TempDir(), "operator.conf")
	require.NoError(t, os.WriteFile(config, fmt.Appendf(nil,
		"operator: %s\nsystem_account: %s\nresolver: MEMORY\nresolver_preload: {%s: %s, %s: %s}\njetstream: {store_dir: $NATS_STORE_DIR}\n",
		encode(t, rootClaims, root), publicKey(t, system), publicKey(t, system), encode(t, systemClaims, root),
		publicKey(t, account), encode(t, claims, root)), 0o600))
	return operatorMode{config, publicKey(t, account), signers}
}

// scopeOf is what users may do whose JWTs a key has signed: what the role may in deploy/nats.
func scopeOf(t *testing.T, r role, key string) *jwt.UserScope {
	t.Helper()
	shipped, err := conf.ParseFile(filepath.Join(deployed, "permissions.conf"))
	require.NoError(t, err)
	of := shipped[strings.ToUpper(string(r))].(map[string]any)
	allow := func(kind string) (subjects jwt.StringList) {
		for _, subject := range of[kind].(map[string]any)["allow"].([]any) {
			subjects = append(subjects, subject.(string))
		}
		return subjects
	}
	scope := jwt.NewUserScope()
	scope.Key, scope.Role = key, string(r)
	scope.Template.Pub.Allow, scope.Template.Sub.Allow = allow("publish"), allow("subscribe")
	return scope
}

// creds writes a .creds file for a role, which is valid for a while.
func (o operatorMode) creds(t *testing.T, r role, valid time.Duration) (file string) {
	t.Helper()
	user, err := nkeys.CreateUser()
	require.NoError(t, err)
	claims := jwt.NewUserClaims(publicKey(t, user))
	claims.Name, claims.Expires, claims.IssuerAccount = string(r), time.Now().Add(valid).Unix(), o.account
	claims.SetScoped(true)
	seed, err := user.Seed()
	require.NoError(t, err)
	text, err := jwt.FormatUserConfig(encode(t, claims, o.signers[r]), seed)
	require.NoError(t, err)
	file = filepath.Join(t.TempDir(), string(r)+".creds")
	require.NoError(t, os.WriteFile(file, text, 0o600))
	return file
}

func createAccount(t *testing.T) nkeys.KeyPair {
	t.Helper()
	key, err := nkeys.CreateAccount()
	require.NoError(t, err)
	return key
}

func publicKey(t *testing.T, key nkeys.KeyPair) string {
	t.Helper()
	public, err := key.PublicKey()
	require.NoError(t, err)
	return public
}

func encode(t *testing.T, claims jwt.Claims, by nkeys.KeyPair) string {
	t.Helper()
	token, err := claims.Encode(by)
	require.NoError(t, err)
	return token
}
