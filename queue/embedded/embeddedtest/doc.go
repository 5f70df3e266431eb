// Package embeddedtest starts embedded NATS servers for tests: real JetStream,
// with nothing to install and nothing to clean up.
//
// In a test with real time:
//
//	func TestX(t *testing.T) {
//		nc := embeddedtest.Connect(t, embeddedtest.Start(t))
//		…
//	}
//
// In fake time the server, its clients and all they do live in one synctest
// bubble. It must be entered with the server's clock held outside of it:
//
//	func TestX(t *testing.T) {
//		embeddedtest.HoldClock(t) // before the bubble
//		synctest.Test(t, func(t *testing.T) {
//			nc := embeddedtest.Connect(t, embeddedtest.Start(t))
//			…
//		})
//	}
//
// Rules inside a bubble: connect through [Connect], because a socket would stop
// fake time; give every wait a limit, because a server's own timers keep fake
// time running for ever; end what you started before the bubble's function
// returns (t.Cleanup counts, and runs in reverse order).
package embeddedtest
