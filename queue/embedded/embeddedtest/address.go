package embeddedtest

import (
	"fmt"
	"math/rand/v2"
	"net"
	"testing"
)

// FreeAddress is a loopback address that nobody listens on, for a server that
// is to start late or to be started again. It is given to no other test, of
// this process or another, until this one has ended. Its port is below those
// that systems give to outgoing connections: a client that tries again and
// again to reach one of those ends up connected to itself, and the port is
// taken.
func FreeAddress(t testing.TB) string {
	t.Helper()
	for range 100 {
		address := fmt.Sprintf("127.0.0.1:%d", 15_000+rand.IntN(15_000))
		if reserved(t, address) {
			return address
		}
	}
	t.Fatal("there must be a free port from 15000 to 29999")
	return ""
}

// reserved says whether an address is free, and holds it then until the test
// ends: its UDP port, which no server here wants and one holder alone can have.
func reserved(t testing.TB, address string) bool {
	t.Helper()
	claim, err := new(net.ListenConfig).ListenPacket(t.Context(), "udp", address)
	if err != nil {
		return false
	}
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", address)
	if err != nil {
		_ = claim.Close()
		return false
	}
	_ = l.Close()
	t.Cleanup(func() { _ = claim.Close() })
	return true
}
