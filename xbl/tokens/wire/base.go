package wire

import (
	"net/netip"
	"net/url"
	"strings"
)

// SafeURL says why no secret may be sent to a URL; empty: it may. It repeats nothing of it.
func SafeURL(text string) string {
	u, err := url.Parse(text)
	switch {
	case err != nil:
		return "it can't be read as a URL"
	case u.Scheme != "https" && u.Scheme != "http", u.Hostname() == "":
		return "it must begin with https:// and a host"
	case u.Scheme == "http" && !isLoopback(u.Hostname()):
		return "http:// would send tokens in the clear; use https://, http:// is for loopback hosts only (localhost, 127.0.0.1, [::1])"
	case u.Fragment != "":
		return "it has a fragment (#), which no server sees; remove it"
	default:
		return ""
	}
}

func isLoopback(host string) bool {
	if strings.EqualFold(host, "localhost") {
		return true
	}
	addr, err := netip.ParseAddr(host)
	return err == nil && addr.IsLoopback()
}
