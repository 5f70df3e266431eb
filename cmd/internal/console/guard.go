package console

import (
	"context"
	"net"
	"net/http"
	"net/netip"
)

// policy is what a browser may do with a page: use what this worker serves, and nothing else. Nothing on a page is a script or a
// style by itself, so what somebody else put into a job can't be either.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; " +
	"base-uri 'none'; frame-ancestors 'none'"

// guarded lets in who may look, and takes changes only from the console's own pages.
func (c *Console) guarded(pages http.Handler) http.Handler {
	own := http.NewCrossOriginProtection().Handler(pages)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", policy)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "same-origin")
		h.Set("X-Frame-Options", "DENY")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("Cache-Control", "no-store")
		if c.auth == nil && c.loopback() && !byAddress(r.Host) {
			const words = "This console is for this machine alone: ask for it as localhost or by its address."
			http.Error(w, words, http.StatusMisdirectedRequest)
			return
		}
		who := visitor{address: r.RemoteAddr}
		if c.auth != nil {
			name, ok := c.auth.user(r)
			if !ok {
				h.Set("WWW-Authenticate", `Basic realm="invited", charset="UTF-8"`)
				http.Error(w, "Your name and password, please: see admin.auth_file.", http.StatusUnauthorized)
				return
			}
			who.name = name
		}
		own.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), visitorKey{}, who)))
	})
}

// mayStill says whether who was let in would be now.
func (c *Console) mayStill(r *http.Request) bool {
	if c.auth == nil {
		return true
	}
	_, ok := c.auth.user(r)
	return ok
}

// visitor is who asks.
type visitor struct {
	name    string // empty: nobody was asked
	address string
}

type visitorKey struct{}

func visitorOf(r *http.Request) visitor {
	v, _ := r.Context().Value(visitorKey{}).(visitor)
	return v
}

// loopback says whether only this machine reaches the listener.
func (c *Console) loopback() bool {
	host, _, err := net.SplitHostPort(c.opts.Admin.Listen)
	return err == nil && isLoopback(host)
}

func isLoopback(host string) bool {
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.IsLoopback()
}

// byAddress says whether a page was asked for by an address, or as localhost. A name of somebody else's that leads here (DNS
// rebinding) would make their page this one's own origin.
func byAddress(hostport string) bool {
	host, _, err := net.SplitHostPort(hostport)
	if err != nil {
		host = hostport
	}
	if n := len(host); n > 1 && host[0] == '[' && host[n-1] == ']' {
		host = host[1 : n-1]
	}
	_, err = netip.ParseAddr(host)
	return host == "localhost" || err == nil
}
