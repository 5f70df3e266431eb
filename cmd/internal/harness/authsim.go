package harness

import (
	"encoding/json"
	"net/http"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/invitedhq/invited/xbl/xblsim/auth"
)

// AuthSim is a running xblsim that plays the auth services too.
type AuthSim struct {
	*Sim
	AuthURL string
	// Certificates is a folder: ca.pem, partner.pem and partner-key.pem are for the auth services' clients.
	Certificates string
}

// AuthSim starts one with these flags, and makes its certificates.
func (p *Programs) AuthSim(t testing.TB, flags ...string) *AuthSim {
	t.Helper()
	dir := p.Certificates(t)
	file := func(name string) string { return filepath.Join(dir, name) }
	s := &AuthSim{Sim: p.Sim(t, append([]string{
		"--auth-listen", "127.0.0.1:0", "--auth-client-ca", file("ca.pem"),
		"--tls-cert", file("server.pem"), "--tls-key", file("server-key.pem"),
	}, flags...)...), Certificates: dir}
	s.AuthURL = s.Await(`listening on (https://[^\s"]+)`)[1]
	return s
}

// Certificates makes an authority and what it signs, in a new folder.
func (p *Programs) Certificates(t testing.TB) (dir string) {
	t.Helper()
	dir = filepath.Join(t.TempDir(), "certificates")
	if status, _, errOut := p.Run(t, Xblsim, "certificates", dir); status != 0 {
		t.Fatalf("xblsim must make certificates: %s", errOut)
	}
	return dir
}

// AuthLedger asks for the auth services' figures up to now.
func (s *AuthSim) AuthLedger() (l auth.Ledger) {
	s.t.Helper()
	getJSON(s.t, s.URL+"/ledger/auth", &l)
	return l
}

// SetAuthFaults replaces the auth services' faults by these, in the JSON of /auth/faults. {} ends them all.
func (s *AuthSim) SetAuthFaults(json string) {
	s.t.Helper()
	s.control(http.MethodPut, "/auth/faults", json, nil)
}

// Delegate makes a delegation token of a user.
func (s *AuthSim) Delegate(xuid uint64) string {
	s.t.Helper()
	var made struct{ DelegationToken string }
	s.control(http.MethodPost, "/auth/delegations", `{"xuid":"`+strconv.FormatUint(xuid, 10)+`"}`, &made)
	return made.DelegationToken
}

// Revoke takes back the tokens that the JSON of /auth/revoke names, and says how many there were.
func (s *AuthSim) Revoke(json string) int {
	s.t.Helper()
	var revoked struct{ Tokens int }
	s.control(http.MethodPost, "/auth/revoke", json, &revoked)
	return revoked.Tokens
}

// Expire ends all service tokens and access tokens now, and says how many there were.
func (s *AuthSim) Expire() int {
	s.t.Helper()
	var ended struct{ Tokens int }
	s.control(http.MethodPost, "/auth/expire", "", &ended)
	return ended.Tokens
}

func (s *AuthSim) control(method, path, body string, into any) {
	s.t.Helper()
	status, answer, _ := ask(s.t, method, s.URL+path, nil, body)
	if status != http.StatusOK && status != http.StatusNoContent {
		s.t.Fatalf("the simulator's %s does not take %s: %d: %s", path, body, status, answer)
	}
	if into != nil {
		if err := json.Unmarshal([]byte(answer), into); err != nil {
			s.t.Fatalf("%s: %v", path, err)
		}
	}
}
