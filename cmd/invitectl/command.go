package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"strconv"
	"time"

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
	tls         struct{ ca, cert, key string }
	json        bool
	zone        *time.Location          // of times for people
	refused     context.CancelCauseFunc // ends the command
}

const envNATSURL = "INVITED_NATS_URL"

func newCommand(out, errOut io.Writer) *cobra.Command {
	return (&tool{out: out, errOut: errOut, zone: time.Local}).command()
}

func (t *tool) command() *cobra.Command {
	root := &cobra.Command{
		Use:   "invitectl",
		Short: "Publish invite jobs, and look at what came of them",
		Args:  cli.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.SetOut(t.out)
	root.SetErr(t.errOut)
	flags := root.PersistentFlags()
	flags.StringVar(&t.natsURL, "nats-url", "", "NATS server; default $"+envNATSURL+", else "+nats.DefaultURL)
	flags.StringVar(&t.credentials, "credentials", "", "NATS credentials file (.creds)")
	flags.StringVar(&t.tls.ca, "tls-ca", "", "PEM file of the authorities to trust for NATS, instead of the system's")
	flags.StringVar(&t.tls.cert, "tls-cert", "", "PEM file of a client certificate for NATS; with --tls-key")
	flags.StringVar(&t.tls.key, "tls-key", "", "PEM file of its key")
	flags.BoolVar(&t.json, "json", false, "print JSON, a line an item, for scripts")
	root.PersistentPreRun = func(*cobra.Command, []string) { t.chooseServer() }
	root.AddCommand(newSendCommand(t), newCampaignCommand(t), newResultsCommand(t), newDeadCommand(t), newStatusCommand(t),
		newTokenCommand(t), newBenchCommand(t))
	t.endWhenRefused(root)
	return root
}

// chooseServer takes what was not given as a flag from the environment.
func (t *tool) chooseServer() {
	if t.natsURL == "" {
		t.natsURL = os.Getenv(envNATSURL)
	}
	if t.natsURL == "" {
		t.natsURL = nats.DefaultURL
	}
}

// endWhenRefused ends each command with what NATS refuses, instead of waiting for an answer that never comes.
func (t *tool) endWhenRefused(cmd *cobra.Command) {
	for _, sub := range cmd.Commands() {
		t.endWhenRefused(sub)
	}
	run := cmd.RunE
	if run == nil {
		return
	}
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		ctx, end := context.WithCancelCause(cmd.Context())
		defer end(nil)
		t.refused = end
		cmd.SetContext(ctx)
		err := run(cmd, args)
		if refused, ok := errors.AsType[*queue.AccessError](context.Cause(ctx)); ok && err != nil {
			return refused
		}
		return err
	}
}

func parseTitle(s string) (uint32, error) {
	id, err := strconv.ParseUint(s, 10, 32)
	if err != nil || s != strconv.FormatUint(id, 10) {
		return 0, cli.Usagef("--title: %s is no title ID, a decimal number up to 4294967295 without leading zeros", strconv.Quote(s))
	}
	return uint32(id), nil
}

// connect reaches NATS or says how to.
func (t *tool) connect() (*nats.Conn, error) { return connectWith(t.connectOptions()) }

func (t *tool) connectOptions() queue.ConnectOptions {
	return queue.ConnectOptions{
		URL: t.natsURL, CredentialsFile: t.credentials, CAFile: t.tls.ca, CertFile: t.tls.cert, KeyFile: t.tls.key,
		Name: "invitectl", Logger: slog.New(slog.DiscardHandler),
		Refused: func(err *queue.AccessError) { t.refused(err) },
	}
}

func connectWith(o queue.ConnectOptions) (*nats.Conn, error) {
	if (o.CertFile == "") != (o.KeyFile == "") {
		return nil, cli.Usagef("--tls-cert and --tls-key go together: give both, or neither")
	}
	conn, err := queue.Connect(o)
	if _, refused := errors.AsType[*queue.AccessError](err); refused {
		return nil, err
	}
	if _, file := errors.AsType[*fs.PathError](err); file { // who listens where is not what is wrong
		return nil, err
	}
	if err != nil {
		return nil, fmt.Errorf("%w; is invited, or nats-server, running there? --nats-url or %s says where", err, envNATSURL)
	}
	return conn, nil
}
