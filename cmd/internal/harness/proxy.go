package harness

import (
	"errors"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/invitedhq/invited/queue/embedded/embeddedtest"
)

// Proxy is a network between processes that can be cut, slowed down and healed. It hands TCP connections on.
type Proxy struct {
	Address string // where clients connect

	to       string
	listener net.Listener
	over     chan struct{}
	serving  sync.WaitGroup

	network embeddedtest.Gate

	mu     sync.Mutex
	conns  map[net.Conn]struct{}
	refuse bool
	delay  time.Duration
}

// NewProxy starts a proxy to an address, until the test ends.
func NewProxy(t testing.TB, to string) *Proxy {
	t.Helper()
	p := &Proxy{Address: embeddedtest.FreeAddress(t), to: to, over: make(chan struct{}), conns: make(map[net.Conn]struct{})}
	var err error
	if p.listener, err = new(net.ListenConfig).Listen(t.Context(), "tcp", p.Address); err != nil {
		t.Fatalf("a proxy must listen: %v", err)
	}
	p.serving.Go(p.accept)
	t.Cleanup(func() {
		close(p.over)
		_ = p.listener.Close()
		p.Reset()
		p.serving.Wait()
	})
	return p
}

// Cut stops all bytes both ways, without a word to either side, as a network does. What was written meanwhile arrives later.
func (p *Proxy) Cut() { p.network.Shut() }

// Slow delays all that goes through, each way.
func (p *Proxy) Slow(by time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.delay = by
}

// Refuse resets all connections, and each new one.
func (p *Proxy) Refuse() {
	p.mu.Lock()
	p.refuse = true
	p.mu.Unlock()
	p.Reset()
}

// Heal ends what Cut, Slow and Refuse began.
func (p *Proxy) Heal() {
	p.network.Open()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.refuse, p.delay = false, 0
}

// Reset closes the connections that there are, with what is in them.
func (p *Proxy) Reset() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.conns {
		if tcp, ok := c.(*net.TCPConn); ok {
			_ = tcp.SetLinger(0)
		}
		_ = c.Close()
	}
}

func (p *Proxy) accept() {
	for {
		client, err := p.listener.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err == nil {
			p.serving.Go(func() { p.serve(client) })
		}
	}
}

func (p *Proxy) serve(client net.Conn) {
	if !p.add(client) {
		return
	}
	defer p.remove(client)
	server, err := net.Dial("tcp", p.to) //nolint:noctx // it is closed with the test
	if err != nil || !p.add(server) {
		return
	}
	defer p.remove(server)
	var both sync.WaitGroup
	both.Go(func() { p.pipe(server, client) })
	both.Go(func() { p.pipe(client, server) })
	both.Wait()
}

func (p *Proxy) add(c net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.refuse {
		_ = c.Close()
		return false
	}
	p.conns[c] = struct{}{}
	return true
}

func (p *Proxy) remove(c net.Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.conns, c)
	_ = c.Close()
}

// chunk is what was read, and when it may be handed on.
type chunk struct {
	bytes []byte
	due   time.Time
}

// pipe copies until one side is closed, and then closes the other. A delay is of each byte, not of each read: a slow network
// has as much on its way as a fast one.
func (p *Proxy) pipe(to, from net.Conn) {
	onWay := make(chan chunk, 4096)
	var writing sync.WaitGroup
	writing.Go(func() {
		defer to.Close()
		for c := range onWay {
			if !p.pass(c.due) {
				continue
			}
			if _, err := to.Write(c.bytes); err != nil {
				_ = from.Close() // its reader ends, and with it this
			}
		}
	})
	for {
		buffer := make([]byte, 32<<10)
		n, err := from.Read(buffer)
		if n > 0 {
			onWay <- chunk{buffer[:n], time.Now().Add(p.slowness())}
		}
		if err != nil {
			break
		}
	}
	close(onWay)
	writing.Wait()
}

func (p *Proxy) slowness() time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.delay
}

// pass waits until a time, and as long as the network is cut; false: the test is over.
func (p *Proxy) pass(due time.Time) bool {
	select {
	case <-time.After(time.Until(due)):
	case <-p.over:
		return false
	}
	_, open := p.network.Pass(p.over)
	return open
}
