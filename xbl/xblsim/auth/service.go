package auth

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/invitedhq/invited/xbl/xblsim/internal/limit"
	"github.com/invitedhq/invited/xbl/xblsim/internal/wire"
)

// The endpoints. In the real service each has a host of its own.
const (
	authenticatePath = "/service/authenticate"
	authorizePath    = "/xsts/authorize"
)

// Service is the simulated auth services, an [http.Handler] to be served over TLS, with [Service.TLS]. It is safe for concurrent use.
//
// A dropped connection is a panic with [http.ErrAbortHandler], which net/http understands.
type Service struct {
	options Options
	log     *slog.Logger
	instant atomic.Uint64 // puts arrivals and answers in one order, also where the clock shows the same time

	mu          sync.Mutex // guards all below
	limiter     *limit.Limiter[client]
	ledger      Ledger
	faults      Faults
	services    register // S-tokens
	accesses    register // what Authorization values are made of
	delegations register
}

// New returns services that have issued nothing. It panics where [Options.Validate] finds a fault in the options.
func New(o Options) *Service {
	if err := o.Validate(); err != nil {
		panic("auth: " + err.Error())
	}
	o = o.withDefaults()
	s := &Service{
		options:     o,
		log:         o.Logger,
		limiter:     limit.New[client](0, o.InFlightGrace),
		ledger:      Ledger{Refused: map[string]int{}, InvitesRefused: map[string]int{}},
		faults:      o.Faults.clone(),
		services:    register{tokens: map[digest]*token{}},
		accesses:    register{tokens: map[digest]*token{}},
		delegations: register{tokens: map[digest]*token{}},
	}
	s.limiter.SetQuota(o.Quota)
	return s
}

// TLS returns what a listener needs. A client certificate is asked for but not looked at before a call comes: one endpoint of two
// wants one.
func (s *Service) TLS(server tls.Certificate) *tls.Config {
	return &tls.Config{Certificates: []tls.Certificate{server}, ClientAuth: tls.RequestClientCert, MinVersion: tls.VersionTLS12}
}

// call is one POST to an endpoint on its way through the services.
type call struct {
	request *http.Request
	arrival limit.Arrival
	body    []byte
	problem error // with the body
	client  client
	state   *limit.State // nil: the call was dropped before it counted for anybody
}

// verdict is what the services decided about a call.
type verdict struct {
	status  int // 0: the connection is dropped
	reason  string
	message string // of an ErrorResponse; in the log only, where the connection is dropped
	body    any    // instead of an ErrorResponse
	refusal *limit.Refusal
	wait    time.Duration // the Retry-After; 0: none
	slow    time.Duration // on top of the latency
}

func invalid(err error) verdict {
	return verdict{status: http.StatusBadRequest, reason: "invalid_request", message: err.Error()}
}

// refused is the form in which the services say why there is no token.
func refused(x XErr) verdict {
	return verdict{status: http.StatusUnauthorized, reason: fmt.Sprintf("xerr_%08x", uint32(x)),
		body: xerrResponse{Identity: "0", XErr: x, Message: x.message()}}
}

type xerrResponse struct {
	Identity string
	XErr     XErr
	Message  string
	Redirect string
}

// ServeHTTP answers POST /service/authenticate and POST /xsts/authorize.
func (s *Service) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c := &call{request: r, arrival: s.arrive()}
	path := r.URL.EscapedPath()
	if path != authenticatePath && path != authorizePath {
		wire.WriteJSON(w, http.StatusNotFound, wire.ErrorResponse{ErrorCode: "NotFound",
			DebugMessage: "path: only " + authenticatePath + " and " + authorizePath + " are here"})
		return
	}
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", http.MethodPost)
		wire.WriteJSON(w, http.StatusMethodNotAllowed, wire.ErrorResponse{ErrorCode: "MethodNotAllowed",
			DebugMessage: "method: only POST is allowed"})
		return
	}
	c.body, c.problem = wire.ReadBody(r.Body, maxBody)
	v := s.decide(c, path)
	if v.status == 0 {
		s.log.LogAttrs(r.Context(), slog.LevelWarn, "connection dropped", slog.String("reason", v.message))
	}
	s.log.LogAttrs(r.Context(), slog.LevelDebug, "auth call",
		slog.String("path", path), slog.Int("status", v.status), slog.String("reason", v.reason))
	s.answer(w, c, v)
}

// maxBody is how long a request's body may be, in bytes.
const maxBody = 64 << 10

// arrive notes the instant, in an order with all others. The clock is read first: see [Service.leave].
func (s *Service) arrive() limit.Arrival {
	now := time.Now()
	return limit.Arrival{At: now, Seq: s.instant.Add(1)}
}

// now is the services' clock, which may be wrong. The limits go by the real one. s.mu must be held.
func (s *Service) now() time.Time { return time.Now().Add(s.faults.ClockOffset) }

