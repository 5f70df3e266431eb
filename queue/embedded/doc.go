// Package embedded runs a NATS server with JetStream inside this process, so
// that invited works with nothing else installed.
//
//	server, err := embedded.Start(embedded.Options{
//		Listen:  "127.0.0.1:4222",
//		DataDir: "./invited-data",
//	})
//	if err != nil { … }
//	defer server.Shutdown()
//
//	nc, err := server.Conn()
//
// It is a full server: other programs publish jobs to [Server.ClientURL], and
// the nats command line works with it. It serves one node and has no
// authentication, so it should listen on a loopback address only. For more,
// run NATS by itself and give its URL to invited.
//
// # What is durable
//
// With [Always], the default, a write is on the disk before it is acknowledged.
// With [Interval] the server writes to the disk every two minutes: faster, and
// what was acknowledged in between survives a crash of the process but not of
// the machine.
//
// # One process at a time
//
// Two servers on one data directory would destroy it. Start takes a lock in the
// directory, which the system gives back even after a crash.
package embedded
