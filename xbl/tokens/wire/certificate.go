package wire

import (
	"bytes"
	"crypto/tls"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"runtime"
	"strings"
	"sync"
	"time"
)

// FileError is what is wrong with a certificate or its key.
type FileError struct {
	File  string
	IsKey bool // it is about the key and not the certificate
	// Detail says what is wrong and the way out.
	Detail string
	Err    error
}

// Error is one line.
func (p *FileError) Error() string {
	s := p.File + ": " + p.Detail
	if p.Err != nil {
		s += ": " + p.Err.Error()
	}
	return s
}

// Unwrap returns the error of the file system, if that was the reason.
func (p *FileError) Unwrap() error { return p.Err }

// LoadCertificate reads a certificate and its key, both in PEM. Whether it has ended is another question: see
// [Unusable]. The error is a [*FileError].
func LoadCertificate(certFile, keyFile string) (*tls.Certificate, error) {
	cert, err := readPEM(certFile, false)
	if err != nil {
		return nil, err
	}
	key, err := readPEM(keyFile, true)
	if err != nil {
		return nil, err
	}
	if problem := notACertificate(certFile, cert); problem != nil {
		return nil, problem
	}
	if problem := notAKey(keyFile, key); problem != nil {
		return nil, problem
	}
	pair, err := tls.X509KeyPair(cert, key)
	switch {
	case err == nil:
		return &pair, nil
	case strings.Contains(err.Error(), "does not match"):
		return nil, &FileError{File: keyFile, IsKey: true, Detail: "it is not the key of the certificate"}
	case strings.Contains(err.Error(), "x509"):
		return nil, &FileError{File: certFile, Detail: "the certificate can't be read"}
	default: // its words may repeat bytes of the file
		return nil, &FileError{File: keyFile, IsKey: true, Detail: "the certificate and this key can't be used together"}
	}
}

func readPEM(file string, isKey bool) ([]byte, error) {
	content, err := readRegular(file)
	if err != nil {
		detail := "it can't be read"
		if errors.Is(err, fs.ErrNotExist) {
			detail = "there is no such file"
		}
		return nil, &FileError{File: file, IsKey: isKey, Detail: detail, Err: reason(err)}
	}
	if block, _ := pem.Decode(content); block != nil {
		return content, nil
	}
	detail := "it has nothing in PEM (-----BEGIN …)"
	if bytes.HasPrefix(content, []byte{0x30}) { // DER: a .pfx, .p12, .cer or .der
		detail = "it is binary, and has to be PEM; of a .pfx: openssl pkcs12 -in FILE.pfx -nodes -out FILE.pem, " +
			"of a .cer: openssl x509 -inform der"
	}
	return nil, &FileError{File: file, IsKey: isKey, Detail: detail}
}

// readRegular reads a file that is one: a pipe, say, could keep a worker from starting.
func readRegular(file string) ([]byte, error) {
	const most = 1 << 20
	info, err := os.Stat(file)
	switch {
	case err != nil:
		return nil, err
	case !info.Mode().IsRegular():
		return nil, errors.New("it is no regular file")
	case info.Size() > most:
		return nil, fmt.Errorf("it is longer than %d bytes", most)
	}
	return os.ReadFile(file)
}

func notACertificate(file string, content []byte) error {
	for rest := content; ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			return &FileError{File: file, Detail: "it has no certificate (-----BEGIN CERTIFICATE-----)"}
		}
		if block.Type == "CERTIFICATE" {
			return nil
		}
	}
}

func notAKey(file string, content []byte) error {
	for rest := content; ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			return &FileError{File: file, IsKey: true, Detail: "it has no private key (-----BEGIN PRIVATE KEY-----)"}
		}
		if !strings.HasSuffix(block.Type, "PRIVATE KEY") {
			continue
		}
		if block.Type == "ENCRYPTED PRIVATE KEY" || strings.Contains(block.Headers["Proc-Type"], "ENCRYPTED") {
			return &FileError{
				File: file, IsKey: true,
				Detail: "the key is encrypted, and nobody could type its password; decrypt it into a file that only the worker can read: " +
					"umask 077; openssl pkey -in FILE -out FILE.plain",
			}
		}
		return nil
	}
}

// Unusable says why a certificate is of no use at a time; empty: it is of use.
func Unusable(c *tls.Certificate, now time.Time) string {
	switch leaf := c.Leaf; {
	case now.After(leaf.NotAfter):
		return fmt.Sprintf("the certificate ended on %s; put the new one in its place, no restart is needed", day(leaf.NotAfter))
	case now.Before(leaf.NotBefore):
		return fmt.Sprintf("the certificate is valid from %s on; is this machine's clock right?", day(leaf.NotBefore))
	default:
		return ""
	}
}

func day(t time.Time) string { return t.UTC().Format("2006-01-02 15:04 UTC") }

// ReadableByAll says that everybody on this machine can read a file.
func ReadableByAll(file string) bool {
	info, err := os.Stat(file)
	return err == nil && runtime.GOOS != "windows" && info.Mode().Perm()&0o004 != 0
}

// Certificate is one on disk that somebody renews. What is there is read again for each connection; while it can't be
// read, because only half of it is written, say, the last one is used.
type Certificate struct {
	certFile, keyFile string
	mu                sync.Mutex
	last              *tls.Certificate
}

// NewCertificate reads the files once.
func NewCertificate(certFile, keyFile string) (*Certificate, error) {
	c := &Certificate{certFile: certFile, keyFile: keyFile}
	_, err := c.Current()
	return c, err
}

// Current is the certificate as it is on disk now, or was last.
func (c *Certificate) Current() (*tls.Certificate, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	read, err := LoadCertificate(c.certFile, c.keyFile)
	if err == nil {
		c.last = read
	}
	if c.last == nil {
		return nil, err
	}
	return c.last, nil
}

// Ends is when the certificate ends; zero: there is none.
func (c *Certificate) Ends() time.Time {
	current, err := c.Current()
	if err != nil {
		return time.Time{}
	}
	return current.Leaf.NotAfter
}

func (c *Certificate) present(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
	return c.Current()
}
