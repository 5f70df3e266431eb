package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/spf13/cobra"

	"github.com/invitedhq/invited/cmd/internal/cli"
	"github.com/invitedhq/invited/queue"
)

func newDeadReplayCommand(t *tool) *cobra.Command {
	return newDeadChangeCommand(t, change{
		use: "replay", done: "replayed", would: "would be replayed",
		short: "Publish the jobs of dead letters again, where they were published before",
		long: `replay publishes the job of each letter again on the subject it came from, with only the recipients that were
not sent. It goes through the same queues and the same quota as any job. A letter is removed once its job is back in its
queue. Interrupted anywhere, run it again: it finishes what was begun, and replays nothing twice.`,
		example: `  invitectl dead replay --reason exhausted --since 2h --dry-run
  invitectl dead replay --title 1739947436 --reason forbidden`,
		do: (*queue.Replayer).Replay,
	})
}

func newDeadDropCommand(t *tool) *cobra.Command {
	return newDeadChangeCommand(t, change{
		use: "drop", done: "dropped", would: "would be dropped",
		short:   "Remove dead letters for good",
		example: `  invitectl dead drop --campaign spring-cup --reason rejected`,
		do:      (*queue.Replayer).Drop,
	})
}

// change is what replay and drop differ in.
type change struct {
	use, short, long, example string
	done, would               string
	do                        func(*queue.Replayer, context.Context, queue.DeadLetter) error
}

func newDeadChangeCommand(t *tool, c change) *cobra.Command {
	var f deadFilter
	var dryRun bool
	cmd := &cobra.Command{
		Use: c.use, Short: c.short, Long: c.long, Example: c.example,
		Args: cli.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			q, err := f.filter(time.Now())
			if err != nil {
				return err
			}
			return t.changeDead(cmd.Context(), q, c, dryRun)
		},
	}
	f.register(t, cmd)
	cmd.Flags().BoolVar(&dryRun, "dry-run", false, "only say how many")
	return cmd
}

// changed is what came of it, as --json prints it.
type changed struct {
	Letters    int  `json:"letters"`
	Recipients int  `json:"recipients"`
	Failed     int  `json:"failed"` // letters that can't be, and stay
	DryRun     bool `json:"dryRun"`
}

// changeDead goes through the letters. One that can't be changed is told and
// stays; anything else ends it, and it can be run again.
func (t *tool) changeDead(ctx context.Context, f queue.Filter, c change, dryRun bool) error {
	sum := changed{DryRun: dryRun}
	var replayer *queue.Replayer
	err := t.letters(ctx, f, func(conn *nats.Conn, l queue.DeadLetter) (err error) {
		if replayer == nil {
			if replayer, err = queue.NewReplayer(ctx, conn); err != nil {
				return err
			}
		}
		if !dryRun {
			err = c.do(replayer, ctx, l)
		}
		switch {
		case errors.Is(err, queue.ErrNotReplayable), errors.Is(err, queue.ErrPast), errors.Is(err, queue.ErrInDoubt),
			errors.Is(err, queue.ErrReplayDropped):
			fmt.Fprintln(t.errOut, err)
			sum.Failed++
			return nil
		case err != nil:
			return err
		}
		sum.Letters++
		sum.Recipients += itemOf(l).Recipients
		return nil
	})
	if printErr := t.printChanged(sum, c); printErr != nil {
		return printErr
	}
	switch {
	case err != nil:
		return fmt.Errorf("%w; run it again to go on", err)
	case sum.Failed > 0:
		return cli.ErrSilent
	}
	return nil
}

func (t *tool) printChanged(sum changed, c change) error {
	if t.json {
		return t.printJSON(sum)
	}
	what := c.done
	if sum.DryRun {
		what = c.would
	}
	text := fmt.Sprintf("%s for %s %s", plural(sum.Letters, "dead letter"), plural(sum.Recipients, "recipient"), what)
	if sum.Failed > 0 {
		text += fmt.Sprintf("; %s can't be, and stay", grouped(sum.Failed))
	}
	_, err := fmt.Fprintln(t.out, text)
	return err
}
