package auth

import (
	"errors"
	"net/http"
	"time"

	"github.com/invitedhq/invited/xbl/xblsim/internal/wire"
)

// Ledger returns the figures up to now.
func (s *Service) Ledger() Ledger {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.ledger.clone()
}

// Faults returns the faults as they are.
func (s *Service) Faults() Faults {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.faults.clone()
}

// SetFaults replaces the faults, for calls that arrive from now on. It panics where [Faults.Validate] finds a fault.
func (s *Service) SetFaults(f Faults) {
	if err := f.Validate(); err != nil {
		panic("auth: " + err.Error())
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = f.clone()
}

// Delegate issues the token by which a user lets the title's service act for them, and says when it ends. In the real service it is
// a claim of the partner token that the game sends to its service. It panics with XUID 0, which is nobody.
func (s *Service) Delegate(xuid uint64) (delegationToken string, notAfter time.Time) {
	if xuid == 0 {
		panic("auth: no XUID is 0")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.now()
	notAfter = now.Add(s.options.DelegationLife)
	return s.delegations.issue("xblsim-delegation-", token{xuid: xuid, notAfter: notAfter}, now), notAfter
}

// Expire ends all service tokens and access tokens now, and returns how many. Delegation tokens stay.
func (s *Service) Expire() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.services.expire(s.now()) + s.accesses.expire(s.now())
}

// RevokeAccess takes back the access tokens of a user, or with 0 the service's own, and returns how many.
func (s *Service) RevokeAccess(xuid uint64) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.accesses.revoke(xuid)
}

// RevokeDelegations takes back the delegation tokens of a user, and returns how many. Access tokens stay.
func (s *Service) RevokeDelegations(xuid uint64) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.delegations.revoke(xuid)
}

// RevokeServices takes back all service tokens, and returns how many. Access tokens stay.
func (s *Service) RevokeServices() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.services.revoke(0)
}

// ServeControl answers what is beside the services, and reports whether there is such a page:
//
//	GET  /ledger/auth        the Ledger
//	GET  /auth/faults        the Faults
//	PUT  /auth/faults        replaces them
//	POST /auth/expire        Expire
//	POST /auth/revoke        {"tokens":"access","xuid":"…"}, without xuid the service's own; "delegation", with xuid; or "service"
//	POST /auth/delegations   {"xuid":"…"}: Delegate
func (s *Service) ServeControl(w http.ResponseWriter, r *http.Request) bool {
	allow := map[string]string{
		"/ledger/auth": "GET", "/auth/faults": "GET, PUT", "/auth/expire": "POST", "/auth/revoke": "POST", "/auth/delegations": "POST",
	}[r.URL.Path]
	if allow == "" {
		return false
	}
	switch r.Method + " " + r.URL.Path {
	case "GET /ledger/auth":
		wire.WriteJSON(w, http.StatusOK, s.Ledger())
	case "GET /auth/faults":
		wire.WriteJSON(w, http.StatusOK, newFaultsJSON(s.Faults()))
	case "PUT /auth/faults":
		s.putFaults(w, r)
	case "POST /auth/expire":
		wire.WriteJSON(w, http.StatusOK, tokenCount{s.Expire()})
	case "POST /auth/revoke":
		s.postRevoke(w, r)
	case "POST /auth/delegations":
		s.postDelegation(w, r)
	default:
		w.Header().Set("Allow", allow)
		wire.WriteJSON(w, http.StatusMethodNotAllowed,
			wire.ErrorResponse{ErrorCode: "MethodNotAllowed", DebugMessage: "method: only " + allow})
	}
	return true
}

// tokenCount says how many tokens something was done to.
type tokenCount struct {
	Tokens int `json:"tokens"`
}

// maxControl is how long the body of a control page may be, in bytes.
const maxControl = 1 << 20

// read decodes a control page's body. Where it is wrong, it answers and reports false.
func read(w http.ResponseWriter, r *http.Request, v any) bool {
	body, err := wire.ReadBody(r.Body, maxControl)
	if err == nil {
		err = wire.Decode(body, v)
	}
	return good(w, err)
}

func good(w http.ResponseWriter, err error) bool {
	if err != nil {
		wire.WriteJSON(w, http.StatusBadRequest, wire.ErrorResponse{ErrorCode: "RequestValidationError", DebugMessage: err.Error()})
	}
	return err == nil
}

// putFaults replaces all faults; what the body leaves out is off. A bad body changes nothing.
func (s *Service) putFaults(w http.ResponseWriter, r *http.Request) {
	var sent faultsJSON
	if !read(w, r, &sent) {
		return
	}
	f, err := sent.faults()
	if !good(w, err) {
		return
	}
	s.SetFaults(f)
	s.log.Info("auth faults changed")
	w.WriteHeader(http.StatusNoContent)
}

func (s *Service) postRevoke(w http.ResponseWriter, r *http.Request) {
	var sent struct {
		Tokens string  `json:"tokens"`
		XUID   *string `json:"xuid"`
	}
	if !read(w, r, &sent) {
		return
	}
	var xuid uint64
	if sent.XUID != nil {
		var err error
		if xuid, err = wire.ParseXUID(*sent.XUID); !good(w, err) {
			return
		}
	}
	var revoked int
	switch {
	case sent.Tokens == "access":
		revoked = s.RevokeAccess(xuid)
	case sent.Tokens == "service" && xuid == 0:
		revoked = s.RevokeServices()
	case sent.Tokens == "delegation" && xuid != 0:
		revoked = s.RevokeDelegations(xuid)
	default:
		good(w, errors.New("tokens, xuid: access, with an XUID or without; service, without; or delegation, with"))
		return
	}
	wire.WriteJSON(w, http.StatusOK, tokenCount{revoked})
}

func (s *Service) postDelegation(w http.ResponseWriter, r *http.Request) {
	var sent struct {
		XUID string `json:"xuid"`
	}
	if !read(w, r, &sent) {
		return
	}
	xuid, err := wire.ParseXUID(sent.XUID)
	if !good(w, err) {
		return
	}
	delegation, notAfter := s.Delegate(xuid)
	wire.WriteJSON(w, http.StatusOK, struct {
		DelegationToken string    `json:"delegationToken"`
		NotAfter        time.Time `json:"notAfter"`
	}{delegation, notAfter.UTC()})
}
