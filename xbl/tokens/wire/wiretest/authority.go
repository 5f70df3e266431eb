package wiretest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
	"time"
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// Authority signs certificates.
type Authority struct {
	// CAFile has its own certificate.
	CAFile string

	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	dir  string
	n    int64
}

// NewAuthority makes one, with its files in a directory of the test's.
func NewAuthority(t testing.TB) *Authority {
	t.Helper()
	a := &Authority{dir: t.TempDir(), key: newKey(t)}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test authority"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(100 * 24 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &a.key.PublicKey, a.key)
	must(t, err)
	a.cert, err = x509.ParseCertificate(der)
	must(t, err)
	a.CAFile = filepath.Join(a.dir, "ca.pem")
	WritePEM(t, a.CAFile, 0o644, "CERTIFICATE", der)
	return a
}

func newKey(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	return key
}

// WritePEM writes one block.
func WritePEM(t testing.TB, file string, mode os.FileMode, kind string, der []byte) {
	t.Helper()
	must(t, os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), mode))
	must(t, os.Chmod(file, mode))
}

// Issue makes a certificate for a client or a server on loopback, valid from and to, and returns its files. The name of
// the files is name.
func (a *Authority) Issue(t testing.TB, name string, from, to time.Time) (certFile, keyFile string) {
	t.Helper()
	a.n++
	key := newKey(t)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(a.n + 1), Subject: pkix.Name{CommonName: name}, NotBefore: from, NotAfter: to,
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth},
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, &key.PublicKey, a.key)
	must(t, err)
	private, err := x509.MarshalPKCS8PrivateKey(key)
	must(t, err)
	certFile, keyFile = filepath.Join(a.dir, name+".pem"), filepath.Join(a.dir, name+".key")
	WritePEM(t, certFile, 0o644, "CERTIFICATE", der)
	WritePEM(t, keyFile, 0o600, "PRIVATE KEY", private)
	return certFile, keyFile
}

// Valid issues one that is valid now.
func (a *Authority) Valid(t testing.TB, name string) (certFile, keyFile string) {
	t.Helper()
	return a.Issue(t, name, time.Now().Add(-time.Hour), time.Now().Add(60*24*time.Hour))
}

// Serve runs a server that lets only clients in with a certificate of this authority.
func (a *Authority) Serve(t testing.TB, h http.Handler) *httptest.Server {
	t.Helper()
	cert, key := a.Valid(t, "server")
	pair, err := tls.LoadX509KeyPair(cert, key)
	must(t, err)
	clients := x509.NewCertPool()
	clients.AddCert(a.cert)
	server := httptest.NewUnstartedServer(h)
	server.TLS = &tls.Config{
		Certificates: []tls.Certificate{pair}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: clients, MinVersion: tls.VersionTLS12,
	}
	server.StartTLS()
	t.Cleanup(server.Close)
	return server
}
