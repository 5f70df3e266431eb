package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/require"

	"github.com/invitedhq/invited/cmd/internal/harness"
)

// deployed is where the configuration files are that we ship for nats-server.
const deployed = "../../deploy/nats"

// role is a user of deploy/nats/users.conf.
type role string

const (
	producer role = "producer"
	working  role = "worker"
	operator role = "operator"
)

// password is what the tests put into the server's environment.
func (r role) password() string { return "s3cret-of-" + string(r) }

// secured is NATS as deploy/nats makes it: single.conf one server, cluster.conf three.
type secured struct {
	*harness.NATS
	authority *authority
}

func startSecured(t *testing.T) secured {
	t.Helper()
	// The server reads them, and Go must know that the test depends on them: else it takes an old result for this one.
	for _, name := range []string{"single.conf", "users.conf", "permissions.conf"} {
		require.FileExists(t, filepath.Join(deployed, name))
	}
	a := newAuthority(t)
	return secured{programs.NATSWith(t, filepath.Join(deployed, "single.conf"), a.serverEnv(t)...), a}
}

func startSecuredCluster(t *testing.T) secured {
	t.Helper()
	for _, name := range []string{"cluster.conf", "users.conf", "permissions.conf"} {
		require.FileExists(t, filepath.Join(deployed, name))
	}
	a := newAuthority(t)
	return secured{programs.ClusterWith(t, filepath.Join(deployed, "cluster.conf"), a.serverEnv(t)...), a}
}

// startSecuredWithout leaves out one line of permissions.conf.
func startSecuredWithout(t *testing.T, permission string) secured {
	t.Helper()
	dir := t.TempDir()
	for _, name := range []string{"single.conf", "users.conf", "permissions.conf"} {
		text, err := os.ReadFile(filepath.Join(deployed, name))
		require.NoError(t, err)
		if name == "permissions.conf" {
			without := strings.ReplaceAll(string(text), "      "+permission+"\n", "")
			require.NotEqual(t, string(text), without, "the permission was there")
			text = []byte(without)
		}
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), text, 0o600))
	}
	a := newAuthority(t)
	return secured{programs.NATSWith(t, filepath.Join(dir, "single.conf"), a.serverEnv(t)...), a}
}

// serve runs an invited that is expected to end by itself.
func serve(t *testing.T, natsSection string) (status int, errOut string) {
	t.Helper()
	status, _, errOut = programs.Run(t, harness.Invited, "serve", "--config", configFile(t, "nats: "+natsSection+"\nadmin: {listen: 127.0.0.1:0}\n"))
	return status, errOut
}

func configFile(t *testing.T, text string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "invited.yaml")
	require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
	return file
}

// serverEnv is the environment that deploy/nats wants.
func (a *authority) serverEnv(t *testing.T) []string {
	t.Helper()
	cert, key := a.issue(t, "localhost")
	env := []string{"NATS_CERT_FILE=" + cert, "NATS_KEY_FILE=" + key, "NATS_CA_FILE=" + a.file}
	for variable, r := range map[string]role{"PRODUCER": producer, "WORKER": working, "OPERATOR": operator} {
		env = append(env, "INVITED_"+variable+"_PASSWORD="+r.password())
	}
	return env
}

func (s secured) url(r role) string {
	var all []string
	for i := range s.Servers {
		all = append(all, fmt.Sprintf("tls://%s:%s@%s", r, r.password(), s.Address(i)))
	}
	return strings.Join(all, ",")
}

// worker starts an invited as the role worker.
func (s secured) worker(t *testing.T, o harness.WorkerOptions) *harness.Worker {
	t.Helper()
	o.NATS, o.TLS = s.url(working), fmt.Sprintf("{ca_file: %q}", s.authority.file)
	return programs.Worker(t, o)
}

// invitectl runs it as a role.
func (s secured) invitectl(t *testing.T, r role, args ...string) (status int, out, errOut string) {
	t.Helper()
	return programs.Run(t, harness.Invitectl, append(args, "--nats-url", s.url(r), "--tls-ca", s.authority.file)...)
}

// connect is any client of NATS, which uses the inbox that the role has.
func (s secured) connect(t *testing.T, r role) *nats.Conn {
	t.Helper()
	conn, err := nats.Connect(s.url(r), nats.RootCAs(s.authority.file), nats.CustomInboxPrefix("_INBOX."+string(r)),
		nats.ErrorHandler(func(*nats.Conn, *nats.Subscription, error) {})) // the tests look at LastError
	require.NoError(t, err)
	t.Cleanup(conn.Close)
	return conn
}

// authority signs certificates for 127.0.0.1.
type authority struct {
	file string // PEM of its own certificate
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	a := &authority{file: filepath.Join(t.TempDir(), "ca.pem")}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "the tests' authority"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	var der []byte
	a.key, der = a.sign(t, template, nil)
	var err error
	a.cert, err = x509.ParseCertificate(der)
	require.NoError(t, err)
	writePEM(t, a.file, "CERTIFICATE", der)
	return a
}

// issue makes a certificate for a host of this name, and returns its files.
func (a *authority) issue(t *testing.T, name string) (certFile, keyFile string) {
	t.Helper()
	dir := t.TempDir()
	certFile, keyFile = filepath.Join(dir, name+".pem"), filepath.Join(dir, name+".key")
	key, der := a.sign(t, &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		DNSNames:    []string{name},
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}, a.cert)
	private, err := x509.MarshalPKCS8PrivateKey(key)
	require.NoError(t, err)
	writePEM(t, certFile, "CERTIFICATE", der)
	writePEM(t, keyFile, "PRIVATE KEY", private)
	return certFile, keyFile
}

// sign makes a key and its certificate, which is signed by itself where parent is nil.
func (a *authority) sign(t *testing.T, template, parent *x509.Certificate) (*ecdsa.PrivateKey, []byte) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	signer := a.key
	if parent == nil {
		parent, signer = template, key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), signer)
	require.NoError(t, err)
	return key, der
}

func writePEM(t *testing.T, file, kind string, der []byte) {
	t.Helper()
	require.NoError(t, os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600))
}
