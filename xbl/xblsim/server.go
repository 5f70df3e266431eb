package xblsim

import (
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/invitedhq/invited/xbl/xblsim/auth"
	"github.com/invitedhq/invited/xbl/xblsim/internal/limit"
)

// Options says how a [Server] behaves. The zero value is a service without limits, delays or faults.
type Options struct {
	Quota         []Window      // fixed windows of each key; none: no limit
	MaxConcurrent int           // calls of one key at once; one more is answered 429 "concurrency"; 0: no limit
	Latency       time.Duration // from a call's arrival to its answer
	Faults        Faults        // may be changed later: SetFaults
	Seed          uint64        // of the source that faults are drawn from
	RetryAfter    RetryAfter    // how a 429 says how long to wait
	Throttle      ThrottleBody  // what a 429 has as its body

	// InFlightGrace is how long after an answer with a Retry-After a call to the same key still counts as sent
	// before that answer was seen, and so not as inBlock. In fake time and with one call at a time 0 is right;
	// real networks need as long as a request is on its way.
	InFlightGrace time.Duration

	CallLog int // how many of the last calls Calls shows; 0: none
	// Auth issues the tokens that calls must have, and checks them and their signatures; quotas are those of a user or of the
	// title's service then, whatever token is used. nil: any token of the documented form is good, and is the user.
	Auth *auth.Service

	Logger *slog.Logger // one line per call at debug level, without tokens; nil: no log
}

// RetryAfter is a way to say in a 429 how long to wait.
type RetryAfter uint8

// The ways to say how long to wait.
const (
	Seconds      RetryAfter = iota // whole seconds, rounded up, at least 1
	HTTPDate                       // a date, rounded up to the second
	NoRetryAfter                   // no header: the client must do without, and no call counts as inBlock
)

// ThrottleBody is a form of the body of a 429.
type ThrottleBody uint8

// The forms of the body of a 429.
const (
	Numbers ThrottleBody = iota // a ThrottledEntity with JSON numbers
	Strings                     // a ThrottledEntity with its numbers as strings
	NoBody                      // nothing
)

// Validate reports the first option that makes no sense.
func (o Options) Validate() error {
	for _, w := range o.Quota {
		if err := w.Validate(); err != nil {
			return err
		}
	}
	switch {
	case o.MaxConcurrent < 0:
		return fmt.Errorf("max concurrent: %d is below 0", o.MaxConcurrent)
	case o.Latency < 0:
		return fmt.Errorf("latency: %s is below 0", o.Latency)
	case o.InFlightGrace < 0:
		return fmt.Errorf("in-flight grace: %s is below 0", o.InFlightGrace)
	case o.CallLog < 0:
		return fmt.Errorf("call log: %d is below 0", o.CallLog)
	case o.RetryAfter > NoRetryAfter:
		return errors.New("retry after: no such form")
	case o.Throttle > NoBody:
		return errors.New("throttle body: no such form")
	}
	return o.Faults.Validate()
}

// Server is the simulated service, an [http.Handler]. It is safe for concurrent use.
//
// A dropped connection is a panic with [http.ErrAbortHandler], which net/http understands.
type Server struct {
	options Options // as given; quota and faults, which may change, are below
	log     *slog.Logger
	instant atomic.Uint64 // puts arrivals and answers in one order, also where the clock shows the same time

	mu      sync.Mutex // guards all below; held for a few map accesses a call
	limiter *limit.Limiter[key]
	book    book
	calls   callLog
	faults  *faultPlan
	rng     *rand.Rand
}

// New returns a server. It panics where [Options.Validate] finds a fault in the options.
func New(o Options) *Server {
	if err := o.Validate(); err != nil {
		panic("xblsim: " + err.Error())
	}
	s := &Server{
		options: o,
		log:     o.Logger,
		limiter: limit.New[key](o.MaxConcurrent, o.InFlightGrace),
		book:    book{sent: make(map[uint32]map[uint64]int)},
		calls:   callLog{calls: make([]Call, 0, o.CallLog)},
		rng:     rand.New(rand.NewPCG(o.Seed, o.Seed)),
	}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	s.SetQuota(o.Quota)
	s.SetFaults(o.Faults)
	return s
}

// ServeHTTP answers the two invite endpoints, and beside them
//
//	GET /ledger             the Ledger
//	GET /ledger/recipients  a line per recipient: {"titleId":…,"xuid":"…","count":…}
//	GET /faults             the Faults, with keys in place of tokens
//	PUT /faults             replaces them
//	GET /healthz            200
//
// and, with [Options.Auth], the pages of [auth.Service.ServeControl].
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if strings.HasPrefix(r.URL.Path, "/titles/") {
		s.serveInvite(w, r)
		return
	}
	if s.options.Auth != nil && s.options.Auth.ServeControl(w, r) {
		return
	}
	s.serveControl(w, r)
}

// Ledger returns the figures up to now. They are of one instant, and so always add up.
func (s *Server) Ledger() Ledger {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.book.ledger
}

// Sent returns how often an invite of the title was recorded as sent, by XUID.
func (s *Server) Sent(titleID uint32) map[uint64]int {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.book.sent[titleID] == nil {
		return map[uint64]int{}
	}
	return maps.Clone(s.book.sent[titleID])
}

// Calls returns the last calls in the order they were decided, at most as many as [Options.CallLog] says.
func (s *Server) Calls() []Call {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.calls.list()
}

// SetFaults replaces the faults, for calls that arrive from now on. It panics where [Faults.Validate] finds a fault.
func (s *Server) SetFaults(f Faults) {
	plan, err := newFaultPlan(f)
	if err != nil {
		panic("xblsim: " + err.Error())
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = plan
}

// Faults returns the faults as they are, with their defaults, and with keys in place of tokens.
func (s *Server) Faults() Faults {
	s.mu.Lock()
	defer s.mu.Unlock()
	f := s.faults.faults
	f.RefusedXUIDs = slices.Clone(f.RefusedXUIDs)
	f.ForbiddenXUIDs = slices.Clone(f.ForbiddenXUIDs)
	f.ExpiredTokens = slices.Clone(f.ExpiredTokens)
	return f
}

// SetQuota replaces the windows of all keys; the new ones begin with the next call of a key. What a key was told
// to wait stays. It panics on a window that allows nothing or lasts no time.
func (s *Server) SetQuota(quota []Window) {
	if err := (Options{Quota: quota}).Validate(); err != nil {
		panic("xblsim: " + err.Error())
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.limiter.SetQuota(quota)
}
