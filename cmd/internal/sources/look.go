package sources

import (
	"context"
	"errors"
	"time"

	"github.com/invitedhq/invited/configs"
	"github.com/invitedhq/invited/xbl"
	"github.com/invitedhq/invited/xbl/tokens"
)

// Look gets one token of a sender, as a worker would for its first call, and says whose it is. Its error is an
// [*xbl.TokenError], or says what of the configuration can't be used.
func Look(ctx context.Context, c configs.Tokens, sender string) (tokens.Grant, error) {
	var fetcher tokens.Fetcher
	switch c.Source {
	case configs.TokensHTTP:
		b, _, err := newBroker(c.HTTP)
		if err != nil {
			return tokens.Grant{}, err
		}
		defer b.Close()
		fetcher = b
	case configs.TokensS2S:
		s, err := newS2S(c.S2S)
		if err != nil {
			return tokens.Grant{}, err
		}
		defer s.Close()
		fetcher = s
	case configs.TokensStatic, configs.TokensFile:
		source, err := New(c, func(*xbl.TokenError) {})
		if err != nil {
			return tokens.Grant{}, err
		}
		defer source.Close()
		token, err := source.Token(ctx, sender)
		return tokens.Grant{Token: token}, err
	}
	if problem := fetcher.Check(sender); problem != nil {
		return tokens.Grant{}, problem
	}
	grant, err := fetcher.Fetch(ctx, sender, fetcher.Cost())
	if again, ok := errors.AsType[*xbl.TokenError](err); ok && atOnce(again) {
		grant, err = fetcher.Fetch(ctx, sender, fetcher.Cost())
	}
	if err == nil {
		err = tokens.Usable(time.Now(), grant.Token)
	}
	return grant, err
}

// atOnce says that the next attempt finds what this one learnt: the time by the service's clock, say.
func atOnce(problem *xbl.TokenError) bool {
	return problem.Kind == xbl.TokenUnavailable && !problem.RetryAt.IsZero() && !problem.RetryAt.After(time.Now())
}
