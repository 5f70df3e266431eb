package main

import (
	"fmt"
	"io"
	"log/slog"
	"os"
	"strconv"

	"github.com/nats-io/nats.go"
	"github.com/spf13/cobra"

	"github.com/invitedhq/invited/cmd/internal/cli"
	"github.com/invitedhq/invited/queue"
)

// tool is what all commands have: where to write, and how to reach NATS.
type tool struct {
	out, errOut io.Writer
	natsURL     string
	credentials string
	json        bool
}

const envNATSURL = "INVITED_NATS_URL"

func newCommand(out, errOut io.Writer) *cobra.Command {
	t := &tool{out: out, errOut: errOut}
	root := &cobra.Command{
		Use:   "invitectl",
		Short: "Publish invite jobs, and look at what came of them",
		Args:  cli.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.SetOut(out)
	root.SetErr(errOut)
	url := os.Getenv(envNATSURL)
	if url == "" {
		url = nats.DefaultURL
	}
	flags := root.PersistentFlags()
	flags.StringVar(&t.natsURL, "nats-url", "", "NATS server; default $"+envNATSURL+", else "+nats.DefaultURL)
	flags.StringVar(&t.credentials, "credentials", "", "NATS credentials file (.creds)")
	flags.BoolVar(&t.json, "json", false, "print JSON, a line an item, for scripts")
	root.PersistentPreRun = func(*cobra.Command, []string) {
		if t.natsURL == "" {
			t.natsURL = url
		}
	}
	root.AddCommand(newSendCommand(t), newDeadCommand(t))
	return root
}

func parseTitle(s string) (uint32, error) {
	id, err := strconv.ParseUint(s, 10, 32)
	if err != nil || s != strconv.FormatUint(id, 10) {
		return 0, cli.Usagef("--title: %s is no title ID, a decimal number up to 4294967295 without leading zeros", strconv.Quote(s))
	}
	return uint32(id), nil
}

// connect reaches NATS or says how to.
func (t *tool) connect() (*nats.Conn, error) {
	conn, err := queue.Connect(queue.ConnectOptions{
		URL: t.natsURL, CredentialsFile: t.credentials, Name: "invitectl", Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		return nil, fmt.Errorf("%w; is invited, or nats-server, running there? --nats-url or %s says where", err, envNATSURL)
	}
	return conn, nil
}
