package xblsim

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strconv"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/invitedhq/invited/xbl/xblsim/internal/wire"
)

// serveControl answers what is beside the service: its ledger and its faults.
func (s *Server) serveControl(w http.ResponseWriter, r *http.Request) {
	switch r.Method + " " + r.URL.Path {
	case "GET /ledger":
		wire.WriteJSON(w, http.StatusOK, s.Ledger())
	case "GET /ledger/recipients":
		s.writeRecipients(w)
	case "GET /faults":
		wire.WriteJSON(w, http.StatusOK, newFaultsJSON(s.Faults()))
	case "PUT /faults":
		s.putFaults(w, r)
	case "GET /healthz":
		_, _ = io.WriteString(w, "ok\n")
	default:
		refuseControl(w, r.URL.Path)
	}
}

func refuseControl(w http.ResponseWriter, path string) {
	switch path {
	case "/faults":
		w.Header().Set("Allow", "GET, PUT")
	case "/ledger", "/ledger/recipients", "/healthz":
		w.Header().Set("Allow", "GET")
	default:
		noSuchPath().write(w, "", NoBody)
		return
	}
	verdict{status: http.StatusMethodNotAllowed, code: "MethodNotAllowed",
		message: "method: only " + w.Header().Get("Allow")}.write(w, "", NoBody)
}

// recipient is one line of GET /ledger/recipients.
type recipient struct {
	TitleID uint32 `json:"titleId"`
	XUID    uint64 `json:"xuid,string"`
	Count   int    `json:"count"`
}

// writeRecipients writes a line per title and XUID, in their order.
func (s *Server) writeRecipients(w http.ResponseWriter) {
	s.mu.Lock()
	sent := s.book.copySent()
	s.mu.Unlock()
	w.Header().Set("Content-Type", "application/x-ndjson")
	out := jsontext.NewEncoder(w)
	for _, title := range slices.Sorted(maps.Keys(sent)) {
		for _, xuid := range slices.Sorted(maps.Keys(sent[title])) {
			if json.MarshalEncode(out, recipient{title, xuid, sent[title][xuid]}) != nil {
				return // the client is gone
			}
		}
	}
}

// faultsJSON is Faults in JSON: durations and XUIDs are strings.
type faultsJSON struct {
	Error500           float64  `json:"error500"`
	Error503           float64  `json:"error503"`
	Error503RetryAfter float64  `json:"error503RetryAfter"`
	ResetBefore        float64  `json:"resetBefore"`
	ResetAfter         float64  `json:"resetAfter"`
	Slow               float64  `json:"slow"`
	SlowBy             string   `json:"slowBy"`
	RetryAfter         string   `json:"retryAfter"`
	RefusedXUIDs       []string `json:"refusedXuids"`
	ForbiddenXUIDs     []string `json:"forbiddenXuids"`
	ExpiredTokens      []string `json:"expiredTokens"`
	Outage             bool     `json:"outage"`
}

func newFaultsJSON(f Faults) faultsJSON {
	return faultsJSON{
		Error500:           f.Error500,
		Error503:           f.Error503,
		Error503RetryAfter: f.Error503RetryAfter,
		ResetBefore:        f.ResetBefore,
		ResetAfter:         f.ResetAfter,
		Slow:               f.Slow,
		SlowBy:             f.SlowBy.String(),
		RetryAfter:         f.RetryAfter.String(),
		RefusedXUIDs:       formatXUIDs(f.RefusedXUIDs),
		ForbiddenXUIDs:     formatXUIDs(f.ForbiddenXUIDs),
		ExpiredTokens:      f.ExpiredTokens,
		Outage:             f.Outage,
	}
}

// faults reads what the client sent. The caller must validate it.
func (j faultsJSON) faults() (Faults, error) {
	f := Faults{
		Error500:           j.Error500,
		Error503:           j.Error503,
		Error503RetryAfter: j.Error503RetryAfter,
		ResetBefore:        j.ResetBefore,
		ResetAfter:         j.ResetAfter,
		Slow:               j.Slow,
		ExpiredTokens:      j.ExpiredTokens,
		Outage:             j.Outage,
	}
	var errs [4]error
	f.SlowBy, errs[0] = wire.ParseDuration("slowBy", j.SlowBy)
	f.RetryAfter, errs[1] = wire.ParseDuration("retryAfter", j.RetryAfter)
	f.RefusedXUIDs, errs[2] = parseXUIDs("refusedXuids", j.RefusedXUIDs)
	f.ForbiddenXUIDs, errs[3] = parseXUIDs("forbiddenXuids", j.ForbiddenXUIDs)
	return f, cmp.Or(errs[:]...)
}

func parseXUIDs(field string, texts []string) ([]uint64, error) {
	xuids := make([]uint64, len(texts))
	for i, t := range texts {
		var err error
		if xuids[i], err = ParseXUID(t); err != nil {
			return nil, fmt.Errorf("%s[%d]: %w", field, i, err)
		}
	}
	return xuids, nil
}

func formatXUIDs(xuids []uint64) []string {
	texts := make([]string, len(xuids))
	for i, x := range xuids {
		texts[i] = strconv.FormatUint(x, 10)
	}
	return texts
}

// maxFaults is how long the body of PUT /faults may be, in bytes.
const maxFaults = 1 << 20

// putFaults replaces all faults; what the body leaves out is off. A bad body changes nothing.
func (s *Server) putFaults(w http.ResponseWriter, r *http.Request) {
	body, err := wire.ReadBody(r.Body, maxFaults)
	var sent faultsJSON
	if err == nil {
		err = wire.Decode(body, &sent)
	}
	var f Faults
	if err == nil {
		f, err = sent.faults()
	}
	if err == nil {
		err = f.Validate()
	}
	if err != nil {
		invalid(err).write(w, "", NoBody)
		return
	}
	s.SetFaults(f)
	s.log.Info("faults changed")
	w.WriteHeader(http.StatusNoContent)
}
