package embeddedtest

import (
	"net"
	"slices"
	"sync"

	"github.com/nats-io/nats.go"
)

// Wire lies between a client and a server, as a nats.InProcessConnProvider. It
// can be cut, without a word, and mended: what was written meanwhile arrives
// then, as it does out of a socket's buffer. Or it breaks: then that is lost. It
// may be used by several goroutines, and in a bubble.
type Wire struct {
	Server nats.InProcessConnProvider

	to, from Gate // the server

	mu    sync.Mutex
	conns map[*wireConn]struct{}
}

// Cut stops everything that goes through. Cutting twice is cutting once.
func (w *Wire) Cut() {
	w.Deafen()
	w.to.Shut()
}

// Deafen stops what the server says. What it is told still gets there.
func (w *Wire) Deafen() { w.from.Shut() }

// Mend undoes Cut and Deafen.
func (w *Wire) Mend() {
	w.to.Open()
	w.from.Open()
}

// Break ends the connections, and loses what was on its way. The next
// connection gets through.
func (w *Wire) Break() {
	w.mu.Lock()
	conns := w.conns
	w.conns = nil
	w.mu.Unlock()
	for c := range conns {
		_ = c.Close()
	}
	w.Mend()
}

// InProcessConn implements nats.InProcessConnProvider.
func (w *Wire) InProcessConn() (net.Conn, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.to.IsShut() || w.from.IsShut() {
		return nil, &net.OpError{Op: "dial", Err: net.ErrClosed}
	}
	inner, err := w.Server.InProcessConn()
	if err != nil {
		return nil, err
	}
	c := &wireConn{Conn: inner, wire: w, out: make(chan []byte, 10_000), closed: make(chan struct{})}
	if w.conns == nil {
		w.conns = make(map[*wireConn]struct{})
	}
	w.conns[c] = struct{}{}
	go c.pump()
	return c, nil
}

type wireConn struct {
	net.Conn
	wire   *Wire
	out    chan []byte // large: a writer that waited would hold a lock, which stops fake time
	once   sync.Once
	closed chan struct{}
}

func (c *wireConn) pump() {
	for {
		select {
		case b := <-c.out:
			if _, open := c.wire.to.Pass(c.closed); !open {
				return
			}
			if _, err := c.Conn.Write(b); err != nil {
				return
			}
		case <-c.closed:
			return
		}
	}
}

func (c *wireConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if _, open := c.wire.from.Pass(c.closed); !open {
		return 0, net.ErrClosed
	}
	return n, err
}

func (c *wireConn) Write(b []byte) (int, error) {
	select {
	case c.out <- slices.Clone(b):
		return len(b), nil
	case <-c.closed:
		return 0, net.ErrClosed
	}
}

func (c *wireConn) Close() error {
	c.once.Do(func() {
		close(c.closed)
		c.wire.mu.Lock()
		defer c.wire.mu.Unlock()
		delete(c.wire.conns, c)
	})
	return c.Conn.Close()
}
