package s2s

import (
	"context"
	"encoding/json"
	"time"

	"github.com/invitedhq/invited/xbl"
	"github.com/invitedhq/invited/xbl/tokens"
)

// relyingParty is whom an XSTS token is for: all services of Xbox Live.
const relyingParty = "http://xboxlive.com"

type authorizeRequest struct {
	RelyingParty string
	TokenType    string
	Properties   authorizeProperties
}

type authorizeProperties struct {
	ServiceToken    string
	SandboxID       string `json:"SandboxId"`
	DelegationToken string `json:",omitempty"`
}

// authorize gets an XSTS token, of the service itself or of the user who delegated.
func (s *Source) authorize(ctx context.Context, service *serviceToken, delegation string) (tokens.Grant, error) {
	body, err := json.Marshal(authorizeRequest{
		RelyingParty: relyingParty, TokenType: "JWT",
		Properties: authorizeProperties{ServiceToken: service.text, SandboxID: s.options.Sandbox, DelegationToken: delegation},
	})
	if err != nil {
		return tokens.Grant{}, err
	}
	who := "XSTS (" + s.xsts.Host + ")"
	g, again, err := s.post(ctx, who, s.xsts, body, service.text, delegation)
	if again {
		// Not here and now: the next fetch is counted as two requests.
		s.drop(service)
		if problem, ok := err.(*xbl.TokenError); ok { //nolint:errorlint // it was just made
			problem.RetryAt = time.Now()
		}
	}
	if err != nil {
		return tokens.Grant{}, err
	}
	if delegation != "" && g.userHash == "" {
		return tokens.Grant{}, &xbl.TokenError{Kind: xbl.TokenInvalid, Detail: who + " gave a token without a user for a delegation"}
	}
	hash := g.userHash
	if hash == "" {
		hash = "-"
	}
	token, err := xbl.NewToken("XBL3.0 x=" + hash + ";" + g.token)
	if err != nil {
		return tokens.Grant{}, &xbl.TokenError{Kind: xbl.TokenInvalid, Detail: who + " gave a token that can't be used", Err: err}
	}
	token.NotAfter = s.client.Clock.Here(g.end)
	return tokens.Grant{Token: token.SignedBy(s.signer), Owner: g.owner}, nil
}
