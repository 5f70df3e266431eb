package xbl

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// listen runs serve for every connection and closes it afterwards. It returns the base URL.
func listen(t *testing.T, serve func(net.Conn)) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			// A connection on which a call was given up is not idle for the client, and would stay for its ping timeout.
			stop := context.AfterFunc(t.Context(), func() { _ = conn.Close() })
			wg.Go(func() {
				defer stop()
				defer func() { _ = conn.Close() }()
				serve(conn)
			})
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		wg.Wait()
	})
	return "http://" + l.Addr().String()
}

func readRequest(conn net.Conn) {
	if r, err := http.ReadRequest(bufio.NewReader(conn)); err == nil {
		_, _ = io.Copy(io.Discard, r.Body)
	}
}

func reset(conn net.Conn) { _ = conn.(*net.TCPConn).SetLinger(0) }

func TestNoAnswerMeansUnknownOnceTheRequestMayHaveLeft(t *testing.T) {
	tests := []struct {
		name  string
		serve func(net.Conn)
	}{
		{"reset after the request", func(c net.Conn) { readRequest(c); reset(c) }},
		{"closed after the request", func(c net.Conn) { readRequest(c) }},
		{"reset at the first byte", func(c net.Conn) { _, _ = io.CopyN(io.Discard, c, 1); reset(c) }},
		{"garbage", func(c net.Conn) { readRequest(c); _, _ = io.WriteString(c, "SMTP ready\r\n\r\n") }},
		{"half a head", func(c net.Conn) { readRequest(c); _, _ = io.WriteString(c, "HTTP/1.1 204 No Con") }},
		{"an endless head", func(c net.Conn) {
			readRequest(c)
			_, _ = io.WriteString(c, "HTTP/1.1 204 No Content\r\n")
			for {
				if _, err := io.WriteString(c, "X: "+strings.Repeat("x", 4000)+"\r\n"); err != nil {
					return
				}
			}
		}},
		{"the token in garbage", func(c net.Conn) {
			readRequest(c)
			_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\n"+testAuthorization+"\r\n\r\n")
		}},
		{"an echo", func(c net.Conn) { _, _ = io.Copy(c, c) }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			e := send(t.Context(), t, newTestClient(t, listen(t, tt.serve)))
			assert.Equal(t, Ambiguous.String(), e.Kind.String())
			assert.True(t, e.Written)
			assert.Zero(t, e.Status)
			assert.Empty(t, leaks(fmt.Sprintf("%+v %v %#v", e, e.Err, e.Err), testAuthorization), "in %v", e)
		})
	}
}

// The body of a 101 is the bare connection: reading it would last as long as the service likes, whatever the timeout.
func TestAChangeOfProtocolEndsTheCall(t *testing.T) {
	closed := make(chan struct{})
	client := newTestClient(t, listen(t, func(c net.Conn) {
		defer close(closed)
		readRequest(c)
		_, _ = io.WriteString(c, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
		_, _ = io.Copy(io.Discard, c)
	}))
	e := send(t.Context(), t, client)
	assert.Equal(t, Transient.String(), e.Kind.String())
	assert.Equal(t, 101, e.Status)
	<-closed
}

func TestNoConnectionMeansNotSent(t *testing.T) {
	plain := httptest.NewServer(http.NotFoundHandler())
	defer plain.Close()
	for name, base := range map[string]string{
		"refused":       "http://127.0.0.1:1", // a port that nobody is given by chance
		"no TLS there":  strings.Replace(plain.URL, "http://", "https://", 1),
		"bad host name": "https://no-such-host.invalid",
	} {
		t.Run(name, func(t *testing.T) {
			o := func(o *Options) { o.Transport = noProxy() }
			e := send(t.Context(), t, newTestClient(t, base, o))
			assert.Equal(t, Transient.String(), e.Kind.String(), "%v", e)
			assert.False(t, e.Written)
			assert.Error(t, e.Err, "the cause is kept")
		})
	}
}

func noProxy() *http.Transport {
	transport := NewTransport(1)
	transport.Proxy = nil
	return transport
}

// piped is a client whose connections are pipes to serve, for fake time.
func piped(t *testing.T, serve func(net.Conn), change ...func(*Options)) *Client {
	t.Helper()
	transport := NewTransport(4)
	transport.DialContext = func(context.Context, string, string) (net.Conn, error) {
		ours, theirs := net.Pipe()
		go func() {
			defer func() { _ = theirs.Close() }()
			serve(theirs)
		}()
		return ours, nil
	}
	return newTestClient(t, "http://localhost", append([]func(*Options){func(o *Options) { o.Transport = transport }}, change...)...)
}

func TestTheTimeoutCoversTheWholeCall(t *testing.T) {
	tests := []struct {
		name  string
		serve func(net.Conn)
		want  Kind
		after time.Duration
	}{
		{"no answer", func(c net.Conn) { readRequest(c); _, _ = io.Copy(io.Discard, c) }, Ambiguous, 7 * time.Second},
		{"an answer that does not end", func(c net.Conn) {
			readRequest(c)
			_, _ = io.WriteString(c, "HTTP/1.1 429 Too Many\r\nContent-Length: 100\r\n\r\n{")
			_, _ = io.Copy(io.Discard, c)
		}, Throttled, bodyWithin}, // its words hold up the whole key: they are not waited for
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				client := piped(t, tt.serve, func(o *Options) { o.Timeout = 7 * time.Second })
				start := time.Now()
				e := send(t.Context(), t, client)
				assert.Equal(t, tt.after, time.Since(start))
				assert.Equal(t, tt.want.String(), e.Kind.String())
				assert.True(t, e.Written)
				if tt.want == Ambiguous {
					assert.ErrorIs(t, e, context.DeadlineExceeded)
					assert.Contains(t, e.Detail, "no answer within 7s")
				}
				client.CloseIdleConnections()
			})
		})
	}
}

