package xbl

import (
	"context"
	"strings"
	"time"
)

// Static is a source of one Authorization value for every sender: for a service token, and for trying things out.
// An empty or malformed value is no error here but one of every call of Token, which says what to set.
// A refusal holds for the sender it happened to, not for the others.
func Static(authorization string, options ...SourceOption) TokenSource {
	o := newSourceOptions(options)
	s := &static{options: o, senders: recent[refusal]{size: o.remembered}}
	if strings.TrimSpace(authorization) == "" {
		s.problem = &TokenError{
			Kind:   TokenMissing,
			Detail: "set tokens.static.authorization, or the environment variable XBL_AUTHORIZATION that it takes by default",
		}
		return s
	}
	token, err := NewToken(authorization)
	if err != nil {
		s.problem = &TokenError{Kind: TokenInvalid, Detail: "tokens.static.authorization (XBL_AUTHORIZATION) can't be used", Err: err}
		return s
	}
	s.token = token
	o.refreshed(nil)
	return s
}

type static struct {
	token   Token
	problem *TokenError
	options sourceOptions
	senders recent[refusal]
}

func (s *static) Token(_ context.Context, sender string) (Token, error) {
	token, problem := s.tokenFor(sender)
	if problem != nil {
		s.options.refreshed(problem)
		return Token{}, problem
	}
	return token, nil
}

func (s *static) tokenFor(sender string) (Token, *TokenError) {
	if s.problem != nil {
		e := *s.problem
		e.Sender = sender
		return Token{}, &e
	}
	r := s.senders.find(sender)
	if r == nil {
		return s.token, nil
	}
	return r.admit(sender, s.token, time.Now(), s.options.retryRefused)
}

func (s *static) Refused(sender string, t Token) {
	if t.IsZero() || t.secret != s.token.secret {
		return
	}
	s.senders.get(sender).refuse(t, time.Now(), s.options.retryRefused)
}
