package wire_test

import (
	"crypto/tls"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/invitedhq/invited/xbl/tokens/wire"
	"github.com/invitedhq/invited/xbl/tokens/wire/wiretest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestCertificateFilesThatCannotBeUsedSayWhyAndWhatToDo(t *testing.T) {
	a := wiretest.NewAuthority(t)
	cert, key := a.Valid(t, "worker")
	_, otherKey := a.Valid(t, "other")
	dir := t.TempDir()
	file := func(name, content string) string {
		path := filepath.Join(dir, name)
		require.NoError(t, os.WriteFile(path, []byte(content), 0o600))
		return path
	}
	wiretest.WritePEM(t, filepath.Join(dir, "pkcs8"), 0o600, "ENCRYPTED PRIVATE KEY", []byte("hunter2"))
	legacy := file("legacy", "-----BEGIN EC PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-256-CBC,00\n\naHVudGVyMg==\n-----END EC PRIVATE KEY-----\n")
	wiretest.WritePEM(t, filepath.Join(dir, "garbage"), 0o600, "CERTIFICATE", []byte("hunter2"))
	wiretest.WritePEM(t, filepath.Join(dir, "badkey"), 0o600, "PRIVATE KEY", []byte("hunter2"))
	for name, tt := range map[string]struct {
		cert, key string
		isKey     bool
		want      string
	}{
		"no certificate":           {filepath.Join(dir, "none"), key, false, "there is no such file"},
		"no key":                   {cert, filepath.Join(dir, "none"), true, "there is no such file"},
		"a directory":              {dir, key, false, "it can't be read"},
		"empty":                    {file("empty", ""), key, false, "nothing in PEM"},
		"a .pfx":                   {file("pfx", "\x30\x82\x01hunter2"), key, false, "openssl pkcs12"},
		"the key as certificate":   {key, key, false, "no certificate"},
		"the certificate as key":   {cert, cert, true, "no private key"},
		"another key":              {cert, otherKey, true, "not the key of the certificate"},
		"an encrypted key":         {cert, filepath.Join(dir, "pkcs8"), true, "encrypted"},
		"an encrypted key of once": {cert, legacy, true, "openssl pkey"},
		"a broken certificate":     {filepath.Join(dir, "garbage"), key, false, "can't be read"},
		"a broken key":             {cert, filepath.Join(dir, "badkey"), true, "can't be used together"},
	} {
		_, err := wire.LoadCertificate(tt.cert, tt.key)
		var problem *wire.FileError
		require.ErrorAs(t, err, &problem, name)
		assert.ErrorContains(t, err, tt.want, name)
		assert.Equal(t, tt.isKey, problem.IsKey, name)
		assert.NotContains(t, err.Error(), "hunter2", name)
	}
	_, err := wire.LoadCertificate(cert, key)
	require.NoError(t, err)
}

// What openssl encrypts is what people have.
func TestAKeyThatOpensslEncryptedIsSeenAsOne(t *testing.T) {
	a := wiretest.NewAuthority(t)
	cert, key := a.Valid(t, "worker")
	locked := filepath.Join(t.TempDir(), "locked")
	out, err := exec.CommandContext(t.Context(), "openssl", "pkey", "-in", key, "-aes256", "-passout", "pass:hunter2", "-out", locked).CombinedOutput()
	require.NoError(t, err, string(out))
	_, err = wire.LoadCertificate(cert, locked)
	assert.ErrorContains(t, err, "the key is encrypted")
}

func TestACertificateOutOfItsTimeIsUnusable(t *testing.T) {
	a := wiretest.NewAuthority(t)
	now := time.Now()
	for want, times := range map[string][2]time.Duration{
		"the certificate ended on":      {-2 * time.Hour, -time.Hour},
		"the certificate is valid from": {time.Hour, 2 * time.Hour},
	} {
		c, err := wire.LoadCertificate(a.Issue(t, "worker", now.Add(times[0]), now.Add(times[1])))
		require.NoError(t, err)
		assert.Contains(t, wire.Unusable(c, now), want)
	}
	c, err := wire.LoadCertificate(a.Valid(t, "worker"))
	require.NoError(t, err)
	assert.Empty(t, wire.Unusable(c, now))
}

func TestACertificateThatIsRenewedOnDiskIsPresentedWithoutARestart(t *testing.T) {
	a := wiretest.NewAuthority(t)
	seen := make(chan string, 1)
	server := a.Serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		seen <- r.TLS.PeerCertificates[0].SerialNumber.String()
		w.Header().Set("Connection", "close")
	}))
	certFile, keyFile := a.Valid(t, "worker")
	certificate, err := wire.NewCertificate(certFile, keyFile)
	require.NoError(t, err)
	client, err := wire.NewClient(wire.Options{CAFile: a.CAFile, Certificate: certificate})
	require.NoError(t, err)
	defer client.Close()
	get := func() string {
		r, err := http.NewRequest(http.MethodGet, server.URL, nil)
		require.NoError(t, err)
		answer, err := client.Do(t.Context(), "the server", r, nil)
		require.NoError(t, err)
		assert.Equal(t, 200, answer.Status)
		client.Close()
		return <-seen
	}
	first := get()
	key, err := os.ReadFile(keyFile)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(keyFile, key[:len(key)/2], 0o600))
	assert.Equal(t, first, get(), "while half of it is written, the last one is used")
	a.Valid(t, "worker")
	assert.NotEqual(t, first, get())
}

func TestAServerThatIsNotTrustedGetsNothing(t *testing.T) {
	a := wiretest.NewAuthority(t)
	server := a.Serve(t, http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("it got something") }))
	server.Config.ErrorLog = nil
	client, err := wire.NewClient(wire.Options{})
	require.NoError(t, err)
	defer client.Close()
	r, err := http.NewRequest(http.MethodGet, server.URL+"/hunter2", nil)
	require.NoError(t, err)
	_, err = client.Do(t.Context(), "the server", r, nil)
	require.ErrorContains(t, err, "the server gave no whole answer")
	assert.ErrorContains(t, err, "unknown authority")
	assert.NotContains(t, err.Error(), "hunter2")
	_, err = wire.NewClient(wire.Options{CAFile: filepath.Join(t.TempDir(), "none")})
	require.Error(t, err)
}

func TestOldTLSIsRefused(t *testing.T) {
	a := wiretest.NewAuthority(t)
	server := a.Serve(t, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { _, _ = io.Copy(io.Discard, r.Body) }))
	server.TLS.MaxVersion = tls.VersionTLS11
	server.TLS.MinVersion = tls.VersionTLS10
	client, err := wire.NewClient(wire.Options{CAFile: a.CAFile})
	require.NoError(t, err)
	defer client.Close()
	r, err := http.NewRequest(http.MethodGet, server.URL, nil)
	require.NoError(t, err)
	_, err = client.Do(t.Context(), "the server", r, nil)
	assert.ErrorContains(t, err, "protocol version")
}

func TestWhoMayReadAKeyIsSeen(t *testing.T) {
	file := filepath.Join(t.TempDir(), "key")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	assert.False(t, wire.ReadableByAll(file))
	require.NoError(t, os.Chmod(file, 0o644))
	assert.True(t, wire.ReadableByAll(file))
}