func TestATimeoutWhileConnectingIsNotSent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		transport := NewTransport(1)
		transport.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		}
		e := send(t.Context(), t, newTestClient(t, "http://localhost", func(o *Options) { o.Transport = transport }))
		assert.Equal(t, Transient, e.Kind)
		assert.False(t, e.Written)
	})
}

func TestCancelling(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client := piped(t, func(c net.Conn) { readRequest(c); _, _ = io.Copy(io.Discard, c) })
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Second, cancel)
		e := send(ctx, t, client)
		assert.Equal(t, Ambiguous, e.Kind, "cancelled while waiting for the answer: it may have been sent")
		assert.ErrorIs(t, e, context.Canceled)

		e = send(ctx, t, client)
		assert.Equal(t, Transient, e.Kind, "cancelled before the call")
		assert.False(t, e.Written)
		client.CloseIdleConnections()
	})
}

// The end of a request that is larger than the write buffer never leaves, so its invites can't have been sent. Its head
// may have arrived and been counted.
func TestACutRequestIsNotSentButMayBeCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		large := scheme + "1;" + strings.Repeat("x", 30<<10)
		client := piped(t, func(c net.Conn) { _, _ = io.CopyN(io.Discard, c, 100) }, func(o *Options) { o.Tokens = Static(large) })
		e := send(t.Context(), t, client)
		assert.Equal(t, Transient.String(), e.Kind.String())
		assert.True(t, e.Written)
	})
}

// failingConn fails the writes after the first request, before a byte has left.
type failingConn struct {
	net.Conn
	answered atomic.Bool
}

func (c *failingConn) Write(b []byte) (int, error) {
	if c.answered.Load() {
		return 0, errors.New("broken pipe")
	}
	return c.Conn.Write(b)
}

// A kept connection that turns out to be dead before anything was written costs no call: net/http takes another one.
func TestADeadKeptConnectionIsReplaced(t *testing.T) {
	for _, replaced := range []bool{true, false} {
		t.Run(fmt.Sprint("replaced ", replaced), func(t *testing.T) {
			var calls, dials atomic.Int32
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				calls.Add(1)
				w.WriteHeader(http.StatusNoContent)
			}))
			defer server.Close()
			var first *failingConn
			transport := NewTransport(1)
			transport.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
				if dials.Add(1) > 1 && !replaced {
					return nil, errors.New("connection refused")
				}
				conn, err := (&net.Dialer{}).DialContext(ctx, network, addr)
				if first == nil {
					first = &failingConn{Conn: conn}
					return first, err
				}
				return conn, err
			}
			client := newTestClient(t, server.URL, func(o *Options) { o.Transport = transport })
			require.NoError(t, client.SendInvites(t.Context(), testInvite))
			first.answered.Store(true)
			err := client.SendInvites(t.Context(), testInvite)
			assert.Equal(t, int32(2), dials.Load())
			if replaced {
				require.NoError(t, err)
				assert.Equal(t, int32(2), calls.Load())
				return
			}
			var e *Error
			require.ErrorAs(t, err, &e)
			assert.Equal(t, Transient.String(), e.Kind.String())
			assert.False(t, e.Written, "nothing left on either connection")
		})
	}
}

