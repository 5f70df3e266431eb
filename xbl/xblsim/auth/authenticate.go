package auth

import (
	"cmp"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/invitedhq/invited/xbl/xblsim/internal/wire"
)

// authentication is the body of POST /service/authenticate.
type authentication struct {
	RelyingParty string
	TokenType    string
	Properties   struct{ ProofKey proofKey }
}

// issuedToken is the answer to a request that gets a token.
type issuedToken struct {
	IssueInstant  string
	NotAfter      string
	Token         string
	DisplayClaims *displayClaims `json:",omitzero"` // access tokens of a user
}

// timeFormat has the seven digits of the service's own clock.
const timeFormat = "2006-01-02T15:04:05.0000000Z"

func fingerprint(c *x509.Certificate) client { return sha256.Sum256(c.Raw) }

// authenticate issues an S-token that is bound to the proof key of the body, which must have signed the request.
func (s *Service) authenticate(c *call, now time.Time) verdict {
	var body authentication
	if err := wire.Decode(c.body, &body); err != nil {
		return invalid(err)
	}
	if err := cmp.Or(
		expect("RelyingParty", body.RelyingParty, "http://auth.xboxlive.com"),
		expect("TokenType", body.TokenType, "JWT"),
	); err != nil {
		return invalid(err)
	}
	key, err := body.Properties.ProofKey.public()
	if err != nil {
		return invalid(err)
	}
	if d := s.checkSignature(c.request, key, "", c.body, now); d != nil {
		return d.verdict()
	}
	if s.faults.XErr != 0 {
		return refused(s.faults.XErr)
	}
	t := token{client: c.client, key: key, notAfter: now.Add(s.options.ServiceLife)}
	return issued(s.services.issue("xblsim-service-", t, now), t, now)
}

func issued(text string, t token, now time.Time) verdict {
	answer := issuedToken{IssueInstant: now.UTC().Format(timeFormat), NotAfter: t.notAfter.UTC().Format(timeFormat), Token: text}
	if t.xuid != 0 {
		answer.DisplayClaims = newDisplayClaims(t)
	}
	return verdict{status: http.StatusOK, body: answer}
}

// expect compares a field with the values that it may have.
func expect(field, value string, want ...string) error {
	if slices.Contains(want, value) {
		return nil
	}
	if value == "" {
		return errors.New(field + ": missing")
	}
	return fmt.Errorf("%s: %.60q instead of %s", field, value, want[0])
}
