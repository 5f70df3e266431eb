package main

import (
	"context"
	"fmt"
	"reflect"
	"time"

	"github.com/spf13/cobra"

	"github.com/invitedhq/invited/queue"
)

func newCampaignWatchCommand(t *tool) *cobra.Command {
	var f campaignFilter
	cmd := &cobra.Command{
		Use:   "watch NAME",
		Short: "Show how a campaign gets on, as it does",
		Long: `watch shows a campaign until it has ended, or is cancelled, or until Ctrl-C. At a terminal it redraws one block; elsewhere it
prints a line whenever something has changed, and with --json the same as status does, but for the time left.`,
		Example: `  invitectl campaign watch spring-cup
  invitectl campaign watch spring-cup --json | jq .left`,
		Args:              oneName,
		ValidArgsFunction: t.completeCampaigns,
		RunE: func(cmd *cobra.Command, args []string) error {
			q, err := f.filter(args[0])
			if err != nil {
				return err
			}
			return t.watchCampaign(cmd.Context(), q)
		},
	}
	f.register(t, cmd)
	return cmd
}

// watchEvery is how often what is watched is looked at.
const watchEvery = time.Second

func (t *tool) watchCampaign(ctx context.Context, f queue.CampaignFilter) error {
	return t.organize(ctx, func(o *queue.Organizer) error {
		a, err := one(ctx, o, f)
		if err != nil {
			return err
		}
		show, leave := t.showLine(), func() {}
		if out := drawable(t.out); out != nil && !t.json {
			on := newScreen(out)
			show, leave = t.showBlock(ctx, o, on), on.leave
		}
		for s, err := range o.Watch(ctx, a, watchEvery) {
			if err != nil {
				return err
			}
			if err := show(s); err != nil || over(s) || s.State == queue.CampaignEnded {
				return err
			}
		}
		leave()
		return nil // Ctrl-C is how it ends
	})
}

// showLine prints a campaign whenever what it prints of it has changed.
func (t *tool) showLine() func(queue.CampaignStatus) error {
	var last any
	return func(s queue.CampaignStatus) error {
		now := any(t.sentence(s))
		if t.json {
			now = itemOfCampaign(s)
		}
		if reflect.DeepEqual(now, last) {
			return nil
		}
		last = now
		return t.printStanding(s)
	}
}

// forecastEvery is how often the time that is left is asked for: it is some requests more.
const forecastEvery = 5 * time.Second

// showBlock draws a campaign in place of what was drawn of it before.
func (t *tool) showBlock(ctx context.Context, o *queue.Organizer, on *screen) func(queue.CampaignStatus) error {
	paint := styleOf(t.out)
	var left queue.Forecast
	var asked time.Time
	return func(s queue.CampaignStatus) error {
		if now := time.Now(); now.Sub(asked) >= forecastEvery {
			asked = now
			var err error
			if left, err = o.TimeLeft(ctx, s); err != nil {
				left = queue.Forecast{} // the counts are of use without
			}
		}
		return on.draw(paint, func(width int) []line { return t.block(s, left, width) })
	}
}

// block is what is drawn of a campaign: first what matters most, so that it is left on a low screen.
func (t *tool) block(s queue.CampaignStatus, left queue.Forecast, width int) (b []line) {
	title := line{{s.Address.Campaign, bold}, {fmt.Sprintf("  title %d, sender %s", s.Address.TitleID, s.Address.Sender), plain}}
	b = append(b, title)
	if s.Ordered {
		b = append(b, line{{drawBar(s.Recipients-s.Left, s.Recipients, width), plain}})
	}
	state := line{{stateText(s), stateColour(s.State)}}
	if limit := limitText(s); limit != "" {
		state = append(state, cell{", at most " + limit, plain})
	}
	if starts := t.startText(s); starts != "" {
		state = append(state, cell{", not before " + starts, plain})
	}
	b = append(b, state)
	row := func(name string, n int, more string, c colour) {
		b = append(b, line{{fmt.Sprintf("%-9s %*s", name, len(grouped(max(s.Recipients, s.Sent))), grouped(n)), c}, {more, c}})
	}
	row("sent", s.Sent, "", plain)
	row("dead", s.DeadRecipients(), prefixed("  ", reasonsOf(s.Dead)), deadCell(s.DeadRecipients(), "").colour)
	if s.Terms.Cancelled {
		row("dropped", s.Cancelled, "", plain)
	}
	if s.Ordered {
		row("left", s.Left, "", plain)
	} else {
		row("waiting", s.Waiting, " jobs", plain)
	}
	if s.State == queue.CampaignUploading {
		row("uploaded", s.Uploaded, "", plain)
	}
	for _, text := range paceText(s, left) {
		b = append(b, line{{text, plain}})
	}
	return b
}

func prefixed(prefix, text string) string {
	if text == "" {
		return ""
	}
	return prefix + text
}

// paceText is how fast it went lately, and how long what is left takes: a line each.
func paceText(s queue.CampaignStatus, left queue.Forecast) []string {
	if over(s) || s.State == queue.CampaignEnded {
		if s.FirstEndedAt.IsZero() {
			return nil
		}
		return []string{"took " + span(s.LastEndedAt.Sub(s.FirstEndedAt))}
	}
	lines := []string{fmt.Sprintf("lately    %.1f/s", s.Rate)}
	if justBegun(s) {
		lines[0] = "lately    not measured yet"
	}
	if !s.Terms.Cancelled && left.Calls > 0 {
		lines = append(lines, "time left "+timeLeftInWords(s, left))
	}
	return lines
}

// justBegun says whether the first job ended so short a time ago that there is no rate yet: 0.0/s would look as if the
// campaign stood still.
func justBegun(s queue.CampaignStatus) bool {
	if s.Rate > 0 || s.FirstEndedAt.IsZero() || len(s.History) == 0 {
		return false
	}
	return s.History[len(s.History)-1].At.Sub(s.FirstEndedAt) < 10*time.Second
}

// timeLeftInWords does not let a campaign that is paused look as if it got on.
func timeLeftInWords(s queue.CampaignStatus, left queue.Forecast) string {
	if s.Terms.Paused && left.Basis != queue.ByNothing {
		return timeInWords(left) + ", once resumed"
	}
	return timeInWords(left)
}
