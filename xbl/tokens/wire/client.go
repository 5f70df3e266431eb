package wire

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"syscall"
	"time"

	"github.com/invitedhq/invited/xbl"
	"github.com/invitedhq/invited/xbl/tokens"
)

// Options are what a [Client] is made of. The zero Options are fine.
type Options struct {
	// CAFile has the authorities to trust instead of the system's, in PEM.
	CAFile string
	// Certificate is presented to who asks for one; nil: none is.
	Certificate *Certificate
}

// Client makes requests for tokens. Any goroutine may use it.
type Client struct {
	transport *http.Transport
	// Clock is that of who answers.
	Clock tokens.Clock
}

// maxBody is what is read of an answer. Tokens have some kilobytes.
const maxBody = 64 << 10

// NewClient reads the CA file, and connects to nothing.
func NewClient(o Options) (*Client, error) {
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	if o.CAFile != "" {
		roots, err := ReadCA(o.CAFile)
		if err != nil {
			return nil, err
		}
		config.RootCAs = roots
	}
	if o.Certificate != nil {
		config.GetClientCertificate = o.Certificate.present
	}
	dialer := &net.Dialer{Timeout: 5 * time.Second, KeepAlive: 15 * time.Second}
	return &Client{transport: &http.Transport{
		Proxy:                  http.ProxyFromEnvironment, // never used for loopback hosts
		DialContext:            dialer.DialContext,
		TLSClientConfig:        config,
		TLSHandshakeTimeout:    5 * time.Second,
		ForceAttemptHTTP2:      true,
		IdleConnTimeout:        30 * time.Second, // a new certificate is presented with the next connection
		DisableCompression:     true,
		MaxResponseHeaderBytes: 64 << 10,
	}}, nil
}

// ReadCA reads the authorities in a PEM file.
func ReadCA(file string) (*x509.CertPool, error) {
	content, err := readRegular(file)
	if err != nil {
		return nil, reason(err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(content) {
		return nil, errors.New("it has no certificate in PEM (-----BEGIN CERTIFICATE-----)")
	}
	return roots, nil
}

// reason leaves out the path: whoever asks knows it.
func reason(err error) error {
	if pathErr, ok := errors.AsType[*fs.PathError](err); ok {
		return pathErr.Err
	}
	return err
}

// Close closes the connections that no request is using.
func (c *Client) Close() { c.transport.CloseIdleConnections() }

// Answer is what came back.
type Answer struct {
	Status int
	Header http.Header
	Body   []byte // at most 64 KiB of it
}

// Do makes one request, with a body or nil. Its error is of kind TokenUnavailable, or TokenDenied where the certificate was turned
// down. who names the service for people.
func (c *Client) Do(ctx context.Context, who string, r *http.Request, body []byte) (Answer, error) {
	if body != nil {
		r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
	}
	// RoundTrip and not http.Client: that follows redirects, and puts the URL into its errors, which may have a password in it.
	response, err := c.transport.RoundTrip(r.WithContext(ctx))
	if err != nil {
		return Answer{}, c.unreached(who, err)
	}
	defer func() { _ = response.Body.Close() }()
	// With an Age it is a cache's answer, and its Date of when that was filled.
	if date, err := http.ParseTime(response.Header.Get("Date")); err == nil && response.Header.Get("Age") == "" {
		c.Clock.Heard(date)
	}
	content, err := io.ReadAll(io.LimitReader(response.Body, maxBody+1))
	switch {
	case err != nil:
		return Answer{}, c.unreached(who, err)
	case len(content) > maxBody:
		return Answer{}, &xbl.TokenError{Kind: xbl.TokenInvalid, Detail: fmt.Sprintf("%s answered more than %d bytes", who, maxBody)}
	}
	return Answer{response.StatusCode, response.Header, content}, nil
}

// unreached is the error of a request without a whole answer. A service that does not take a certificate says so in the handshake,
// or just drops the connection, as one does that is restarted.
func (c *Client) unreached(who string, err error) error {
	e := &xbl.TokenError{Kind: xbl.TokenUnavailable, Detail: who + " gave no whole answer", Err: errors.New(Words(err.Error()))}
	presents := c.transport.TLSClientConfig.GetClientCertificate != nil
	alert, _ := errors.AsType[*net.OpError](err)
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		e.Detail = who + " gave no answer in time"
	case presents && alert != nil && alert.Op == "remote error": // crypto/tls has no type for it
		e.Kind, e.Detail = xbl.TokenDenied, who+" ended the TLS handshake, most likely for the certificate that it was shown"
	case presents && (errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET)):
		e.Detail = who + " dropped the connection; if it always does, it does not take the certificate"
	}
	return e
}

// Problem is what a status means whoever gives it: a throttle, an outage, a redirect. nil: that is for the source to say.
func (a Answer) Problem(who string) *xbl.TokenError {
	const limit = 10 * time.Minute // a slip of the service must not stop all senders for years
	now := time.Now()
	status := fmt.Sprintf("%s answered %d", who, a.Status)
	switch {
	case a.Status == http.StatusTooManyRequests, a.Status == http.StatusServiceUnavailable && a.Header.Get("Retry-After") != "":
		wait := xbl.RetryAfter(a.Header, now, limit)
		return &xbl.TokenError{Kind: xbl.TokenThrottled, RetryAt: now.Add(wait), Detail: status + ": it is asked too often"}
	case a.Status >= 500, a.Status == http.StatusRequestTimeout:
		return &xbl.TokenError{Kind: xbl.TokenUnavailable, Detail: status}
	case a.Status >= 300 && a.Status < 400:
		return &xbl.TokenError{
			Kind: xbl.TokenInvalid, Detail: status + ": redirects are not followed, as credentials would be; configure the address itself",
		}
	default:
		return nil
	}
}
