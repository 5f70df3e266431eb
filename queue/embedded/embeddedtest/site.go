package embeddedtest

import (
	"net"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"testing"

	"github.com/nats-io/nats.go"

	"github.com/invitedhq/invited/queue/embedded"
)

// Site is where a server runs that can crash and come back, for clients that
// outlive it: a nats.InProcessConnProvider. Its methods but InProcessConn are
// for one goroutine.
type Site struct {
	t    testing.TB
	root string
	dirs int

	mu     sync.Mutex
	server *embedded.Server // nil: down
}

// StartSite starts a server as Start does. It is shut down when the test (or the bubble) ends.
func StartSite(t testing.TB) *Site {
	t.Helper()
	s := &Site{t: t, root: t.TempDir()}
	s.Restart()
	t.Cleanup(func() {
		if server := s.set(nil); server != nil {
			server.Shutdown()
		}
	})
	return s
}

// Crash ends the server as kill -9 would: what comes back is what its files
// hold at this moment. They must not change meanwhile: in a bubble, call
// synctest.Wait first. Then breakOff is called: it should break every client's
// Wire, so that nobody hears what the server says as it is shut down.
func (s *Site) Crash(breakOff func()) {
	s.t.Helper()
	before := s.dir()
	s.dirs++
	if err := os.CopyFS(s.dir(), os.DirFS(before)); err != nil {
		s.t.Fatalf("the server's files must be read: %v", err)
	}
	server := s.set(nil)
	breakOff()
	server.Shutdown() // in order, but nobody will see what it writes now
	if err := os.RemoveAll(before); err != nil {
		s.t.Fatalf("the server's files must be removed: %v", err)
	}
}

// Restart starts a server on what the last one left.
func (s *Site) Restart() {
	s.t.Helper()
	server, err := embedded.Start(embedded.Options{DataDir: s.dir(), Sync: embedded.Interval, Logger: quiet()})
	if err != nil {
		s.t.Fatalf("a server must start on what another left: %v", err)
	}
	s.set(server)
}

func (s *Site) dir() string { return filepath.Join(s.root, strconv.Itoa(s.dirs)) }

func (s *Site) set(server *embedded.Server) (before *embedded.Server) {
	s.mu.Lock()
	defer s.mu.Unlock()
	before, s.server = s.server, server
	return before
}

// InProcessConn implements nats.InProcessConnProvider.
func (s *Site) InProcessConn() (net.Conn, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.server == nil {
		return nil, &net.OpError{Op: "dial", Err: net.ErrClosed}
	}
	return s.server.InProcessConn()
}

// Conn connects as embedded.Server's does.
func (s *Site) Conn(opts ...nats.Option) (*nats.Conn, error) {
	s.mu.Lock()
	server := s.server
	s.mu.Unlock()
	return server.Conn(append([]nats.Option{nats.InProcessServer(s)}, opts...)...)
}
