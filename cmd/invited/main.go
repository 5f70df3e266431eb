// Command invited sends game invites: it takes invite jobs from NATS JetStream
// and makes the calls to Xbox Live that the quota allows.
//
//	invited                       # serve with the defaults: an embedded JetStream, the real API
//	invited serve --config FILE   # serve as configured
//	invited demo                  # see it do its whole job in about ten seconds, with nothing else started
//	invited check-config FILE     # what is wrong with a configuration, with line and column
//	invited health                # does the one that runs here take jobs?
//	invited version
//
// It ends with status 0 when it was told to stop, 1 when it failed, 2 on wrong use.
package main

import (
	"io"
	"log"

	"github.com/invitedhq/invited/cmd/internal/cli"
)

func main() {
	// net/http uses the standard logger for one thing: what a server sends when nobody asked, as it came. That may be a token that
	// was sent to it, or anything else. Our own words go elsewhere.
	log.SetOutput(io.Discard)
	cli.Main(newCommand)
}
