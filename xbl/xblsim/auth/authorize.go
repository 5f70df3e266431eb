package auth

import (
	"cmp"
	"errors"
	"strconv"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/invitedhq/invited/xbl/xblsim/internal/wire"
)

// authorization is the body of POST /xsts/authorize.
type authorization struct {
	RelyingParty string
	TokenType    string
	Properties   struct {
		ServiceToken    string
		SandboxID       string         `json:"SandboxId"`
		DelegationToken jsontext.Value // absent, or a string: null is neither
	}
	delegation string
}

// parseAuthorization returns what it could read with an error too: a call counts for its client even if something in it is wrong.
func parseAuthorization(body []byte) (authorization, error) {
	var a authorization
	if err := wire.Decode(body, &a); err != nil {
		return a, err
	}
	if err := cmp.Or(
		expect("RelyingParty", a.RelyingParty, "http://xboxlive.com", "https://xboxlive.com"),
		expect("TokenType", a.TokenType, "JWT"),
	); err != nil {
		return a, err
	}
	if raw := a.Properties.DelegationToken; raw != nil {
		if raw.Kind() != '"' {
			return a, errors.New("Properties/DelegationToken: no string; leave it out for a token of the service's own")
		}
		var err error
		if a.delegation, err = unquote(raw); err != nil || a.delegation == "" {
			return a, errors.New("Properties/DelegationToken: empty; leave it out for a token of the service's own")
		}
	}
	if a.Properties.ServiceToken == "" {
		return a, errors.New("Properties/ServiceToken: missing")
	}
	if a.Properties.SandboxID == "" {
		return a, errors.New("Properties/SandboxId: missing")
	}
	return a, nil
}

func unquote(v jsontext.Value) (string, error) {
	text, err := jsontext.AppendUnquote(nil, v)
	return string(text), err
}

// authorize issues an access token that is bound to the same proof key as the S-token, which must have signed the request.
func (s *Service) authorize(c *call, wanted authorization, now time.Time) verdict {
	service, known := s.services.find(wanted.Properties.ServiceToken)
	switch {
	case !known, service.revoked:
		return refused(ServiceTokenInvalid)
	case !now.Before(service.notAfter):
		return refused(ServiceTokenExpired)
	}
	if d := s.checkSignature(c.request, service.key, "", c.body, now); d != nil {
		return d.verdict()
	}
	if wanted.Properties.SandboxID != s.options.Sandbox {
		return refused(SandboxDenied)
	}
	t := token{key: service.key, userHash: "-", notAfter: now.Add(s.options.AccessLife)}
	if wanted.delegation != "" {
		user, known := s.delegations.find(wanted.delegation)
		switch {
		case !known, user.revoked:
			return refused(DelegationInvalid)
		case !now.Before(user.notAfter):
			return refused(DelegationExpired)
		}
		t.xuid, t.userHash = user.xuid, userHash(user.xuid)
	}
	if x := cmp.Or(s.faults.XErr, s.faults.Senders[t.xuid]); x != 0 {
		return refused(x)
	}
	return issued(s.accesses.issue("xblsim-access-", t, now), t, now)
}

// displayClaims says whose token it is.
type displayClaims struct {
	Xui []userClaims `json:"xui"`
}

type userClaims struct {
	AgeGroup   string `json:"agg"`
	Gamertag   string `json:"gtg"`
	Privileges string `json:"prv"`
	XUID       string `json:"xid"`
	UserHash   string `json:"uhs"`
}

func newDisplayClaims(t token) *displayClaims {
	xuid := strconv.FormatUint(t.xuid, 10)
	return &displayClaims{Xui: []userClaims{{
		AgeGroup: "Adult", Gamertag: "Player " + xuid, Privileges: "185 186 187 188 190", XUID: xuid, UserHash: t.userHash,
	}}}
}
