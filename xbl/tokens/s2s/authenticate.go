package s2s

import (
	"context"
	"encoding/json"
	"time"

	"github.com/invitedhq/invited/xbl"
	"github.com/invitedhq/invited/xbl/tokens/wire"
)

// serviceToken says who this service is. It lives two weeks by default.
type serviceToken struct {
	text string
	last time.Time // until when it is used: some time before its end, by this machine's clock
}

// newServiceToken is for a token that has just come.
func newServiceToken(text string, end time.Time) *serviceToken {
	life := time.Until(end)
	return &serviceToken{text, end.Add(-min(life/10, time.Hour))}
}

// current is the service token, nil if there is none that will last.
func (s *Source) current() *serviceToken {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.token == nil || time.Now().After(s.token.last) {
		return nil
	}
	return s.token
}

// drop gives up a service token that was refused, if it is the current one.
func (s *Source) drop(t *serviceToken) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.token == t {
		s.token = nil
	}
}

// serviceToken is the current one or, if one may be got, a new one.
func (s *Source) serviceToken(ctx context.Context, mayGet bool) (*serviceToken, error) {
	if t := s.current(); t != nil {
		return t, nil
	}
	s.getting.Lock()
	defer s.getting.Unlock()
	if t := s.current(); t != nil {
		return t, nil
	}
	if !mayGet {
		return nil, &xbl.TokenError{
			Kind: xbl.TokenUnavailable, RetryAt: time.Now(), Detail: "the service token has just ended; another one is got",
		}
	}
	t, err := s.authenticate(ctx)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	s.token = t
	s.mu.Unlock()
	return t, nil
}

// leastService is the shortest life of a service token that is of use. They last two weeks by default.
const leastService = time.Minute

type authenticateRequest struct {
	RelyingParty string
	TokenType    string
	Properties   struct{ ProofKey jwk }
}

// authenticate gets a service token. The certificate is the password: it is presented in the handshake.
func (s *Source) authenticate(ctx context.Context) (*serviceToken, error) {
	certificate, err := s.certificate.Current()
	if err != nil {
		return nil, &xbl.TokenError{Kind: xbl.TokenInvalid, Detail: "the Business Partner Certificate", Err: err}
	}
	if problem := wire.Unusable(certificate, s.client.Clock.Now()); problem != "" {
		return nil, &xbl.TokenError{
			Kind: xbl.TokenDenied, Detail: "the Business Partner Certificate (tokens.s2s.certificate_file): " + problem,
		}
	}
	request := authenticateRequest{RelyingParty: "http://auth.xboxlive.com", TokenType: "JWT"}
	request.Properties.ProofKey = s.key.public
	body, err := json.Marshal(request)
	if err != nil {
		return nil, err
	}
	g, _, err := s.post(ctx, "service authentication ("+s.service.Host+")", s.service, body)
	if err != nil {
		return nil, err
	}
	end := s.client.Clock.Here(g.end)
	if time.Until(end) < leastService {
		return nil, &xbl.TokenError{
			Kind: xbl.TokenInvalid, Detail: "service authentication gave a token that has ended, or ends within the minute",
		}
	}
	return newServiceToken(g.token, end), nil
}
