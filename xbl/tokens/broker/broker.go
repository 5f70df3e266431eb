package broker

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"strings"

	"github.com/invitedhq/invited/xbl"
	"github.com/invitedhq/invited/xbl/tokens"
	"github.com/invitedhq/invited/xbl/tokens/wire"
)

// Placeholder stands for the sender in the URL.
const Placeholder = "{sender}"

// Options are what a [Source] is made of. Only URL is required.
type Options struct {
	// URL is asked with GET, with {sender} replaced in its path and query. A user name and password in it are sent as basic
	// authorization. It must be https:// unless the host is loopback.
	URL string
	// HeadersFile has further headers, a line each: "Name: value". It is read again for each request.
	HeadersFile string
	wire.Options
}

// Source gets tokens from a broker. Any goroutine may use it.
type Source struct {
	options Options
	client  *wire.Client
	who     string // the broker's name in errors
}

var _ tokens.Fetcher = (*Source)(nil)

// New checks the options, and asks for nothing.
func New(o Options) (*Source, error) {
	if problem := wire.SafeURL(strings.ReplaceAll(o.URL, Placeholder, "s")); problem != "" {
		return nil, errors.New("tokens.http.url: " + problem)
	}
	u, err := url.Parse(fill(o.URL, "s"))
	other, err2 := url.Parse(fill(o.URL, "t"))
	if err != nil || err2 != nil {
		return nil, errors.New("tokens.http.url: it can't be read as a URL")
	}
	if u.Host != other.Host || u.User.String() != other.User.String() {
		return nil, errors.New("tokens.http.url: {sender} may stand in the path and the query only")
	}
	if o.HeadersFile != "" {
		if _, err := readHeaders(o.HeadersFile); err != nil {
			return nil, fmt.Errorf("tokens.http.headers_file: %w", err)
		}
	}
	client, err := wire.NewClient(o.Options)
	if err != nil {
		return nil, fmt.Errorf("tokens.http.ca_file: %w", err)
	}
	return &Source{options: o, client: client, who: "the token broker " + u.Host}, nil
}

// fill puts a sender into the URL. What is legal in a path may have a meaning in a query.
func fill(template, sender string) string {
	path, query, hasQuery := strings.Cut(template, "?")
	filled := strings.ReplaceAll(path, Placeholder, url.PathEscape(sender))
	if hasQuery {
		filled += "?" + strings.ReplaceAll(query, Placeholder, url.QueryEscape(sender))
	}
	return filled
}

// Close closes the connections to the broker.
func (s *Source) Close() { s.client.Close() }

// Check implements tokens.Fetcher: a sender that is none has no token.
func (s *Source) Check(sender string) *xbl.TokenError {
	if !xbl.ValidSender(sender) {
		return &xbl.TokenError{Kind: xbl.TokenInvalid, Sender: sender, Detail: "a sender is 1 to 64 of A-Z a-z 0-9 _ -"}
	}
	return nil
}

// Cost implements tokens.Fetcher.
func (s *Source) Cost() int { return 1 }

// Fetch implements tokens.Fetcher.
func (s *Source) Fetch(ctx context.Context, sender string, _ int) (tokens.Grant, error) {
	r, err := s.request(sender)
	if err != nil {
		return tokens.Grant{}, err
	}
	if c := s.options.Certificate; c != nil {
		current, err := c.Current()
		if err != nil {
			return tokens.Grant{}, &xbl.TokenError{Kind: xbl.TokenInvalid, Detail: "the certificate for " + s.who, Err: err}
		}
		if problem := wire.Unusable(current, s.client.Clock.Now()); problem != "" {
			return tokens.Grant{}, &xbl.TokenError{Kind: xbl.TokenDenied, Detail: "for " + s.who + ": " + problem}
		}
	}
	a, err := s.client.Do(ctx, s.who, r, nil)
	if err != nil {
		return tokens.Grant{}, err
	}
	if problem := s.refusal(a); problem != nil {
		return tokens.Grant{}, problem
	}
	token, end, err := parse(a.Body)
	if err != nil {
		return tokens.Grant{}, &xbl.TokenError{Kind: xbl.TokenInvalid, Detail: s.who + ": " + err.Error()}
	}
	token.NotAfter = s.client.Clock.Here(end)
	return tokens.Grant{Token: token}, nil
}

func (s *Source) request(sender string) (*http.Request, error) {
	u, err := url.Parse(fill(s.options.URL, sender))
	if err != nil {
		return nil, &xbl.TokenError{Kind: xbl.TokenInvalid, Detail: "tokens.http.url can't be read with this sender in it"}
	}
	r := &http.Request{Method: http.MethodGet, URL: u, Host: u.Host, Header: http.Header{}}
	if u.User != nil {
		password, _ := u.User.Password()
		r.SetBasicAuth(u.User.Username(), password)
		u.User = nil
	}
	r.Header.Set("Accept", "application/json")
	r.Header.Set("Cache-Control", "no-cache")
	r.Header.Set("User-Agent", "invited")
	if s.options.HeadersFile != "" {
		more, err := readHeaders(s.options.HeadersFile)
		if err != nil {
			return nil, &xbl.TokenError{Kind: xbl.TokenInvalid, Detail: "tokens.http.headers_file", Err: err}
		}
		maps.Copy(r.Header, more)
	}
	return r, nil
}

// refusal is what an answer means that has no token. The broker's own words are left out: it may repeat what it was sent.
func (s *Source) refusal(a wire.Answer) *xbl.TokenError {
	if problem := a.Problem(s.who); problem != nil {
		return problem
	}
	status := fmt.Sprintf("%s answered %d", s.who, a.Status)
	switch a.Status {
	case http.StatusOK:
		return nil
	case http.StatusNotFound, http.StatusGone:
		return &xbl.TokenError{Kind: xbl.TokenMissing, Detail: status + ": it does not know this sender; make it known there"}
	case http.StatusUnauthorized, http.StatusForbidden:
		return &xbl.TokenError{
			Kind:   xbl.TokenDenied,
			Detail: status + ": it does not let this worker have the token; look at tokens.http.headers_file and cert_file, and at its log",
		}
	default:
		return &xbl.TokenError{Kind: xbl.TokenInvalid, Detail: status + "; 200 with a token is expected"}
	}
}
