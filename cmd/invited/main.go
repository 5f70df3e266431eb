// Command invited sends game invites: it takes invite jobs from NATS JetStream
// and makes the calls to Xbox Live that the quota allows.
//
//	invited                       # serve with the defaults: an embedded JetStream, the real API
//	invited serve --config FILE   # serve as configured
//	invited demo                  # see it do its whole job in half a minute, with nothing else started
//	invited check-config FILE     # what is wrong with a configuration, with line and column
//	invited version
//
// It ends with status 0 when it was told to stop, 1 when it failed, 2 on wrong use.
package main

import "github.com/invitedhq/invited/cmd/internal/cli"

func main() { cli.Main(newCommand) }
