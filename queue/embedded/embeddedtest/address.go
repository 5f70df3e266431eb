package embeddedtest

import (
	"fmt"
	"math/rand/v2"
	"net"
	"testing"
)

// FreeAddress is a loopback address that nobody listens on, for a server that
// is to start late or to be started again. Its port is below those that systems
// give to outgoing connections: a client that tries again and again to reach
// one of those ends up connected to itself, and the port is taken.
func FreeAddress(t testing.TB) string {
	t.Helper()
	for range 100 {
		address := fmt.Sprintf("127.0.0.1:%d", 15_000+rand.IntN(15_000))
		if l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", address); err == nil {
			_ = l.Close()
			return address
		}
	}
	t.Fatal("there must be a free port from 15000 to 29999")
	return ""
}
