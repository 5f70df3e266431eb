package xblsim

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"
)

// Faults says which calls fail, and how. The zero value is a service without faults.
//
// A rate is a share of the calls that the quota let through, 0 to 1. One call suffers at most one of
// these faults, so all rates together are at most 1.
type Faults struct {
	Error500           float64 // answered 500; nothing recorded
	Error503           float64 // answered 503 without Retry-After; nothing recorded
	Error503RetryAfter float64 // answered 503 with Retry-After; nothing recorded; the key is blocked as by a 429
	ResetBefore        float64 // the connection is dropped; nothing recorded
	ResetAfter         float64 // the call is decided, and recorded if it is good; then the connection is dropped
	Slow               float64 // the call is decided, and recorded if it is good; the answer comes SlowBy later

	SlowBy     time.Duration // 0 counts as 30 s
	RetryAfter time.Duration // what a 503 of Error503RetryAfter asks for, rounded up to whole seconds; 0 counts as 5 s

	RefusedXUIDs   []uint64 // a call to one of these players is answered 400 RequestValidationError as a whole
	ForbiddenXUIDs []uint64 // a call to one of these players is answered 400 AuthorizationError as a whole

	// ExpiredTokens are answered 401. Each is an Authorization value or its [TokenKey].
	ExpiredTokens []string

	// Outage makes every call fail: 500, 503 or a dropped connection, each a third of the time.
	// Nothing is recorded and no call is answered 429, but each counts against the quota.
	Outage bool
}

// Validate reports the first thing in f that makes no sense. No token is in its words.
func (f Faults) Validate() error {
	sum := 0.0
	for _, r := range f.rates() {
		if !(r.rate >= 0 && r.rate <= 1) { // so that NaN is refused too
			return fmt.Errorf("fault %s: the rate %v is not between 0 and 1", r.fault, r.rate)
		}
		sum += r.rate
	}
	if sum > 1+1e-9 { // ten times 0.1 is a little more than 1
		return fmt.Errorf("fault rates: together they are %.3g, and a call suffers at most one fault: keep them at most 1", sum)
	}
	if f.SlowBy < 0 {
		return fmt.Errorf("fault %s: a time of %s is below 0", faultSlow, f.SlowBy)
	}
	if f.RetryAfter < 0 {
		return fmt.Errorf("fault %s: a Retry-After of %s is below 0", fault503RetryAfter, f.RetryAfter)
	}
	for i, t := range f.ExpiredTokens {
		if _, err := parseTokenKey(t); err != nil {
			return fmt.Errorf("expired token %d of %d: %w", i+1, len(f.ExpiredTokens), err)
		}
	}
	return nil
}

// Names of faults, as in the JSON of /faults and in [Call].
const (
	fault500           = "error500"
	fault503           = "error503"
	fault503RetryAfter = "error503RetryAfter"
	faultResetBefore   = "resetBefore"
	faultResetAfter    = "resetAfter"
	faultSlow          = "slow"
)

type faultRate struct {
	fault string
	rate  float64
}

func (f Faults) rates() [6]faultRate {
	return [...]faultRate{
		{fault500, f.Error500},
		{fault503, f.Error503},
		{fault503RetryAfter, f.Error503RetryAfter},
		{faultResetBefore, f.ResetBefore},
		{faultResetAfter, f.ResetAfter},
		{faultSlow, f.Slow},
	}
}

// faultPlan is Faults made ready for quick questions. It is never changed, so a plan may be read unlocked.
type faultPlan struct {
	faults    Faults // with its defaults, and with keys for tokens
	refused   map[uint64]struct{}
	forbidden map[uint64]struct{}
	expired   map[tokenKey]struct{}
	any       bool
}

func newFaultPlan(f Faults) (*faultPlan, error) {
	if err := f.Validate(); err != nil {
		return nil, err
	}
	if f.SlowBy == 0 {
		f.SlowBy = 30 * time.Second
	}
	if f.RetryAfter == 0 {
		f.RetryAfter = 5 * time.Second
	}
	p := &faultPlan{
		refused:   set(f.RefusedXUIDs),
		forbidden: set(f.ForbiddenXUIDs),
		expired:   make(map[tokenKey]struct{}, len(f.ExpiredTokens)),
		any:       f.Outage,
	}
	keys := make([]string, 0, len(f.ExpiredTokens))
	for _, t := range f.ExpiredTokens {
		k, err := parseTokenKey(t)
		if err != nil {
			return nil, err
		}
		p.expired[k] = struct{}{}
		keys = append(keys, k.String())
	}
	f.ExpiredTokens = keys
	f.RefusedXUIDs = slices.Clone(f.RefusedXUIDs)
	f.ForbiddenXUIDs = slices.Clone(f.ForbiddenXUIDs)
	p.faults = f
	for _, r := range f.rates() {
		p.any = p.any || r.rate > 0
	}
	return p, nil
}

func set(xuids []uint64) map[uint64]struct{} {
	m := make(map[uint64]struct{}, len(xuids))
	for _, x := range xuids {
		m[x] = struct{}{}
	}
	return m
}

// draw returns the fault of the next call, or "".
func (p *faultPlan) draw(rng *rand.Rand) string {
	if !p.any {
		return ""
	}
	if p.faults.Outage {
		return [...]string{fault500, fault503, faultResetBefore}[rng.IntN(3)]
	}
	u := rng.Float64()
	for _, r := range p.faults.rates() {
		if u < r.rate {
			return r.fault
		}
		u -= r.rate
	}
	return ""
}

// refuses returns the answer to a call to these players, if there is one among them that is not to be invited.
func (p *faultPlan) refuses(users []uint64) (verdict, bool) {
	if containsAny(p.forbidden, users) {
		return forbidden("The caller is not allowed to invite these users."), true
	}
	if containsAny(p.refused, users) {
		return invalid(errors.New("invitedUsers: at least one of the users can't be invited")), true
	}
	return verdict{}, false
}

func containsAny(set map[uint64]struct{}, users []uint64) bool {
	if len(set) == 0 {
		return false
	}
	for _, u := range users {
		if _, found := set[u]; found {
			return true
		}
	}
	return false
}
