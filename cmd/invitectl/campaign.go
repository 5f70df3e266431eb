package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/spf13/cobra"

	"github.com/invitedhq/invited/cmd/internal/cli"
	"github.com/invitedhq/invited/queue"
)

func newCampaignCommand(t *tool) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "campaign",
		Short: "Invite all players of a list, and see how it gets on",
		Args:  cli.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newCampaignStartCommand(t), newCampaignListCommand(t), newCampaignStatusCommand(t), newCampaignWatchCommand(t),
		newCampaignPauseCommand(t), newCampaignResumeCommand(t), newCampaignRateCommand(t), newCampaignCancelCommand(t))
	return cmd
}

// oneName wants the name of a campaign.
func oneName(cmd *cobra.Command, args []string) error {
	if len(args) != 1 {
		return cli.Usagef("%s takes the name of one campaign, and %d arguments were given", cmd.CommandPath(), len(args))
	}
	return nil
}

// campaignFilter is the flags that tell campaigns of one name apart.
type campaignFilter struct{ title, sender string }

func (f *campaignFilter) register(t *tool, cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.SortFlags = false
	flags.StringVar(&f.title, "title", "", "of this title ID")
	flags.StringVar(&f.sender, "sender", "", "of this sender")
	t.completeFlag(cmd, thatName, "title", titleOf)
	t.completeFlag(cmd, thatName, "sender", senderOf)
}

func (f *campaignFilter) filter(name string) (q queue.CampaignFilter, err error) {
	q = queue.CampaignFilter{Sender: f.sender, Campaign: name}
	if f.title != "" {
		q.TitleID, err = parseTitle(f.title)
	}
	return q, err
}

// namesOne completes a command that does something with one campaign: the one that its first argument names, and that its flags tell
// from others of that name.
func (t *tool) namesOne(cmd *cobra.Command, do func(ctx context.Context, f queue.CampaignFilter) error) *cobra.Command {
	var f campaignFilter
	cmd.Args, cmd.ValidArgsFunction = oneName, t.completeCampaigns
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		q, err := f.filter(args[0])
		if err != nil {
			return err
		}
		return do(cmd.Context(), q)
	}
	f.register(t, cmd)
	return cmd
}

// organize connects, and does something with campaigns.
func (t *tool) organize(ctx context.Context, do func(*queue.Organizer) error) error {
	return t.organizeOver(ctx, func(_ *nats.Conn, o *queue.Organizer) error { return do(o) })
}

// organizeOver does so where more than campaigns is asked for over the connection.
func (t *tool) organizeOver(ctx context.Context, do func(*nats.Conn, *queue.Organizer) error) error {
	conn, err := t.connect()
	if err != nil {
		return err
	}
	defer conn.Close()
	organizer, err := queue.NewOrganizer(ctx, conn)
	if err != nil {
		return err
	}
	return do(conn, organizer)
}

// completeCampaigns offers the names of campaigns, if NATS can be reached.
func (t *tool) completeCampaigns(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return t.completeOf(cmd, "", campaignOf)
}

// completeOf offers, once each, what is taken of the campaigns of a name, or of all: files are never meant.
func (t *tool) completeOf(cmd *cobra.Command, name string, take func(queue.Address) string) ([]string, cobra.ShellCompDirective) {
	ctx, cancel := context.WithTimeoutCause(cmd.Context(), 2*time.Second, context.DeadlineExceeded) // somebody has pressed a key
	defer cancel()
	t.chooseServer()
	ctx, t.refused = context.WithCancelCause(ctx)
	var offers []string
	_ = t.organize(ctx, func(o *queue.Organizer) error { // without an answer there is nothing to offer
		all, err := o.Campaigns(ctx, queue.CampaignFilter{Campaign: name})
		for _, a := range all {
			offers = append(offers, take(a))
		}
		return err
	})
	slices.Sort(offers)
	return slices.Compact(offers), cobra.ShellCompDirectiveNoFileComp
}

