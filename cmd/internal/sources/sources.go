package sources

import (
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/invitedhq/invited/configs"
	"github.com/invitedhq/invited/xbl"
	"github.com/invitedhq/invited/xbl/tokens"
	"github.com/invitedhq/invited/xbl/tokens/broker"
	"github.com/invitedhq/invited/xbl/tokens/s2s"
	"github.com/invitedhq/invited/xbl/tokens/wire"
)

// Source is a token source that can be closed, and that may know when its certificate ends.
type Source struct {
	xbl.TokenSource
	certificateEnds func() time.Time // nil: it has none
	close           func()           // nil: nothing goes on
}

// Close ends what the source has going on.
func (s *Source) Close() {
	if s.close != nil {
		s.close()
	}
}

// Retry has senders without a token asked for again with their next call: somebody says that the reason is gone.
func (s *Source) Retry() {
	if c, ok := s.TokenSource.(*tokens.Cache); ok {
		c.Retry()
	}
}

// CertificateEnds is when the certificate ends with which tokens are got; zero: there is none.
func (s *Source) CertificateEnds() time.Time {
	if s.certificateEnds == nil {
		return time.Time{}
	}
	return s.certificateEnds()
}

// EarliestExpiry implements metrics.Expiring: zero where the source knows of none.
func (s *Source) EarliestExpiry() time.Time {
	if dated, ok := s.TokenSource.(interface{ EarliestExpiry() time.Time }); ok {
		return dated.EarliestExpiry()
	}
	return time.Time{}
}

// New makes the source that a checked configuration names. refreshed is told as [xbl.OnRefresh] says.
func New(c configs.Tokens, refreshed func(*xbl.TokenError)) (*Source, error) {
	o := tokens.Options{Refreshed: refreshed, Random: rand.Float64}
	switch c.Source {
	case configs.TokensStatic:
		return &Source{TokenSource: xbl.Static(c.Static.Authorization.Reveal(), xbl.OnRefresh(refreshed))}, nil
	case configs.TokensFile:
		return &Source{TokenSource: xbl.File(c.File.Dir, xbl.OnRefresh(refreshed))}, nil
	case configs.TokensHTTP:
		b, certificate, err := newBroker(c.HTTP)
		if err != nil {
			return nil, err
		}
		o.Timeout = c.HTTP.Timeout
		source := cached(b, o)
		if certificate != nil {
			source.certificateEnds = certificate.Ends
		}
		return source, nil
	case configs.TokensS2S:
		s, err := newS2S(c.S2S)
		if err != nil {
			return nil, err
		}
		o.Timeout, o.AtOnce, o.Shared = c.S2S.Timeout, s2sAtOnce, c.S2S.DelegationDir == ""
		for _, w := range c.S2S.Limits {
			o.Windows = append(o.Windows, tokens.Window(w))
		}
		source := cached(s, o)
		source.certificateEnds = s.CertificateEnds
		return source, nil
	}
	return nil, fmt.Errorf("tokens.source: %q is none", c.Source)
}

// s2sAtOnce fetches at once are enough for limits of 15 in 15 s.
const s2sAtOnce = 4

func cached(f interface {
	tokens.Fetcher
	Close()
}, o tokens.Options,
) *Source {
	c := tokens.NewCache(f, o)
	return &Source{TokenSource: c, close: func() {
		c.Close()
		f.Close()
	}}
}

func newBroker(c configs.HTTPTokens) (*broker.Source, *wire.Certificate, error) {
	o := broker.Options{URL: c.URL.Reveal(), HeadersFile: c.HeadersFile, Options: wire.Options{CAFile: c.CAFile}}
	if c.CertFile != "" {
		certificate, err := wire.NewCertificate(c.CertFile, c.KeyFile)
		if err != nil {
			return nil, nil, fmt.Errorf("tokens.http: %w", err)
		}
		o.Certificate = certificate
	}
	b, err := broker.New(o)
	return b, o.Certificate, err
}

func newS2S(c configs.S2STokens) (*s2s.Source, error) {
	return s2s.New(s2s.Options{
		CertificateFile: c.CertificateFile, KeyFile: c.KeyFile, CAFile: c.CAFile, Sandbox: c.Sandbox,
		DelegationDir: c.DelegationDir, ServiceURL: c.ServiceURL, XSTSURL: c.XSTSURL,
	})
}
