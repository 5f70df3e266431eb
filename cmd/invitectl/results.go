package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/invitedhq/invited/cmd/internal/cli"
	"github.com/invitedhq/invited/queue"
)

func newResultsCommand(t *tool) *cobra.Command {
	var title, campaign string
	var follow bool
	cmd := &cobra.Command{
		Use:   "results",
		Short: "Show how jobs ended in the last day, oldest first",
		Example: `  invitectl results --campaign spring-cup
  invitectl results --title 1739947436 --follow --json`,
		Args: cli.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			f := queue.Filter{Campaign: campaign}
			if title != "" {
				id, err := parseTitle(title)
				if err != nil {
					return err
				}
				f.TitleID = &id
			}
			return t.results(cmd.Context(), f, follow)
		},
	}
	flags := cmd.Flags()
	flags.SortFlags = false
	flags.StringVar(&title, "title", "", "of this title ID; 0: where no title could be read")
	flags.StringVar(&campaign, "campaign", "", "of this campaign")
	flags.BoolVar(&follow, "follow", false, "go on with those that end from now on, until Ctrl-C;"+
		" what ends while the connection is lost is missing")
	t.completeFlag(cmd, anyName, "title", titleOf)
	t.completeFlag(cmd, anyName, "campaign", campaignOf)
	return cmd
}

func (t *tool) results(ctx context.Context, f queue.Filter, follow bool) error {
	conn, err := t.connect()
	if err != nil {
		return err
	}
	defer conn.Close()
	reader, err := queue.NewReader(conn)
	if err != nil {
		return err
	}
	var watch *queue.Watch
	began := time.Now()
	if follow { // before what is stored is read: else what ends in between would be missing
		if watch, err = reader.WatchResults(ctx); err != nil {
			return err
		}
		defer watch.Stop()
	}
	recent := make(map[string]bool) // what the watch may show again
	none := true
	for r, err := range reader.Results(ctx, f) {
		if err != nil {
			return err
		}
		if r.EndedAt.After(began.Add(-time.Minute)) { // clocks differ
			recent[r.Job] = true
		}
		none = false
		if err := t.showResult(r); err != nil {
			return err
		}
	}
	if none && !follow && !t.json {
		fmt.Fprintln(t.errOut, "no such results in the last day")
	}
	for follow {
		r, err := watch.Next(ctx)
		switch {
		case errors.Is(err, context.Canceled) && errors.Is(context.Cause(ctx), context.Canceled):
			return nil // Ctrl-C is how it ends
		case err != nil:
			return err
		case recent[r.Job], f.Campaign != "" && r.Campaign != f.Campaign, f.TitleID != nil && r.TitleID != *f.TitleID:
			continue
		}
		if err := t.showResult(r); err != nil {
			return err
		}
	}
	return nil
}

// showResult prints a result; that some were not sent is no failure here.
func (t *tool) showResult(r queue.Result) error {
	if err := t.printResult(r); !errors.Is(err, cli.ErrSilent) {
		return err
	}
	return nil
}
