package xbl

import (
	"net"
	"net/http"
	"time"
)

// NewTransport returns a transport tuned for many calls at once to one host: maxInFlight connections are kept for the
// next call where the service speaks HTTP/1, and HTTP/2 is used where it is offered. It is what [NewClient] uses by
// default; change it (before its first use) to dial differently in a test.
func NewTransport(maxInFlight int) *http.Transport {
	dialer := &net.Dialer{Timeout: 5 * time.Second, KeepAlive: 15 * time.Second}
	return &http.Transport{
		// From the environment; never used for loopback hosts.
		Proxy:               http.ProxyFromEnvironment,
		DialContext:         dialer.DialContext,
		TLSHandshakeTimeout: 5 * time.Second,
		ForceAttemptHTTP2:   true,
		MaxIdleConnsPerHost: maxInFlight,
		// Shorter than what load balancers allow a connection to idle: a call on a connection that the other side is
		// just closing has an unknown outcome.
		IdleConnTimeout: 55 * time.Second,
		// Answers are tiny. Asking for gzip would only make room for a bomb.
		DisableCompression:     true,
		MaxResponseHeaderBytes: 64 << 10,
		// Tokens are some kilobytes: a whole request leaves in one write.
		WriteBufferSize: 8 << 10,
		HTTP2: &http.HTTP2Config{
			// A connection whose other end vanished would otherwise swallow calls until TCP gives up, many minutes later.
			SendPingTimeout: 15 * time.Second,
			PingTimeout:     5 * time.Second,
		},
	}
}
