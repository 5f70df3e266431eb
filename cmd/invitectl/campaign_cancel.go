package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/spf13/cobra"

	"github.com/invitedhq/invited/queue"
)

// canceller is one campaign cancel.
type canceller struct {
	*tool
	in          func() io.Reader // who is asked
	yes, noWait bool
}

func newCampaignCancelCommand(t *tool) *cobra.Command {
	c := canceller{tool: t}
	cmd := t.namesOne(&cobra.Command{
		Use:   "cancel NAME",
		Short: "Drop what is unsent of a campaign, for good",
		Long: `cancel stops a campaign within a second, for good, and waits until workers have dropped what is unsent. Calls that are under
way are finished, and counted. At a terminal it asks first. Ctrl-C while it waits leaves the campaign cancelled.`,
		Example: `  invitectl campaign cancel spring-cup
  invitectl campaign cancel spring-cup --yes --no-wait --json`,
	}, func(ctx context.Context, f queue.CampaignFilter) error {
		return t.organizeOver(ctx, func(conn *nats.Conn, o *queue.Organizer) error {
			s, err := statusToSteer(ctx, o, f)
			if err != nil {
				return err
			}
			return c.cancel(ctx, conn, o, s)
		})
	})
	c.in = cmd.InOrStdin
	cmd.Flags().BoolVar(&c.yes, "yes", false, "do not ask")
	cmd.Flags().BoolVar(&c.noWait, "no-wait", false, "do not wait until all is dropped")
	return cmd
}

// cancel cancels a campaign that stands like this, and says how it stands then.
func (c *canceller) cancel(ctx context.Context, conn *nats.Conn, o *queue.Organizer, s queue.CampaignStatus) (err error) {
	if over(s) { // nothing is left to be dropped
		return c.printStanding(s)
	}
	if !s.Terms.Cancelled {
		if err := c.ask(ctx, s); err != nil {
			return err
		}
	}
	if _, err := o.Cancel(ctx, s.Address); err != nil {
		return err
	}
	if c.noWait {
		if s, err = o.Status(ctx, s.Address); err != nil {
			return err
		}
	} else if s, err = c.awaitDropped(ctx, conn, o, s.Address); err != nil {
		return err
	}
	return c.printStanding(s)
}

// errKept: whoever was asked did not say yes.
var errKept = errors.New("nothing was changed")

// ask asks whoever sits at the terminal. Where nobody does, a script knows what it wants.
func (c *canceller) ask(ctx context.Context, s queue.CampaignStatus) error {
	if c.yes || !c.canAsk(c.in()) {
		return nil
	}
	unsent := "all"
	switch {
	case s.Ordered:
		unsent = plural(s.Left, "recipient")
	case s.State != "": // it is known
		unsent = plural(s.Waiting, "job")
	}
	question := fmt.Sprintf("%s\nCancel it? What is left will be dropped, for good: %s.", c.sentence(s), unsent)
	if c.tool.ask(ctx, c.in(), question) {
		return nil
	}
	return errKept
}

const (
	droppedEvery = 500 * time.Millisecond
	// noWorkerAfter is how long nothing has to be dropped before somebody looks whether there is a worker.
	noWorkerAfter = 5 * time.Second
)

var errStopped = errors.New("stopped waiting; the campaign stays cancelled: what is left is dropped as soon as a worker runs")

// awaitDropped waits until nothing is left of a cancelled campaign.
func (c *canceller) awaitDropped(ctx context.Context, conn *nats.Conn, o *queue.Organizer, a queue.Address) (queue.CampaignStatus, error) {
	told := make(chan struct{})
	hint := time.AfterFunc(noWorkerAfter, func() {
		defer close(told)
		c.tellWhatItWaitsFor(ctx, conn, o, a)
	})
	defer func() {
		if !hint.Stop() {
			<-told
		}
	}()
	for s, err := range o.Watch(ctx, a, droppedEvery) {
		switch {
		case err != nil:
			return s, fmt.Errorf("%w; the campaign stays cancelled: the same again goes on waiting", err)
		case s.State == queue.CampaignCancelled:
			return s, nil
		}
	}
	return queue.CampaignStatus{}, errStopped
}

func (c *canceller) tellWhatItWaitsFor(ctx context.Context, conn *nats.Conn, o *queue.Organizer, a queue.Address) {
	s, err := o.Status(ctx, a)
	if err != nil || s.State == queue.CampaignCancelled {
		return // whoever waits is told
	}
	why := "workers are at it"
	if reader, err := queue.NewReader(conn); err == nil {
		if seen, err := reader.Overview(ctx); err == nil && len(seen.Workers) == 0 {
			why = "no worker is running; this happens as soon as one does"
		}
	}
	fmt.Fprintf(c.errOut, "invitectl: %s still to be dropped: %s. Ctrl-C leaves the campaign cancelled.\n", plural(s.Waiting, "job"), why)
}
