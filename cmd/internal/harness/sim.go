package harness

import (
	"bufio"
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/invitedhq/invited/queue/embedded/embeddedtest"
	"github.com/invitedhq/invited/xbl/xblsim"
)

// Sim is a running xblsim.
type Sim struct {
	*Process
	URL string
}

// Sim starts an xblsim with these flags. Restarted, it has forgotten everything.
func (p *Programs) Sim(t testing.TB, flags ...string) *Sim {
	t.Helper()
	address := embeddedtest.FreeAddress(t)
	s := &Sim{p.Process(t, Xblsim, Xblsim, nil, append(flags, "--listen", address)...), "http://" + address}
	s.Start()
	s.Await(`listening on http`)
	return s
}

// Ledger asks for the figures up to now.
func (s *Sim) Ledger() (l xblsim.Ledger) {
	s.t.Helper()
	getJSON(s.t, s.URL+"/ledger", &l)
	return l
}

// Recipient is a player who got invites of a title.
type Recipient struct {
	TitleID uint32 `json:"titleId"`
	XUID    string `json:"xuid"`
	Count   int    `json:"count"`
}

// Recipients asks who got how many invites.
func (s *Sim) Recipients() (all []Recipient) {
	s.t.Helper()
	status, page := Get(s.t, s.URL+"/ledger/recipients")
	if status != http.StatusOK {
		s.t.Fatalf("the simulator answers %d for its recipients", status)
	}
	lines := bufio.NewScanner(strings.NewReader(page))
	for lines.Scan() {
		var r Recipient
		if err := json.Unmarshal(lines.Bytes(), &r); err != nil {
			s.t.Fatalf("the simulator's recipient %q: %v", lines.Text(), err)
		}
		all = append(all, r)
	}
	return all
}

// SetFaults replaces the faults by these, in the JSON of /faults: {"outage":true}. {} ends them all.
func (s *Sim) SetFaults(json string) {
	s.t.Helper()
	status, answer, _ := ask(s.t, http.MethodPut, s.URL+"/faults", nil, json)
	if status != http.StatusNoContent {
		s.t.Fatalf("the simulator takes no faults %s: %d: %s", json, status, answer)
	}
}

// Invite makes a call past the workers, as another program with the same token would, to a player whom nobody else invites. It
// returns the answer's status and Retry-After.
func (s *Sim) Invite(titleID uint32, authorization string) (status int, retryAfter time.Duration) {
	s.t.Helper()
	header := http.Header{
		"Authorization": {authorization}, "Content-Type": {"application/json"}, "X-Xbl-Contract-Version": {"1"},
	}
	url := s.URL + "/titles/" + strconv.FormatUint(uint64(titleID), 10) + "/invites"
	status, _, got := ask(s.t, http.MethodPost, url, header, `{"invitedUsers":["1"]}`)
	seconds, _ := strconv.Atoi(got.Get("Retry-After")) // none: 0
	return status, time.Duration(seconds) * time.Second
}
