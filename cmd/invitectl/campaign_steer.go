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

func newCampaignPauseCommand(t *tool) *cobra.Command {
	return t.newSteerCommand(&cobra.Command{
		Use:   "pause NAME",
		Short: "Stop sending a campaign, until it is resumed",
		Long: `pause stops a campaign within a second, whatever is restarted meanwhile. Calls that are under way are finished, and counted;
an upload goes on. Jobs that expire while it is paused are dead-lettered when it is resumed.`,
		Example: `  invitectl campaign pause spring-cup
  invitectl campaign pause spring-cup --title 1739947436 --sender cup --json`,
	}, func(ctx context.Context, o *queue.Organizer, s queue.CampaignStatus) error {
		if ended(s) {
			return fmt.Errorf("%s has ended; nothing is left to be paused", s.Address.Campaign)
		}
		_, err := o.Pause(ctx, s.Address)
		return err
	})
}

func newCampaignResumeCommand(t *tool) *cobra.Command {
	var text string
	cmd := t.newSteerCommand(&cobra.Command{
		Use:   "resume NAME",
		Short: "Go on with a campaign that is paused, or move its start",
		Long: `resume undoes pause. With --at it also moves the campaign's start: nothing is sent before, or, with now, it is sent at once.

Times are in this machine's zone unless they name another: ` + momentForms + `.`,
		Example: `  invitectl campaign resume spring-cup
  invitectl campaign resume spring-cup --at 18:00
  invitectl campaign resume spring-cup --at now     # and not when it was to start`,
	}, func(ctx context.Context, o *queue.Organizer, s queue.CampaignStatus) error {
		if text != "" {
			at, err := parseStart(text, time.Now())
			if err != nil {
				return err
			}
			if ended(s) {
				return fmt.Errorf("%s has ended; its start can't be moved", s.Address.Campaign)
			}
			if _, err := o.SetStart(ctx, s.Address, at); err != nil { // first: else it would be sent in between
				return err
			}
		}
		_, err := o.Resume(ctx, s.Address)
		return err
	})
	cmd.Flags().StringVar(&text, "at", "", "send nothing before this time: "+startForms)
	return cmd
}

func newCampaignRateCommand(t *tool) *cobra.Command {
	var rate float64
	cmd := t.newSteerCommand(&cobra.Command{
		Use:   "rate NAME N/s|none",
		Short: "Limit how fast a campaign is sent, beside its quota",
		Long: `rate limits a campaign to so many recipients per second (5/s), minute (100/m) or hour (2000/h), beside the quota of its
sender and title; none lifts the limit. It holds within a second.`,
		Example: `  invitectl campaign rate spring-cup 5/s
  invitectl campaign rate spring-cup none`,
	}, func(ctx context.Context, o *queue.Organizer, s queue.CampaignStatus) error {
		if ended(s) {
			return fmt.Errorf("%s has ended; nothing is left to be limited", s.Address.Campaign)
		}
		_, err := o.SetRate(ctx, s.Address, rate)
		return err
	})
	cmd.Args = func(cmd *cobra.Command, args []string) (err error) {
		if len(args) != 2 {
			return cli.Usagef("%[1]s takes the name of one campaign, and its rate or none: %[1]s spring-cup 5/s", cmd.CommandPath())
		}
		if args[1] != "none" {
			rate, err = parseRate("the rate", args[1])
		}
		return err
	}
	return cmd
}

// steering changes what is wanted of a campaign that stands like this.
type steering func(context.Context, *queue.Organizer, queue.CampaignStatus) error

// newSteerCommand completes a command that steers a campaign, and then says how that one stands.
func (t *tool) newSteerCommand(cmd *cobra.Command, change steering) *cobra.Command {
	return t.namesOne(cmd, func(ctx context.Context, f queue.CampaignFilter) error {
		return t.organize(ctx, func(o *queue.Organizer) error {
			before, err := statusToSteer(ctx, o, f)
			if err != nil {
				return err
			}
			if err := change(ctx, o, before); err != nil {
				return or(explainTerms(before.Address, err), err)
			}
			now, err := o.Status(ctx, before.Address)
			if err != nil {
				return err
			}
			return t.printStanding(now)
		})
	})
}

func statusOfOne(ctx context.Context, o *queue.Organizer, f queue.CampaignFilter) (queue.CampaignStatus, error) {
	a, err := one(ctx, o, f)
	if err != nil {
		return queue.CampaignStatus{}, err
	}
	return o.Status(ctx, a)
}

// statusToSteer is the status of the only campaign that f selects, or, where it
// can't be told, its address alone: a record that can't be read must not keep
// anybody from stopping a campaign.
func statusToSteer(ctx context.Context, o *queue.Organizer, f queue.CampaignFilter) (queue.CampaignStatus, error) {
	a, err := one(ctx, o, f)
	if err != nil {
		return queue.CampaignStatus{}, err
	}
	s, err := o.Status(ctx, a)
	if err != nil && !errors.Is(err, queue.ErrNoCampaign) && ctx.Err() == nil {
		return queue.CampaignStatus{Address: a}, nil
	}
	return s, err
}

// ended says whether all that was ordered has ended. Of a campaign without an order more may come.
func ended(s queue.CampaignStatus) bool { return s.State == queue.CampaignEnded && s.Ordered }

func (t *tool) printStanding(s queue.CampaignStatus) error {
	if t.json {
		return t.printJSON(itemOfCampaign(s))
	}
	_, err := fmt.Fprintln(t.out, t.sentence(s))
	return err
}

// explainTerms says how to get out of what does not go away by itself; nil: it is none of that.
func explainTerms(a queue.Address, err error) error {
	switch {
	case errors.Is(err, queue.ErrCancelled):
		return err // it says so itself
	case errors.Is(err, queue.ErrOtherTerms):
		return fmt.Errorf("campaign %[1]s has another start time or rate by now; "+
			"leave out --at and --rate to go on with it, and change them by\n"+
			"  invitectl campaign rate %[2]s 5/s\n  invitectl campaign resume %[2]s --at TIME", a.Campaign, which(a))
	case errors.Is(err, queue.ErrStartPassed):
		return fmt.Errorf("campaign %s: the start time has passed, and nothing was stored; "+
			"give a later one, or leave out --at to start at once", a.Campaign)
	default:
		return nil
	}
}

func or(first, otherwise error) error {
	if first != nil {
		return first
	}
	return otherwise
}
