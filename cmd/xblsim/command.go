package main

import (
	"fmt"
	"io"
	"log/slog"
	"net"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/invitedhq/invited/cmd/internal/cli"
	"github.com/invitedhq/invited/xbl/xblsim"
)

// flags are the values of the command line as they were typed.
type flags struct {
	listen  string
	quota   string
	body    string
	options xblsim.Options
	faults  xblsim.Faults
	refuse  []string
	forbid  []string
	verbose bool
	auth    authFlags
}

func newCommand(out, errOut io.Writer) *cobra.Command {
	var f flags
	cmd := &cobra.Command{
		Use:   "xblsim",
		Short: "A stand-in for the Xbox service that sends game invites",
		Long: `xblsim answers POST /titles/{titleId}/invites as the Xbox service does: with a quota, and with faults on request.
GET /ledger tells what arrived, GET /ledger/recipients who got how many invites, PUT /faults changes the faults.

With --auth-listen it plays the auth services too, POST /service/authenticate and POST /xsts/authorize, and takes invites only
with their tokens, signed. GET /ledger/auth tells what they were asked, PUT /auth/faults makes them fail, POST /auth/expire and
POST /auth/revoke end tokens, POST /auth/delegations makes a user's delegation token.`,
		Example: `  xblsim --quota 7/15s,50/300s --latency 20ms
  xblsim --quota 7/1500ms,50/30s --fault-reset-after 0.01 --fault-refuse 2533274790395904
  xblsim certificates ./certificates`,
		Args: cli.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			o, err := f.parse(errOut)
			if err != nil {
				return cli.Usagef("%w", err)
			}
			services, err := f.auth.parse(cmd.Flags(), o)
			if err != nil {
				return cli.Usagef("%w", err)
			}
			if services != nil {
				o.Auth = services.service
			}
			return serve(cmd.Context(), f.listen, xblsim.New(o), services, out, o.Logger)
		},
	}
	cmd.SetOut(out)
	cmd.SetErr(errOut)
	f.register(cmd.Flags())
	f.auth.register(cmd.Flags())
	cmd.AddCommand(newCertificatesCommand(out))
	cmd.CompletionOptions.DisableDefaultCmd = true
	return cmd
}

func (f *flags) register(fs *pflag.FlagSet) {
	fs.SortFlags = false
	fs.StringVar(&f.listen, "listen", "127.0.0.1:8080", "address to listen on; port 0 takes a free one")
	fs.StringVar(&f.quota, "quota", "", "fixed windows per token and title, such as 7/15s,50/300s (default none)")
	fs.IntVar(&f.options.MaxConcurrent, "max-concurrent", 0, "calls at once per token and title (default no limit)")
	fs.DurationVar(&f.options.Latency, "latency", 0, "time from a call to its answer, such as 20ms")
	fs.DurationVar(&f.options.InFlightGrace, "in-flight-grace", 0,
		"how long after a 429 a call to its key counts as sent before it, not as inBlock")
	fs.StringVar(&f.body, "throttle-body", bodyNumbers, "what a 429 has as its body: numbers, strings (numbers in quotes) or none")
	fs.Uint64Var(&f.options.Seed, "seed", 0, "of the source that faults are drawn from")
	fs.BoolVar(&f.verbose, "verbose", false, "log each call")

	fs.Float64Var(&f.faults.Error500, "fault-500", 0, "share of the calls that are answered 500, 0 to 1")
	fs.Float64Var(&f.faults.Error503, "fault-503", 0, "share answered 503")
	fs.Float64Var(&f.faults.Error503RetryAfter, "fault-503-retry-after", 0, "share answered 503 with Retry-After")
	fs.Float64Var(&f.faults.ResetBefore, "fault-reset-before", 0, "share cut off before the invites were recorded")
	fs.Float64Var(&f.faults.ResetAfter, "fault-reset-after", 0, "share cut off after the invites were recorded")
	fs.Float64Var(&f.faults.Slow, "fault-slow", 0, "share recorded, but answered late")
	fs.DurationVar(&f.faults.SlowBy, "fault-slow-by", 0, "how late (default 30s)")
	fs.BoolVar(&f.faults.Outage, "fault-outage", false, "let every call fail")
	fs.StringSliceVar(&f.refuse, "fault-refuse", nil, "XUIDs whose calls are answered 400")
	fs.StringSliceVar(&f.forbid, "fault-forbid", nil, "XUIDs whose calls are answered 400 AuthorizationError")
	fs.StringArrayVar(&f.faults.ExpiredTokens, "fault-expired-token", nil,
		"Authorization value, or its key as in the log, that is answered 401; may be repeated")
}

// parse checks all flags, so that the command either runs as told or not at all.
func (f *flags) parse(errOut io.Writer) (xblsim.Options, error) {
	o := f.options
	o.Faults = f.faults
	level := slog.LevelInfo
	if f.verbose {
		level = slog.LevelDebug
	}
	o.Logger = slog.New(slog.NewTextHandler(errOut, &slog.HandlerOptions{Level: level}))
	if _, _, err := net.SplitHostPort(f.listen); err != nil {
		return o, fmt.Errorf("--listen: %q is no host:port", f.listen)
	}
	var err error
	if o.Quota, err = xblsim.ParseQuota(f.quota); err != nil {
		return o, fmt.Errorf("--quota: %w", err)
	}
	if o.Throttle, err = parseBody(f.body); err != nil {
		return o, fmt.Errorf("--throttle-body: %w", err)
	}
	if o.Faults.RefusedXUIDs, err = parseXUIDs(f.refuse); err != nil {
		return o, fmt.Errorf("--fault-refuse: %w", err)
	}
	if o.Faults.ForbiddenXUIDs, err = parseXUIDs(f.forbid); err != nil {
		return o, fmt.Errorf("--fault-forbid: %w", err)
	}
	return o, o.Validate()
}

// The values of --throttle-body.
const (
	bodyNumbers = "numbers"
	bodyStrings = "strings"
	bodyNone    = "none"
)

func parseBody(text string) (xblsim.ThrottleBody, error) {
	switch text {
	case bodyNumbers:
		return xblsim.Numbers, nil
	case bodyStrings:
		return xblsim.Strings, nil
	case bodyNone:
		return xblsim.NoBody, nil
	default:
		return 0, fmt.Errorf("%q is none of %s, %s, %s", text, bodyNumbers, bodyStrings, bodyNone)
	}
}

func parseXUIDs(texts []string) ([]uint64, error) {
	xuids := make([]uint64, 0, len(texts))
	for _, t := range texts {
		x, err := xblsim.ParseXUID(strings.TrimSpace(t))
		if err != nil {
			return nil, err
		}
		xuids = append(xuids, x)
	}
	return xuids, nil
}
