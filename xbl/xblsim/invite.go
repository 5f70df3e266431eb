package xblsim

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/invitedhq/invited/xbl/xblsim/internal/limit"
	"github.com/invitedhq/invited/xbl/xblsim/internal/wire"
)

// call is one POST to an invite endpoint on its way through the server.
type call struct {
	arrival limit.Arrival
	token   tokenKey // of its Authorization value
	key     key      // who the quota counts
	invite  invite
	problem verdict // the answer to an invalid request; its status is 0 for a valid one
	state   *limit.State
}

// serveInvite handles everything under /titles/.
func (s *Server) serveInvite(w http.ResponseWriter, r *http.Request) {
	arrived := s.arrive()
	title, server, ok := splitPath(r.URL.EscapedPath())
	if !ok {
		noSuchPath().write(w, "", NoBody)
		return
	}
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", http.MethodPost)
		wrongMethod().write(w, "", NoBody)
		return
	}
	titleID, err := parseTitleID(title)
	if err != nil {
		invalid(err).write(w, "", NoBody)
		return
	}
	c := s.readCall(r, arrived, titleID, server)
	v := s.decide(c)
	if s.log.Enabled(r.Context(), slog.LevelDebug) {
		s.logCall(r.Context(), c, v)
	}
	s.answer(w, r, c, v)
}

// arrive notes the instant, in an order with all others. The clock is read first: see [Server.leave].
func (s *Server) arrive() limit.Arrival {
	now := time.Now()
	return limit.Arrival{At: now, Seq: s.instant.Add(1)}
}

// splitPath takes /titles/{title}/invites and /titles/{title}/invites/server apart.
func splitPath(path string) (title string, server, ok bool) {
	rest, _ := strings.CutPrefix(path, "/titles/")
	title, rest, _ = strings.Cut(rest, "/")
	return title, rest == "invites/server", title != "" && (rest == "invites" || rest == "invites/server")
}

func parseTitleID(s string) (uint32, error) {
	id, err := strconv.ParseUint(s, 10, 32)
	if err != nil || strconv.FormatUint(id, 10) != s {
		return 0, fmt.Errorf("titleId: %.40q is no decimal number of 32 bits without leading zeros", s)
	}
	return uint32(id), nil
}

// readCall takes from the request all that the server needs to decide.
func (s *Server) readCall(r *http.Request, arrived limit.Arrival, titleID uint32, server bool) *call {
	authorization := r.Header.Values("Authorization")
	token := keyOfToken(strings.Join(authorization, ", "))
	c := &call{arrival: arrived, token: token, key: key{title: titleID, user: token}}
	body, bodyErr := wire.ReadBody(r.Body, maxBody)
	var inv invite
	if bodyErr == nil {
		inv, bodyErr = parseInvite(body, server)
	}
	c.key.sender = inv.sender
	c.problem = checkAuthorizations(authorization)
	if c.problem.status == 0 && s.options.Auth != nil {
		caller, d := s.options.Auth.Check(r, authorization[0], body, server)
		if caller != "" {
			c.key.user = keyOfToken(caller)
		}
		if d != nil {
			c.problem = denied(d)
		}
	}
	if c.problem.status == 0 {
		c.problem = checkRequest(r, bodyErr)
	}
	if c.problem.status == 0 {
		c.invite = inv
	}
	return c
}

// checkAuthorizations returns the answer to a request without a token, or the zero verdict.
func checkAuthorizations(authorization []string) verdict {
	if len(authorization) == 0 {
		return unauthorized("missing_token")
	}
	if len(authorization) > 1 {
		return invalid(errors.New("Authorization: given more than once"))
	}
	if err := checkAuthorization(authorization[0]); err != nil {
		return invalid(err)
	}
	return verdict{}
}

// checkRequest returns the answer to an invalid request, or the zero verdict.
func checkRequest(r *http.Request, bodyErr error) verdict {
	if err := wire.CheckHeaders(r); err != nil {
		return invalid(err)
	}
	if bodyErr != nil {
		return invalid(bodyErr)
	}
	return verdict{}
}

