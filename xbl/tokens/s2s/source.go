package s2s

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/invitedhq/invited/xbl"
	"github.com/invitedhq/invited/xbl/tokens"
	"github.com/invitedhq/invited/xbl/tokens/wire"
)

// Where the auth services are.
const (
	DefaultServiceURL = "https://service.auth.xboxlive.com"
	DefaultXSTSURL    = "https://xsts.auth.xboxlive.com"
)

// Limits are the documented limits of requests for tokens by a title's service.
func Limits() []tokens.Window {
	return []tokens.Window{{Max: 15, Per: 15 * time.Second}, {Max: 50, Per: 300 * time.Second}}
}

// Options are what a [Source] is made of.
type Options struct {
	// CertificateFile and KeyFile are the Business Partner Certificate and its key, in PEM. They are read again when they
	// are renewed. Required.
	CertificateFile, KeyFile string
	// CAFile has the authorities to trust instead of the system's: of a stand-in.
	CAFile string
	// Sandbox is the sandbox's id. Default: RETAIL.
	Sandbox string
	// DelegationDir has a file for each sender with a delegation token. Empty: tokens are the service's own, the same for all.
	DelegationDir string
	// ServiceURL and XSTSURL are the services' addresses, without the path. Default: Microsoft's.
	ServiceURL, XSTSURL string
}

// Source gets XSTS tokens. Any goroutine may use it.
type Source struct {
	options     Options
	service     *url.URL
	xsts        *url.URL
	certificate *wire.Certificate
	client      *wire.Client
	key         *proofKey
	signer      *signer

	// Only one goroutine gets a service token; the others wait for it.
	getting sync.Mutex
	mu      sync.Mutex
	token   *serviceToken // nil: there is none
}

var _ tokens.Fetcher = (*Source)(nil)

// New reads the certificate, makes a proof key, and asks for nothing.
func New(o Options) (*Source, error) {
	if o.ServiceURL == "" {
		o.ServiceURL = DefaultServiceURL
	}
	if o.XSTSURL == "" {
		o.XSTSURL = DefaultXSTSURL
	}
	if o.Sandbox == "" {
		o.Sandbox = "RETAIL"
	}
	service, err := endpoint("tokens.s2s.service_url", o.ServiceURL, "/service/authenticate")
	if err != nil {
		return nil, err
	}
	xsts, err := endpoint("tokens.s2s.xsts_url", o.XSTSURL, "/xsts/authorize")
	if err != nil {
		return nil, err
	}
	certificate, err := wire.NewCertificate(o.CertificateFile, o.KeyFile)
	if err != nil {
		return nil, fmt.Errorf("tokens.s2s: %w", err)
	}
	client, err := wire.NewClient(wire.Options{CAFile: o.CAFile, Certificate: certificate})
	if err != nil {
		return nil, fmt.Errorf("tokens.s2s.ca_file: %w", err)
	}
	key, err := newProofKey()
	if err != nil {
		return nil, err
	}
	return &Source{
		options: o, service: service, xsts: xsts, certificate: certificate, client: client, key: key,
		signer: &signer{key, &client.Clock},
	}, nil
}

func endpoint(key, base, path string) (*url.URL, error) {
	if problem := wire.SafeURL(base); problem != "" {
		return nil, errors.New(key + ": " + problem)
	}
	u, err := url.Parse(strings.TrimRight(base, "/"))
	if err != nil || u.RawQuery != "" || u.User != nil || u.EscapedPath() != u.Path {
		return nil, errors.New(key + ": it must be an address such as " + DefaultXSTSURL + ", without user and query")
	}
	u.Path += path // JoinPath leaves out the first slash where there is no path yet
	return u, nil
}

// Close closes the connections to the services.
func (s *Source) Close() { s.client.Close() }

// CertificateEnds is when the Business Partner Certificate ends, as it is on disk now.
func (s *Source) CertificateEnds() time.Time { return s.certificate.Ends() }

// Check implements tokens.Fetcher: where users delegate, a sender without a delegation token has no token.
func (s *Source) Check(sender string) *xbl.TokenError {
	if s.options.DelegationDir == "" {
		return nil
	}
	_, problem := readDelegation(s.options.DelegationDir, sender)
	return problem
}

// Cost implements tokens.Fetcher.
func (s *Source) Cost() int {
	if s.current() == nil {
		return 2
	}
	return 1
}

// Fetch implements tokens.Fetcher.
func (s *Source) Fetch(ctx context.Context, sender string, requests int) (tokens.Grant, error) {
	var delegation string
	if s.options.DelegationDir != "" {
		var problem *xbl.TokenError
		if delegation, problem = readDelegation(s.options.DelegationDir, sender); problem != nil {
			return tokens.Grant{}, problem
		}
	}
	service, err := s.serviceToken(ctx, requests > 1)
	if err != nil {
		return tokens.Grant{}, err
	}
	return s.authorize(ctx, service, delegation)
}

// post makes one signed request, and answers with a token or says why there is none. again is set where a new service
// token is all it takes. secrets are what the body has of them.
func (s *Source) post(ctx context.Context, who string, u *url.URL, body []byte, secrets ...string) (g given, again bool, err error) {
	r := &http.Request{Method: http.MethodPost, URL: u, Host: u.Host, Header: http.Header{
		"Content-Type":           {"application/json; charset=utf-8"},
		"Accept":                 {"application/json"},
		"User-Agent":             {"invited"},
		"X-Xbl-Contract-Version": {"1"},
	}}
	signature, at, err := s.signer.Sign(r.Method, u.RequestURI(), "", body)
	if err != nil {
		return given{}, false, &xbl.TokenError{Kind: xbl.TokenInvalid, Detail: "the request can't be signed", Err: err}
	}
	r.Header["Signature"] = []string{signature}
	a, err := s.client.Do(ctx, who, r, body)
	if err != nil {
		return given{}, false, err
	}
	if a.Status == http.StatusOK {
		g, err := readGiven(a.Body)
		if err != nil {
			return given{}, false, &xbl.TokenError{Kind: xbl.TokenInvalid, Detail: who + ": " + err.Error()}
		}
		return g, false, nil
	}
	if a.Status == http.StatusForbidden && s.client.Clock.Now().Sub(at).Abs() > clockTolerance {
		return given{}, false, &xbl.TokenError{
			Kind: xbl.TokenUnavailable, RetryAt: time.Now(),
			Detail: who + " refused a signature made by this machine's clock, which is wrong; it goes by the service's now",
		}
	}
	refusal := readRefusal(a, secrets...)
	if _, known := meanings()[refusal.XErr]; !known {
		if problem := a.Problem(who); problem != nil {
			return given{}, false, problem
		}
	}
	problem, again := refusal.problem(who)
	return given{}, again, problem
}

// clockTolerance is what a clock may be off without a signature being refused for it, as far as one can tell.
const clockTolerance = 30 * time.Second
