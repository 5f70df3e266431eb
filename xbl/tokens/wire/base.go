package wire

import (
	"fmt"
	"net/netip"
	"net/url"
	"strings"
)

// SafeURL says why no secret may be sent to a URL; empty: it may. It repeats no more of it than the host.
func SafeURL(text string) string {
	u, err := url.Parse(text)
	switch {
	case err != nil:
		return "it can't be read as a URL"
	case u.Scheme != "https" && u.Scheme != "http", u.Hostname() == "":
		return "it must begin with https:// and a host"
	case u.Scheme == "http" && !isLoopback(u.Hostname()):
		return fmt.Sprintf("http:// to host %.80q would send tokens in the clear; use https://, http:// is for loopback hosts only", u.Hostname())
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
