package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/invitedhq/invited/cmd/internal/cli"
	"github.com/invitedhq/invited/cmd/internal/sources"
	"github.com/invitedhq/invited/configs"
	"github.com/invitedhq/invited/xbl"
	"github.com/invitedhq/invited/xbl/tokens"
)

func newTokenCommand(t *tool) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "token",
		Short: "Look at the tokens that invites are sent with",
		Args:  cli.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newTokenCheckCommand(t))
	return cmd
}

func newTokenCheckCommand(t *tool) *cobra.Command {
	var file, sender string
	cmd := &cobra.Command{
		Use:   "check",
		Short: "Get a token as a worker would, and say whose it is and when it ends",
		Long: `check gets one token by the source of a worker's configuration, on this machine and with this user's permissions: run it
where the worker runs, as the worker's user. It asks the token broker or Xbox Live's auth services once, makes no invite, and needs no NATS.
It never prints the token. Exit status: 0 there is one, 1 there is none, 2 wrong use.`,
		Example: `  invitectl token check --config invited.yaml
  invitectl token check --config invited.yaml --sender lobby-1 --json`,
		Args: cli.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if !xbl.ValidSender(sender) {
				return cli.Usagef("--sender: a sender is 1 to 64 of A-Z a-z 0-9 _ -")
			}
			return t.checkToken(cmd.Context(), file, sender)
		},
	}
	cmd.Flags().StringVar(&file, "config", "", "the worker's configuration file (YAML); without one every key has its default")
	cmd.Flags().StringVar(&sender, "sender", "default", "whose token: a credential's name, or in server mode the inviting user's XUID")
	return cmd
}

// tokenItem is what --json prints.
type tokenItem struct {
	Sender     string    `json:"sender"`
	Source     string    `json:"source"`
	Kind       string    `json:"kind,omitzero"` // user, service; absent: the source does not say
	Gamertag   string    `json:"gamertag,omitzero"`
	XUID       string    `json:"xuid,omitzero"`
	NotAfter   time.Time `json:"notAfter,omitzero"`
	Seconds    float64   `json:"seconds,omitzero"` // until then
	Signed     bool      `json:"signed"`
	Problem    string    `json:"problem,omitzero"` // missing, invalid, ...; absent: there is a token
	Detail     string    `json:"detail,omitzero"`
	NeedsAct   bool      `json:"needsAct,omitzero"` // time alone does not help
	RetryAfter float64   `json:"retryAfter,omitzero"`
}

func (t *tool) checkToken(ctx context.Context, file, sender string) error {
	cfg, warnings, err := configs.Load(file, os.LookupEnv)
	for _, w := range warnings {
		if strings.HasPrefix(w.Path, "tokens.") {
			fmt.Fprintf(t.errOut, "warning: %s\n", w)
		}
	}
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, lookFor)
	defer cancel()
	grant, err := sources.Look(ctx, cfg.Tokens, sender)
	item := tokenItem{Sender: sender, Source: string(cfg.Tokens.Source)}
	problem, known := errors.AsType[*xbl.TokenError](err)
	switch {
	case err == nil:
		item.grant(grant)
	case known:
		item.fail(problem)
	default:
		return err
	}
	if t.json {
		err = t.printJSON(item)
	} else {
		_, err = fmt.Fprint(t.out, item.words(t.zone, styleOf(t.out)))
	}
	if err == nil && item.Problem != "" {
		return cli.ErrSilent
	}
	return err
}

// lookFor is longer than the requests of a source take.
const lookFor = 30 * time.Second

func (i *tokenItem) grant(g tokens.Grant) {
	i.Signed = g.Token.IsSigned()
	i.Gamertag, i.XUID = g.Owner.Gamertag, g.Owner.XUID
	switch {
	case g.Owner.Service:
		i.Kind = "service"
	case g.Owner.XUID != "" || g.Owner.Gamertag != "":
		i.Kind = "user"
	}
	if end := g.Token.NotAfter; !end.IsZero() {
		i.NotAfter, i.Seconds = end.UTC(), time.Until(end).Seconds()
	}
}

func (i *tokenItem) fail(problem *xbl.TokenError) {
	i.Problem, i.NeedsAct = problem.Kind.String(), problem.Kind.NeedsAct()
	i.Detail = problem.Detail
	if problem.Err != nil {
		i.Detail += ": " + problem.Err.Error()
	}
	if wait := time.Until(problem.RetryAt); wait > 0 {
		i.RetryAfter = wait.Seconds()
	}
}

// words says it for people.
func (i *tokenItem) words(zone *time.Location, paint style) string {
	var b strings.Builder
	line := func(name, value string) { fmt.Fprintf(&b, "%-8s%s\n", name, value) }
	line("sender", i.Sender)
	line("source", i.Source)
	if i.Problem != "" {
		line("token", paint.paint(red, i.Problem)+": "+cli.Printable(i.Detail))
		if i.NeedsAct {
			line("", "somebody has to act; jobs of this sender wait until then, and none is lost")
		} else {
			line("", "it may be there in a while; jobs of this sender wait until then")
		}
		return b.String()
	}
	line("token", paint.paint(green, "there is one")+" (it is never shown)")
	line("of", i.owner())
	if i.NotAfter.IsZero() {
		line("ends", "the source does not say; when the API refuses it, jobs wait for another")
	} else {
		line("ends", fmt.Sprintf("%s, in %s", i.NotAfter.In(zone).Format("2006-01-02 15:04:05 MST"),
			span(time.Duration(i.Seconds*float64(time.Second)))))
	}
	if i.Signed {
		line("signed", "each call: policy version 1, time, method, path and query, Authorization value, the first 8192 bytes of the body")
	} else {
		line("signed", "nothing; calls carry the Authorization value alone")
	}
	return b.String()
}

func (i *tokenItem) owner() string {
	switch i.Kind {
	case "service":
		return "the title's own service (for xbl.audience: server)"
	case "user":
		return cli.Printable(strings.TrimSpace(i.Gamertag + " (XUID " + i.XUID + ")"))
	default:
		return "the source does not say"
	}
}
