package main

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/invitedhq/invited/cmd/internal/cli"
	"github.com/invitedhq/invited/configs"
	"github.com/invitedhq/invited/xbl/xblsim"
)

func newDemoCommand(out, errOut io.Writer) *cobra.Command {
	var keep, verbose bool
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Show the whole job in about ten seconds, with nothing else started",
		Long: `demo starts an embedded JetStream, a stand-in for Xbox Live with a small quota, and a worker, and gives the worker all
kinds of jobs: players who wait, a campaign with a recipient the API refuses, a malformed message, an expired job, and a
quota that somebody else has used up. It ends with status 0 only if every count is what it must be.`,
		Args: cli.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			log := slog.New(slog.DiscardHandler)
			if verbose {
				log = slog.New(slog.NewTextHandler(errOut, &slog.HandlerOptions{Level: slog.LevelDebug}))
			}
			return runDemo(cmd.Context(), out, log, keep)
		},
	}
	cmd.Flags().BoolVar(&keep, "keep", false, "go on afterwards, with something on each page of the console, and print how to look at it")
	cmd.Flags().BoolVar(&verbose, "verbose", false, "show the worker's log")
	return cmd
}

// demoTime bounds the demo: what has not ended by then is a failure.
const demoTime = time.Minute

// The demo's quota is the published one, 7 calls in 15 s and 50 in 300 s, with
// shorter ones, so that ten seconds show what takes minutes in production.
var (
	demoSimQuota = []xblsim.Window{{Max: 7, Per: 2 * time.Second}, {Max: 50, Per: 60 * time.Second}}
	demoQuota    = []configs.Window{{Max: 7, Per: 2 * time.Second}, {Max: 50, Per: 60 * time.Second}}
)

func runDemo(ctx context.Context, out io.Writer, log *slog.Logger, keep bool) error {
	dir, err := os.MkdirTemp("", "invited-demo-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }() // the system cleans its temporary files as well

	script := newScript(time.Now())
	sim := xblsim.New(xblsim.Options{
		Quota: demoSimQuota, Latency: 20 * time.Millisecond, CallLog: 1000,
		Faults: xblsim.Faults{RefusedXUIDs: []uint64{uint64(script.refused)}},
	})
	api, err := serveSim(ctx, sim, log)
	if err != nil {
		return err
	}
	defer api.stop(context.WithoutCancel(ctx))
	if err := writeTokens(dir, script.senders); err != nil {
		return err
	}

	working, stop := context.WithCancel(ctx)
	defer stop()
	cfg := demoConfig(dir, "http://"+api.address)
	cfg.Admin.Actions = keep // for whoever looks at it: nothing but the demo is to be lost
	w := newWorker(cfg, log)
	ended := make(chan error, 1)
	go func() { ended <- w.run(working) }()
	select {
	case <-w.started:
	case err := <-ended:
		return err
	}

	failed := playDemo(ctx, out, w, sim, script)
	if keep && failed == nil {
		printHowToLook(out, w, api.address)
		failed = keepGoing(ctx, w)
	}
	stop()
	if err := <-ended; err != nil {
		return err
	}
	return failed
}

func demoConfig(dir, api string) configs.Config {
	cfg := configs.Default()
	cfg.NATS.Embedded.Listen = "127.0.0.1:0"
	cfg.NATS.Embedded.DataDir = filepath.Join(dir, "jetstream")
	cfg.XBL.BaseURL = api
	cfg.Tokens.Source = configs.TokensFile
	cfg.Tokens.File.Dir = filepath.Join(dir, "tokens")
	cfg.Quota.Windows = demoQuota
	cfg.Admin.Listen = "127.0.0.1:0"
	return cfg
}

// demoToken is no secret: the simulator takes any token of the right form.
func demoToken(sender string) string { return "XBL3.0 x=demo;" + sender }

func writeTokens(dir string, senders []string) error {
	dir = filepath.Join(dir, "tokens")
	if err := os.Mkdir(dir, 0o700); err != nil {
		return err
	}
	for _, sender := range senders {
		if err := os.WriteFile(filepath.Join(dir, sender), []byte(demoToken(sender)), 0o600); err != nil {
			return err
		}
	}
	return nil
}

func serveSim(ctx context.Context, sim http.Handler, log *slog.Logger) (*adminServer, error) {
	return serveAdmin(ctx, "127.0.0.1:0", sim, log)
}
