package auth

import (
	"net/http"
	"strconv"
	"strings"
	"time"
)

// Denial is why a call to an invite endpoint is refused before its body is looked at.
type Denial struct {
	Status  int    // 401: the token is at fault. 403: it is good, but not for this call
	Reason  string // of a closed set, for the header WWW-Authenticate and for [Ledger]
	Message string // for developers; no part of a token is in it
}

// unsigned is a denial for the Signature: documented is 403.
func unsigned(reason, message string) *Denial { return &Denial{http.StatusForbidden, reason, message} }

func unauthorized(reason, message string) *Denial {
	return &Denial{http.StatusUnauthorized, reason, message}
}

func (d *Denial) verdict() verdict {
	return verdict{status: d.Status, reason: d.Reason, message: d.Message}
}

// Check judges the token and the signature of a call to an invite endpoint. server says which one, authorization is the value of the
// call's only header Authorization, body the call's body. It returns who calls, the same with every token of theirs.
func (s *Service) Check(r *http.Request, authorization string, body []byte, server bool) (caller string, denied *Denial) {
	hash, text, _ := strings.Cut(strings.TrimPrefix(authorization, "XBL3.0 x="), ";")
	s.mu.Lock()
	t, known := s.accesses.find(text)
	now := s.now()
	s.mu.Unlock()
	caller, denied = checkToken(t, known, hash, now)
	if denied == nil {
		denied = checkAudience(t, server)
	}
	if denied == nil {
		denied = s.checkSignature(r, t.key, authorization, body, now)
	}
	if denied != nil {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.ledger.InvitesRefused[denied.Reason]++
	}
	return caller, denied
}

// checkToken is about the token alone.
func checkToken(t token, known bool, hash string, now time.Time) (caller string, denied *Denial) {
	switch {
	case !known:
		return "", unauthorized("invalid_token", "Authorization: the token is not one of this service's")
	case t.userHash != hash:
		return "", unauthorized("user_hash", "Authorization: the user hash is not the token's; with a service's own token it is -")
	}
	caller = "the service"
	if t.xuid != 0 {
		caller = "user " + strconv.FormatUint(t.xuid, 10)
	}
	switch {
	case t.revoked:
		return caller, unauthorized("revoked_token", "Authorization: the token was revoked")
	case !now.Before(t.notAfter):
		return caller, unauthorized("expired_token", "Authorization: the token ended at "+t.notAfter.UTC().Format(time.RFC3339))
	}
	return caller, nil
}

// checkAudience: /invites is for users and their clients, /invites/server for titles' services.
func checkAudience(t token, server bool) *Denial {
	switch {
	case server && t.xuid != 0:
		return &Denial{http.StatusForbidden, "audience", "Authorization: a user's token; /invites/server is for a service's own (x=-)"}
	case !server && t.xuid == 0:
		return &Denial{http.StatusForbidden, "audience",
			"Authorization: a service's own token; /invites is for a user's, so ask with a DelegationToken"}
	}
	return nil
}

// Now returns the time by the services' clock, for the header Date of answers beside theirs.
func (s *Service) Now() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.now()
}