// completeFlag lets a flag offer what is taken of the campaigns of a name.
func (t *tool) completeFlag(cmd *cobra.Command, name func(args []string) string, flag string, take func(queue.Address) string) {
	_ = cmd.RegisterFlagCompletionFunc(flag, // it fails only for a flag that does not exist
		func(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
			return t.completeOf(cmd, name(args), take)
		})
}

func anyName([]string) string { return "" }

// thatName is the one that stands before the flag, if there is one.
func thatName(args []string) string {
	if len(args) == 0 {
		return ""
	}
	return args[0]
}

func titleOf(a queue.Address) string    { return strconv.FormatUint(uint64(a.TitleID), 10) }
func senderOf(a queue.Address) string   { return a.Sender }
func campaignOf(a queue.Address) string { return a.Campaign }

func newCampaignListCommand(t *tool) *cobra.Command {
	var f campaignFilter
	cmd := &cobra.Command{
		Use:   "ls",
		Short: "List campaigns, with what was sent and what is left",
		Example: `  invitectl campaign ls
  invitectl campaign ls --title 1739947436 --json`,
		Args: cli.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			q, err := f.filter("")
			if err != nil {
				return err
			}
			return t.listCampaigns(cmd.Context(), q)
		},
	}
	f.register(t, cmd)
	return cmd
}

func newCampaignStatusCommand(t *tool) *cobra.Command {
	return t.namesOne(&cobra.Command{
		Use:   "status NAME",
		Short: "Show how a campaign gets on",
		Long: `status counts what is stored of how the campaign's jobs ended: recipients that were sent or are dead, and not what was read
or begun. Where jobs were published past invitectl, for how many recipients is known only as they end.`,
		Example: `  invitectl campaign status spring-cup
  invitectl campaign status spring-cup --title 1739947436 --sender cup --json`,
	}, t.showCampaign)
}

// which is what selects a campaign in any case: there may be others of its name.
func which(a queue.Address) string {
	return fmt.Sprintf("%s --title %d --sender %s", a.Campaign, a.TitleID, a.Sender)
}

// one finds the only campaign that f selects.
func one(ctx context.Context, o *queue.Organizer, f queue.CampaignFilter) (queue.Address, error) {
	all, err := o.Campaigns(ctx, f)
	switch {
	case err != nil:
		return queue.Address{}, err
	case len(all) == 0:
		return queue.Address{}, fmt.Errorf("%w called %s; see invitectl campaign ls", queue.ErrNoCampaign, strconv.Quote(f.Campaign))
	case len(all) > 1:
		var which []string
		for _, a := range all {
			which = append(which, fmt.Sprintf("--title %d --sender %s", a.TitleID, a.Sender))
		}
		return queue.Address{}, cli.Usagef("there are %d campaigns of this name; say which: %s", len(all), strings.Join(which, ", or "))
	}
	return all[0], nil
}

// listCampaigns leaves out a campaign that is gone meanwhile.
func (t *tool) listCampaigns(ctx context.Context, f queue.CampaignFilter) error {
	var all []queue.CampaignStatus
	err := t.organize(ctx, func(o *queue.Organizer) error {
		addresses, err := o.Campaigns(ctx, f)
		if err != nil {
			return err
		}
		for _, a := range addresses {
			s, err := o.Status(ctx, a)
			if errors.Is(err, queue.ErrNoCampaign) {
				continue
			}
			if err != nil {
				return err
			}
			all = append(all, s)
		}
		return nil
	})
	if err != nil {
		return err
	}
	return t.printCampaigns(all)
}

func (t *tool) showCampaign(ctx context.Context, f queue.CampaignFilter) error {
	return t.organize(ctx, func(o *queue.Organizer) error {
		s, err := statusOfOne(ctx, o, f)
		if err != nil {
			return err
		}
		return t.printCampaign(s, t.timeLeft(ctx, s))
	})
}