const (
	frameHeaders, frameReset, frameSettings, frameGoAway = 1, 3, 4, 7
	protocolError, refusedStream                         = 1, 7
)

func frame(kind byte, flags byte, stream uint32, payload ...byte) []byte {
	b := []byte{0, 0, byte(len(payload)), kind, flags}
	return append(binary.BigEndian.AppendUint32(b, stream), payload...)
}

// http2Server speaks as little HTTP/2 as it takes to get a request and answers it with the frames of answer.
func http2Server(t *testing.T, requests *atomic.Int32, answer []byte) (base string, transport *http.Transport) {
	t.Helper()
	certified := httptest.NewTLSServer(http.NotFoundHandler())
	defer certified.Close()
	config := &tls.Config{Certificates: certified.TLS.Certificates, NextProtos: []string{"h2"}, MinVersion: tls.VersionTLS12}
	base = listen(t, func(raw net.Conn) {
		conn := tls.Server(raw, config)
		r := bufio.NewReader(conn)
		if _, err := io.CopyN(io.Discard, r, int64(len("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"))); err != nil {
			return
		}
		_, _ = conn.Write(frame(frameSettings, 0, 0))
		head := make([]byte, 9)
		for {
			if _, err := io.ReadFull(r, head); err != nil {
				return
			}
			size := int64(head[0])<<16 | int64(head[1])<<8 | int64(head[2])
			if _, err := io.CopyN(io.Discard, r, size); err != nil {
				return
			}
			if head[3] == frameHeaders {
				requests.Add(1)
			}
			if head[3] == 0 && head[4]&1 != 0 { // DATA with END_STREAM: the request is complete
				_, _ = conn.Write(answer)
			}
		}
	})
	return strings.Replace(base, "http://", "https://", 1), trusting(certified)
}

func TestHTTP2ServersThatDidNothingSaySo(t *testing.T) {
	tests := []struct {
		name    string
		answer  []byte
		kind    Kind
		written bool
	}{
		{"REFUSED_STREAM", frame(frameReset, 0, 1, 0, 0, 0, refusedStream), Transient, false},
		{"GOAWAY before this stream", frame(frameGoAway, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0), Transient, false},
		// net/http would send such a request again, up to six times, though it may have been worked on.
		{"PROTOCOL_ERROR", frame(frameReset, 0, 1, 0, 0, 0, protocolError), Ambiguous, true},
		{"CANCEL", frame(frameReset, 0, 1, 0, 0, 0, 8), Ambiguous, true},
		{"garbage", frame(frameHeaders, 4, 1, 0xff, 0xff, 0xff), Ambiguous, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var requests atomic.Int32
			base, transport := http2Server(t, &requests, tt.answer)
			client := newTestClient(t, base, func(o *Options) { o.Transport = transport })
			e := send(t.Context(), t, client)
			assert.Equal(t, tt.kind.String(), e.Kind.String(), "%v", e)
			assert.Equal(t, tt.written, e.Written)
			assert.Equal(t, int32(1), requests.Load(), "one call of the client is at most one call of the API")
			client.CloseIdleConnections()
		})
	}
}

func TestHTTP2CallsWithoutAnAnswer(t *testing.T) {
	var requests atomic.Int32
	base, transport := http2Server(t, &requests, nil)
	var e *Error
	for timeout := 100 * time.Millisecond; requests.Load() == 0; timeout *= 4 { // a busy machine takes longer to connect
		client := newTestClient(t, base, func(o *Options) { o.Transport = transport; o.Timeout = timeout })
		start := time.Now()
		e = send(t.Context(), t, client)
		assert.Less(t, time.Since(start), timeout+5*time.Second, "the timeout ends the call, not the health check of the connection")
	}
	assert.Equal(t, Ambiguous.String(), e.Kind.String())
	assert.True(t, e.Written)
	assert.ErrorIs(t, e, context.DeadlineExceeded)
}
