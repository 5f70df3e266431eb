package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/invitedhq/invited/cmd/internal/cli"
	"github.com/invitedhq/invited/queue"
)

// benchFlags are the flags of bench as they were typed.
type benchFlags struct {
	title       string
	senders     []string
	madeSenders int
	jobs        int
	jobsSet     bool
	duration    time.Duration
	rate        string
	recipients  string
	xuidsFrom   string
	file        string
	campaign    string
	connection  string
	platform    string
	waiting     int
	patience    time.Duration
	yesSend     bool

	api         string
	audience    string
	tokenFile   string
	connections int
}

func newBenchCommand(t *tool) *cobra.Command {
	var f benchFlags
	cmd := &cobra.Command{
		Use:   "bench --title T (--xuids-from X | --file F) (--yes-send | --api URL)",
		Short: "Measure workers, or an API, under a load of a stated shape; for staging",
		Long: `bench SENDS INVITES: it is for a staging endpoint, such as xblsim.

It publishes jobs for the workers that run on a NATS server, follows their results, and prints how fast jobs are published and
ended, how long they take from one to the other, and what became of them. It can't see which API those workers call: --yes-send
says that you know, and that it is a staging one; without it, it asks at a terminal. With --api it calls an endpoint itself, with
the worker's own client in a plain loop over so many connections: what the endpoint can do without a queue. It never calls Xbox
Live.

A load is the same each time: job after job goes to the next sender, with one recipient more than the last from the least to the
most. Its jobs are named bench-<run>-<number>. Ctrl-C stops it and prints the figures so far; what was published stays queued.
Status 1 unless everything was sent.`,
		Example: `  invitectl bench --title 730 --senders 16 --jobs 20000 --xuids-from 2533274790000000 --yes-send
  invitectl bench --title 730 --senders 16 --duration 30s --rate 2000/s --recipients 1-8 --file players.csv --yes-send
  invitectl bench --title 730 --jobs 20000 --xuids-from 2533274790000000 --api http://127.0.0.1:8080 --connections 64`,
		Args: cli.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			f.jobsSet = cmd.Flags().Changed("jobs")
			l, err := f.load()
			if err != nil {
				return err
			}
			if f.api != "" && f.campaign != "" {
				return cli.Usagef("--api and --campaign exclude each other: only workers know campaigns")
			}
			if f.api != "" {
				return t.benchAPI(cmd.Context(), l, &f)
			}
			if f.waiting < 1 {
				return cli.Usagef("--waiting: %d is not above 0", f.waiting)
			}
			if !f.yesSend && !t.canAsk(cmd.InOrStdin()) {
				return cli.Usagef("this sends invites: --yes-send says that the workers there call a staging endpoint")
			}
			return t.benchWorkers(cmd.Context(), l, f.waiting, func(ctx context.Context, server string) error {
				return t.mayBench(ctx, cmd, l, server, f.yesSend)
			})
		},
	}
	f.register(cmd)
	return cmd
}

func (f *benchFlags) register(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.SortFlags = false
	flags.StringVar(&f.title, "title", "", "title ID, decimal (required)")
	flags.StringSliceVar(&f.senders, "sender", nil, `senders, in turn, with commas between them (default "default")`)
	flags.IntVar(&f.madeSenders, "senders", 0, "so many senders instead: bench-1, bench-2 and so on")
	flags.IntVar(&f.jobs, "jobs", 1000, "jobs at the most; with --duration, and without --jobs, as many as fit")
	flags.DurationVar(&f.duration, "duration", 0, "publish for so long at the most, such as 30s")
	flags.StringVar(&f.rate, "rate", "", "recipients per second, minute or hour, such as 2000/s; default as fast as they are taken")
	flags.StringVar(&f.recipients, "recipients", "16", "of a job: a number, or a range like 1-8")
	flags.StringVar(&f.xuidsFrom, "xuids-from", "", "invite the players with this XUID and those after it, each once")
	flags.StringVar(&f.file, "file", "", "or those of this file in turn: XUIDs as text or CSV, as for a campaign")
	flags.StringVar(&f.campaign, "campaign", "", "publish the jobs as this campaign's; default is that players wait (interactive)")
	flags.StringVar(&f.connection, "connection", "", "connectionString for the invited players' game")
	flags.StringVar(&f.platform, "platform", "", "one of "+strings.Join(queue.Platforms(), ", ")+"; default any")
	flags.IntVar(&f.waiting, "waiting", 10_000, "jobs without a result at the most: no more is published meanwhile")
	flags.DurationVar(&f.patience, "patience", 30*time.Second, "give up when nothing was sent for so long")
	flags.BoolVar(&f.yesSend, "yes-send", false, "the workers of this NATS server call a staging endpoint: send, and do not ask")
	flags.StringVar(&f.api, "api", "", "call this API instead, without workers: a base URL, such as http://127.0.0.1:8080")
	flags.StringVar(&f.audience, "audience", "client", "of --api: client or server")
	flags.StringVar(&f.tokenFile, "token-file", "", "of --api: a file with the Authorization value; default is $"+envAuthorization)
	flags.IntVar(&f.connections, "connections", 64, "of --api: calls at once")
}

// mayBench shows what will be sent, and asks if nobody has said yes.
func (t *tool) mayBench(ctx context.Context, cmd *cobra.Command, l *load, server string, yes bool) error {
	fmt.Fprintf(t.errOut, "Publishing on %s: %s.\n", server, l.inWords())
	if yes || t.ask(ctx, cmd.InOrStdin(), "The workers there send these invites. Do they call a staging endpoint, for sure?") {
		return nil
	}
	return errNothingSent
}
