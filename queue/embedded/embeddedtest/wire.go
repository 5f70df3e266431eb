package embeddedtest

import (
	"net"
	"slices"
	"sync"

	"github.com/nats-io/nats.go"
)

// Wire lies between a client and a server, as a nats.InProcessConnProvider. It
// can be cut, both ways and without a word, and mended: what was written
// meanwhile arrives then, as it does out of a socket's buffer. It may be used by
// several goroutines, and in a bubble.
type Wire struct {
	Server nats.InProcessConnProvider

	mu  sync.Mutex
	cut chan struct{} // closed when mended; nil: whole
}

// Cut stops everything that goes through. Cutting twice is cutting once.
func (w *Wire) Cut() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.cut == nil {
		w.cut = make(chan struct{})
	}
}

// Mend undoes Cut.
func (w *Wire) Mend() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.cut != nil {
		close(w.cut)
		w.cut = nil
	}
}

func (w *Wire) whole() <-chan struct{} {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.cut
}

// wait returns when the wire is whole, or when over is closed.
func (w *Wire) wait(over <-chan struct{}) {
	if cut := w.whole(); cut != nil {
		select {
		case <-cut:
		case <-over:
		}
	}
}

// InProcessConn implements nats.InProcessConnProvider.
func (w *Wire) InProcessConn() (net.Conn, error) {
	if w.whole() != nil {
		return nil, &net.OpError{Op: "dial", Err: net.ErrClosed}
	}
	inner, err := w.Server.InProcessConn()
	if err != nil {
		return nil, err
	}
	c := &wireConn{Conn: inner, wire: w, out: make(chan []byte, 10_000), closed: make(chan struct{})}
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
			c.wire.wait(c.closed)
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
	c.wire.wait(c.closed)
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
	c.once.Do(func() { close(c.closed) })
	return c.Conn.Close()
}
