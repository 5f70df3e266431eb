package s2s

import (
	"fmt"
	"net/http"

	"github.com/invitedhq/invited/xbl"
)

// XErr is the number with which the auth services say why they refuse: a uint32, 0x8015DCxx.
type XErr uint32

// The documented ones.
const (
	XErrBanned              XErr = 0x8015DC03
	XErrParental            XErr = 0x8015DC05
	XErrNoAccount           XErr = 0x8015DC09
	XErrTerms               XErr = 0x8015DC0A
	XErrRegion              XErr = 0x8015DC0B
	XErrAgeCheck            XErr = 0x8015DC0C
	XErrCurfew              XErr = 0x8015DC0D
	XErrChild               XErr = 0x8015DC0E
	XErrMaintenance         XErr = 0x8015DC0F
	XErrGamertagChange      XErr = 0x8015DC10
	XErrSandbox             XErr = 0x8015DC12
	XErrAccountAction       XErr = 0x8015DC13
	XErrServiceTokenEnded   XErr = 0x8015DC1F
	XErrUserTokenEnded      XErr = 0x8015DC22
	XErrUserTokenInvalid    XErr = 0x8015DC26
	XErrServiceTokenInvalid XErr = 0x8015DC27
	XErrOutage              XErr = 0x8015DC31
	XErrTemporarilyDown     XErr = 0x8015DC32
)

// meaning is what an XErr says, and what becomes of it.
type meaning struct {
	kind  xbl.TokenErrorKind
	words string
	again bool // a new service token is all it takes
}

const user = "the user who delegated has to "

// meanings has the documented XErrs. A user's trouble is the user's to end: xbl.TokenDenied, and the jobs wait.
func meanings() map[XErr]meaning {
	denied, down := xbl.TokenDenied, xbl.TokenUnavailable
	return map[XErr]meaning{
		XErrBanned:              {kind: denied, words: "the account is banned from Xbox Live"},
		XErrParental:            {kind: denied, words: "parental controls forbid it; a parent has to allow it"},
		XErrNoAccount:           {kind: denied, words: "the user has no Xbox account; " + user + "make one"},
		XErrTerms:               {kind: denied, words: user + "accept the terms of use"},
		XErrRegion:              {kind: denied, words: "Xbox Live is not offered in the account's country or region"},
		XErrAgeCheck:            {kind: denied, words: user + "pass an age check"},
		XErrCurfew:              {kind: denied, words: "it is past the account's curfew; it ends by itself"},
		XErrChild:               {kind: denied, words: "it is a child's account that is in no family; an adult has to add it to one"},
		XErrMaintenance:         {kind: denied, words: "the account needs maintenance; " + user + "sign in at account.xbox.com"},
		XErrGamertagChange:      {kind: denied, words: "the account's gamertag must be changed; " + user + "sign in at account.xbox.com"},
		XErrSandbox:             {kind: denied, words: "the sandbox is denied; look at tokens.s2s.sandbox, and at Partner Center"},
		XErrAccountAction:       {kind: denied, words: "the account needs something done; " + user + "sign in at account.xbox.com"},
		XErrServiceTokenEnded:   {kind: down, words: "the service token has ended; another one is got", again: true},
		XErrServiceTokenInvalid: {kind: down, words: "the service token is not valid any more; another one is got", again: true},
		XErrUserTokenEnded:      {kind: denied, words: "the delegation has ended (they last 30 days); " + user + "delegate again"},
		XErrUserTokenInvalid:    {kind: denied, words: "the delegation token is not valid; " + user + "delegate again"},
		XErrOutage:              {kind: down, words: "the auth service has an outage"},
		XErrTemporarilyDown:     {kind: down, words: "the auth service is down for a while"},
	}
}

// RefusalError is an auth service's no. [errors.As] finds it in the error of a call.
type RefusalError struct {
	Status  int
	XErr    XErr   // 0: it gave none
	Message string // the service's own words, made fit for an error
}

// Error is one line.
func (r *RefusalError) Error() string {
	s := fmt.Sprintf("status %d", r.Status)
	if r.XErr != 0 {
		s += fmt.Sprintf(", XErr 0x%08X (%d)", uint32(r.XErr), uint32(r.XErr))
	}
	if r.Message != "" {
		s += fmt.Sprintf(", %q", r.Message)
	}
	return s
}

// problem is what a refusal means. who names the service. again is set where a new service token is all it takes.
func (r *RefusalError) problem(who string) (p *xbl.TokenError, again bool) {
	m, known := meanings()[r.XErr]
	if !known {
		m = r.unknown()
	}
	return &xbl.TokenError{Kind: m.kind, Detail: who + " refused: " + m.words, Err: r}, m.again
}

// unknown is the meaning of a refusal whose XErr is none of the documented ones.
func (r *RefusalError) unknown() meaning {
	switch {
	case r.XErr != 0:
		return meaning{kind: xbl.TokenDenied, words: "with an XErr that is not documented"}
	case r.Status == http.StatusForbidden:
		return meaning{kind: xbl.TokenDenied, words: "the signature is not what it expects, or this certificate may not do that; " +
			"look at this machine's clock and at what Partner Center says of the certificate"}
	case r.Status == http.StatusUnauthorized:
		return meaning{kind: xbl.TokenDenied, words: "without saying why; look at the certificate, the sandbox and the delegation"}
	default:
		return meaning{kind: xbl.TokenInvalid, words: "the request is not what it expects; look at tokens.s2s.service_url and xsts_url"}
	}
}