// decide counts the call, judges it and records what is sent. It does not wait.
func (s *Server) decide(c *call) verdict {
	s.mu.Lock()
	defer s.mu.Unlock()
	st, refused, inBlock := s.limiter.Admit(c.key, c.arrival)
	c.state = st
	v := s.judge(c, refused)

	s.book.ledger.Calls++
	if inBlock {
		s.book.ledger.InBlock++
	}
	if v.status == http.StatusTooManyRequests {
		s.book.ledger.Throttled++
	}
	if v.recorded {
		s.book.record(c.key.title, c.invite.users)
	}
	s.calls.add(c, v, inBlock)
	return v
}

// judge is the order in which the service looks at things: outage, quota, faults before the service itself,
// the request, and faults after it.
func (s *Server) judge(c *call, refused *limit.Refusal) verdict {
	plan := s.faults
	if refused != nil && !plan.faults.Outage {
		return verdict{status: http.StatusTooManyRequests, refusal: refused}
	}
	fault := plan.draw(s.rng)
	v := verdict{fault: fault}
	switch fault {
	case fault500:
		v.status = http.StatusInternalServerError
		return v
	case fault503:
		v.status = http.StatusServiceUnavailable
		return v
	case fault503RetryAfter:
		v.status, v.wait = http.StatusServiceUnavailable, plan.faults.RetryAfter
		return v
	case faultResetBefore:
		return v
	}
	v = s.judgeRequest(c)
	v.fault = fault
	switch fault {
	case faultResetAfter:
		v.status = 0
	case faultSlow:
		v.slow = plan.faults.SlowBy
	}
	return v
}

// judgeRequest is the service without quota and faults.
func (s *Server) judgeRequest(c *call) verdict {
	if _, expired := s.faults.expired[c.token]; expired {
		return unauthorized("expired_token")
	}
	if c.problem.status != 0 {
		return c.problem
	}
	if v, refused := s.faults.refuses(c.invite.users); refused {
		return v
	}
	return verdict{status: http.StatusNoContent, recorded: true}
}

// answer waits as long as the service takes, and answers. It panics with [http.ErrAbortHandler] to drop the connection.
func (s *Server) answer(w http.ResponseWriter, r *http.Request, c *call, v verdict) {
	if !wire.Wait(r.Context(), s.options.Latency+v.slow) {
		s.leave(c, verdict{}) // nobody is there to be told to wait
		panic(http.ErrAbortHandler)
	}
	retryAfter := s.leave(c, v)
	if v.status == 0 {
		panic(http.ErrAbortHandler)
	}
	if s.options.Auth != nil {
		w.Header().Set("Date", s.options.Auth.Now().UTC().Format(http.TimeFormat))
	}
	v.write(w, retryAfter, s.options.Throttle)
}

// leave ends the call just before its answer is written, and returns the answer's Retry-After.
//
// Here the clock is read after the sequence number was taken, in arrive before it. So a call with a lower number
// than an answer also arrived no later by the clock, and a block can be judged by both.
func (s *Server) leave(c *call, v verdict) (retryAfter string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.limiter.Leave(c.state)
	given := limit.Arrival{Seq: s.instant.Add(1)}
	given.At = time.Now()
	retryAfter, until := v.retryAfter(s.options.RetryAfter, given.At)
	if retryAfter != "" {
		c.state.Block(given, until)
	}
	return retryAfter
}

func (s *Server) logCall(ctx context.Context, c *call, v verdict) {
	s.log.LogAttrs(ctx, slog.LevelDebug, "call",
		slog.Uint64("title", uint64(c.key.title)),
		slog.String("token", c.token.String()),
		slog.Int("recipients", len(c.invite.users)),
		slog.Int("status", v.status),
		slog.String("code", v.code),
		slog.String("fault", v.fault),
	)
}