// decide counts the call and judges it. It does not wait.
func (s *Service) decide(c *call, path string) verdict {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ledger.Calls++
	v := s.judge(c, path)
	switch {
	case v.status == http.StatusTooManyRequests:
		s.ledger.Throttled++
	case v.status != http.StatusOK:
		s.ledger.Refused[v.reason]++
	case path == authenticatePath:
		s.ledger.ServiceTokens++
	default:
		s.ledger.AccessTokens++
	}
	v.slow = s.faults.SlowBy
	return v
}

// judge is the order in which the services look at things: the connection, the quota, faults, the request.
func (s *Service) judge(c *call, path string) verdict {
	now := s.now()
	var wanted authorization
	var err error
	if path == authenticatePath {
		if c.client, err = s.certificate(c.request.TLS, now); err != nil {
			return verdict{reason: "certificate", message: err.Error()}
		}
	} else if c.problem == nil {
		wanted, c.problem = parseAuthorization(c.body)
		issued, _ := s.services.find(wanted.Properties.ServiceToken)
		c.client = issued.client
	}
	state, throttled, inBlock := s.limiter.Admit(c.client, c.arrival)
	c.state = state
	if inBlock {
		s.ledger.InBlock++
	}
	switch {
	case throttled != nil:
		return verdict{status: http.StatusTooManyRequests, refusal: throttled}
	case s.faults.Throttle:
		return verdict{status: http.StatusTooManyRequests, refusal: &limit.Refusal{LimitType: "Rate"}, wait: s.faults.RetryAfter}
	case s.faults.Unavailable:
		return verdict{status: http.StatusServiceUnavailable, reason: "unavailable", message: "out of order",
			wait: s.faults.RetryAfter}
	}
	if err := checkAround(c); err != nil {
		return invalid(err)
	}
	if path == authenticatePath {
		return s.authenticate(c, now)
	}
	return s.authorize(c, wanted, now)
}

// certificate checks the client certificate again at each call: a connection may outlive it.
func (s *Service) certificate(state *tls.ConnectionState, now time.Time) (client, error) {
	if state == nil || state.Version < tls.VersionTLS12 {
		return client{}, errors.New("no TLS of version 1.2 or later")
	}
	if len(state.PeerCertificates) == 0 {
		return client{}, errors.New("no client certificate")
	}
	between := x509.NewCertPool()
	for _, c := range state.PeerCertificates[1:] {
		between.AddCert(c)
	}
	_, err := state.PeerCertificates[0].Verify(x509.VerifyOptions{
		Roots: s.options.ClientCAs, Intermediates: between, CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	})
	if err != nil {
		return client{}, fmt.Errorf("client certificate: %w", err)
	}
	return fingerprint(state.PeerCertificates[0]), nil
}

// checkAround reports what is wrong with a request apart from what its body says.
func checkAround(c *call) error {
	if len(c.request.Header.Values("Authorization")) > 0 {
		return errors.New("Authorization: this endpoint takes none")
	}
	if err := wire.CheckHeaders(c.request); err != nil {
		return err
	}
	return c.problem
}

// answer waits as long as the service takes, and answers. It panics with [http.ErrAbortHandler] to drop the connection.
func (s *Service) answer(w http.ResponseWriter, c *call, v verdict) {
	if !wire.Wait(c.request.Context(), s.options.Latency+v.slow) {
		s.leave(c, verdict{}, http.Header{}) // nobody is there to be told to wait
		panic(http.ErrAbortHandler)
	}
	s.leave(c, v, w.Header())
	switch {
	case v.status == 0:
		panic(http.ErrAbortHandler)
	case v.refusal != nil:
		wire.WriteJSON(w, v.status, wire.Numbers(v.refusal))
	case v.body != nil:
		wire.WriteJSON(w, v.status, v.body)
	default:
		wire.WriteJSON(w, v.status, wire.ErrorResponse{ErrorCode: v.reason, DebugMessage: v.message})
	}
}

// leave ends the call just before its answer is written, and writes the headers that depend on when that is.
//
// Here the clock is read after the sequence number was taken, in arrive before it. So a call with a lower number
// than an answer also arrived no later by the clock, and a block can be judged by both.
func (s *Service) leave(c *call, v verdict, h http.Header) {
	s.mu.Lock()
	defer s.mu.Unlock()
	given := limit.Arrival{Seq: s.instant.Add(1)}
	given.At = time.Now()
	h.Set("Date", s.now().UTC().Format(http.TimeFormat))
	if v.status == http.StatusUnauthorized {
		h.Set("WWW-Authenticate", fmt.Sprintf("XSTS error=%q", v.reason))
	}
	if c.state == nil {
		return
	}
	s.limiter.Leave(c.state)
	pause, blocked := v.wait, v.wait > 0
	if v.refusal != nil && !v.refusal.Ends.IsZero() {
		pause, blocked = v.refusal.Ends.Sub(given.At), true
	}
	if blocked {
		value, until := wire.Seconds(given.At, pause)
		h.Set("Retry-After", value)
		c.state.Block(given, until)
	}
}
