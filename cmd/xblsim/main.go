// Command xblsim is a stand-in for the Xbox service that sends game invites, for staging, load tests and
// trying things out.
//
//	xblsim --listen 127.0.0.1:8080 --quota 7/15s,50/300s --latency 20ms
//
// Point invited at it with INVITED_XBL_BASE_URL=http://127.0.0.1:8080. What arrived is at /ledger while it
// runs, and on standard output, as one line of JSON, when it ends. Any token of the documented form is taken.
//
// The flags that begin with --fault make calls fail; PUT /faults changes that while it runs. What exactly is
// simulated is told in package [github.com/invitedhq/invited/xbl/xblsim].
//
// With --auth-listen it plays the auth services that a title's own service gets its tokens from, and takes no other tokens; package
// [github.com/invitedhq/invited/xbl/xblsim/auth] has the details. xblsim certificates makes what they need, so that the token source s2s
// can be tried without an account at Microsoft:
//
//	xblsim certificates ./certificates
//	xblsim --auth-listen 127.0.0.1:8443 --tls-cert ./certificates/server.pem \
//	  --tls-key ./certificates/server-key.pem --auth-client-ca ./certificates/ca.pem
//
// It ends with status 0 after SIGINT or SIGTERM, 1 when it can't listen, 2 on wrong use.
package main

import "github.com/invitedhq/invited/cmd/internal/cli"

func main() { cli.Main(newCommand) }
