package xbl

import (
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"time"
)

// DefaultBaseURL is the real service.
const DefaultBaseURL = "https://multiplayeractivity.xboxlive.com"

// Audience says who is calling, and with that which endpoint is called.
type Audience uint8

const (
	// AudienceClient calls /titles/{titleId}/invites with the inviting user's own token.
	AudienceClient Audience = iota
	// AudienceServer calls /titles/{titleId}/invites/server with a service's token and names the inviting user in the body.
	AudienceServer
)

// ParseAudience reads "client" or "server".
func ParseAudience(s string) (Audience, error) {
	switch s {
	case "client":
		return AudienceClient, nil
	case "server":
		return AudienceServer, nil
	default:
		return 0, fmt.Errorf("audience is %.40q, not client or server", s)
	}
}

// String is "client" or "server".
func (a Audience) String() string {
	if a == AudienceServer {
		return "server"
	}
	return "client"
}

// Options are what a [Client] is made of. Only Tokens is required.
type Options struct {
	// BaseURL is the service's address, without the part from /titles on. Default: [DefaultBaseURL].
	// It must be https:// unless the host is loopback.
	BaseURL string
	// Audience is [AudienceClient] by default.
	Audience Audience
	// Timeout bounds one call: finding the token, connecting, the request and the whole answer. Default: 10 s.
	Timeout time.Duration
	// MaxRetryAfter bounds what the service may ask for, at least 1 s. Default: 24 h.
	MaxRetryAfter time.Duration
	// Tokens gives the token of each call.
	Tokens TokenSource
	// MaxInFlight is how many calls are made at once: as many idle connections are kept. Default: 256. It limits nothing.
	MaxInFlight int
	// Transport makes the calls. Default: [NewTransport] of MaxInFlight. It must not follow redirects or retry.
	Transport http.RoundTripper
	// UserAgent is sent with each call. Default: "invited".
	UserAgent string
}

func (o Options) withDefaults() Options {
	if o.BaseURL == "" {
		o.BaseURL = DefaultBaseURL
	}
	if o.Timeout == 0 {
		o.Timeout = 10 * time.Second
	}
	if o.MaxRetryAfter == 0 {
		o.MaxRetryAfter = 24 * time.Hour
	}
	if o.MaxInFlight == 0 {
		o.MaxInFlight = 256
	}
	if o.Transport == nil {
		o.Transport = NewTransport(o.MaxInFlight)
	}
	if o.UserAgent == "" {
		o.UserAgent = "invited"
	}
	return o
}

func (o Options) check() error {
	switch {
	case o.Tokens == nil:
		return errors.New("xbl: Options.Tokens is missing")
	case o.Audience > AudienceServer:
		return fmt.Errorf("xbl: Options.Audience %d is neither AudienceClient nor AudienceServer", o.Audience)
	case o.Timeout < 0:
		return fmt.Errorf("xbl: timeout is %v; it must be above 0", o.Timeout)
	case o.MaxRetryAfter < time.Second:
		return fmt.Errorf("xbl: the longest believed Retry-After is %v; it must be at least 1s", o.MaxRetryAfter)
	case o.MaxInFlight < 0:
		return fmt.Errorf("xbl: Options.MaxInFlight is %d; it must be above 0", o.MaxInFlight)
	case strings.ContainsFunc(o.UserAgent, func(r rune) bool { return r < ' ' || r > '~' }):
		return errors.New("xbl: Options.UserAgent must be printable ASCII on one line")
	}
	return nil
}

// parseBaseURL never repeats more of the URL than its host in an error: the rest may hold a password.
func parseBaseURL(s string) (*url.URL, error) {
	u, err := url.Parse(s)
	if err != nil {
		return nil, errors.New("xbl: base URL can't be read; expected is something like " + DefaultBaseURL)
	}
	switch {
	case u.Scheme != "https" && u.Scheme != "http", u.Hostname() == "":
		return nil, errors.New("xbl: base URL must begin with https:// and a host, like " + DefaultBaseURL)
	case u.Scheme == "http" && !isLoopback(u.Hostname()):
		return nil, fmt.Errorf("xbl: base URL is http:// to host %.80q, which would send tokens in the clear; "+
			"use https://, http:// is for loopback hosts only", u.Hostname())
	case u.User != nil:
		return nil, fmt.Errorf("xbl: base URL with host %.80q has a user name or password; remove it, calls carry a token", u.Hostname())
	case u.RawQuery != "" || u.ForceQuery || u.Fragment != "":
		return nil, fmt.Errorf("xbl: base URL with host %.80q has a query or fragment; remove it", u.Hostname())
	case u.EscapedPath() != u.Path:
		return nil, fmt.Errorf("xbl: base URL with host %.80q has a path with characters that need escaping", u.Hostname())
	}
	u.Path = strings.TrimRight(u.Path, "/")
	return u, nil
}

func isLoopback(host string) bool {
	if strings.EqualFold(host, "localhost") {
		return true
	}
	addr, err := netip.ParseAddr(host)
	return err == nil && addr.IsLoopback()
}
