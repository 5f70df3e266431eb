package embeddedtest

import (
	"log/slog"
	"runtime"
	"runtime/debug"
	"testing"

	"github.com/nats-io/nats-server/v2/server/ats"
	"github.com/nats-io/nats.go"

	"github.com/invitedhq/invited/queue/embedded"
)

// HoldClock keeps the server's clock running until the test ends. The clock is
// one goroutine for the whole process: started inside a bubble it would never
// end there, and stop other tests' servers from having one.
//
// It also empties the process's sync.Pools, before and after. nats.go keeps its
// timers in one, and a timer of a bubble stops the process when it is used
// outside of that. So tests in fake time must not run in parallel with others
// of their package.
//
// Under the race detector the process has one processor until the test ends.
// All timers of a bubble share one context of the detector; as of Go 1.26 two
// threads that find their timers due at the same time use it at once, and the
// process dies of a segmentation fault. Collecting garbage is in the test's way
// then, and not beside it, so that is done less often.
func HoldClock(t testing.TB) {
	t.Helper()
	if raceDetector {
		processors, percent := runtime.GOMAXPROCS(1), debug.SetGCPercent(400)
		t.Cleanup(func() {
			runtime.GOMAXPROCS(processors)
			debug.SetGCPercent(percent)
		})
	}
	emptyPools()
	ats.Register()
	t.Cleanup(func() {
		ats.Unregister()
		emptyPools()
	})
}

// emptyPools collects twice: the first collection moves what is in a pool to
// its second chance, the second one drops it.
func emptyPools() {
	runtime.GC()
	runtime.GC()
}

// Start starts a server that can be reached in this process only, on an empty
// directory. It is shut down when the test (or the bubble) ends.
func Start(t testing.TB) *embedded.Server {
	t.Helper()
	return StartWith(t, embedded.Options{})
}

// StartWith is Start with options. An empty DataDir is a new one; an empty Sync
// is Interval, because tests don't survive power failures either.
func StartWith(t testing.TB, o embedded.Options) *embedded.Server {
	t.Helper()
	if o.DataDir == "" {
		o.DataDir = t.TempDir()
	}
	if o.Sync == "" {
		o.Sync = embedded.Interval
	}
	if o.Logger == nil {
		o.Logger = quiet()
	}
	s, err := embedded.Start(o)
	if err != nil {
		t.Fatalf("an embedded NATS server must start: %v", err)
	}
	t.Cleanup(s.Shutdown)
	return s
}

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

// Connecter is an *embedded.Server or a *Site.
type Connecter interface {
	Conn(opts ...nats.Option) (*nats.Conn, error)
}

// Connect connects in process, until the test (or the bubble) ends.
func Connect(t testing.TB, s Connecter, opts ...nats.Option) *nats.Conn {
	t.Helper()
	nc, err := s.Conn(opts...)
	if err != nil {
		t.Fatalf("connecting in process must work: %v", err)
	}
	t.Cleanup(nc.Close)
	return nc
}
