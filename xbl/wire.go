package xbl

import (
	"crypto/tls"
	"net"
	"net/http/httptrace"
	"strings"
	"sync/atomic"
)

// wire watches how far a request got, for when no answer comes.
//
// What the hooks mean differs by protocol, so only what holds for both is used:
//
//   - WroteHeaderField fires before the first byte can leave: HTTP/1 fills a buffer then, HTTP/2 encodes the header block.
//     WroteHeaders would be too late: HTTP/2 has already put the block on the wire, and HTTP/1 may have flushed a part.
//   - WroteRequest with an error is proof that the request's end was never handed to the network, so the JSON body is
//     incomplete and the invites were not sent. Its head may have arrived and been counted, though.
//   - WroteRequest without an error proves nothing about arrival, and a missing one nothing at all: HTTP/2 returns from a
//     call that was cancelled while another goroutine is still writing.
//
// One gap is left: an HTTP/2 call that is cancelled within the nanoseconds between the writer's own check and its first
// hook. Its body is not sent any more then, so nothing can be sent twice; only the quota may count it.
type wire struct {
	begun atomic.Bool // bytes of the request may have left
	cut   atomic.Bool // the end of the request certainly has not
}

// trace returns the hooks. http1 is told what a new connection speaks; see [Client.getBody].
func (w *wire) trace(http1 *atomic.Bool) *httptrace.ClientTrace {
	begin := func() { w.begun.Store(true) }
	return &httptrace.ClientTrace{
		GetConn: func(string) {
			// The transport asks for a second connection only after nothing was written to the first.
			w.begun.Store(false)
			w.cut.Store(false)
		},
		GotConn: func(info httptrace.GotConnInfo) {
			if !info.Reused {
				http1.Store(!speaksHTTP2(info.Conn))
			}
		},
		WroteHeaderField: func(string, []string) { begin() },
		WroteHeaders:     begin,
		WroteRequest: func(info httptrace.WroteRequestInfo) {
			if info.Err != nil {
				w.cut.Store(true)
			}
		},
	}
}

// outcome is what a call without an answer means: may it have sent invites, may it have been counted?
func (w *wire) outcome(err error) (kind Kind, written bool) {
	switch {
	case !w.begun.Load(), unprocessed(err):
		return Transient, false
	case w.cut.Load():
		return Transient, true
	default:
		return Ambiguous, true
	}
}

// unprocessed reports whether an HTTP/2 server said that it did nothing with the request: RFC 9113, section 8.7, promises
// that for REFUSED_STREAM and for streams above the last one in a GOAWAY. net/http has no values for these errors, only
// texts. Should they change, such calls count as ambiguous, which is safe; a test notices.
func unprocessed(err error) bool {
	s := err.Error()
	return strings.HasPrefix(s, "http2: Transport: cannot retry err [") &&
		(strings.Contains(s, "; REFUSED_STREAM; received from peer]") || strings.Contains(s, "graceful shutdown GOAWAY]"))
}

func speaksHTTP2(conn net.Conn) bool {
	c, ok := conn.(*tls.Conn)
	return ok && c.ConnectionState().NegotiatedProtocol == "h2"
}
