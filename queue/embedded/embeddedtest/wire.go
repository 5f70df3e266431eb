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

	mu       sync.Mutex
	to, from chan struct{} // the server; closed when mended; nil: whole
	conns    map[*wireConn]struct{}
}

// Cut stops everything that goes through. Cutting twice is cutting once.
func (w *Wire) Cut() {
	w.Deafen()
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.to == nil {
		w.to = make(chan struct{})
	}
}

// Deafen stops what the server says. What it is told still gets there.
func (w *Wire) Deafen() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.from == nil {
		w.from = make(chan struct{})
	}
}

// Mend undoes Cut and Deafen.
func (w *Wire) Mend() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, cut := range []*chan struct{}{&w.to, &w.from} {
		if *cut != nil {
			close(*cut)
			*cut = nil
		}
	}
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

// wait returns when the wire is whole, or false when over is closed first.
func (w *Wire) wait(cut *chan struct{}, over <-chan struct{}) bool {
	w.mu.Lock()
	mended := *cut
	w.mu.Unlock()
	if mended == nil {
		return true
	}
	select {
	case <-mended:
		return true
	case <-over:
		return false
	}
}

// InProcessConn implements nats.InProcessConnProvider.
func (w *Wire) InProcessConn() (net.Conn, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.to != nil || w.from != nil {
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
			if !c.wire.wait(&c.wire.to, c.closed) {
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
	if !c.wire.wait(&c.wire.from, c.closed) {
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
