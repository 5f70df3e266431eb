package main

import (
	"context"
	"errors"
	"fmt"
	"iter"
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
prints a line whenever something has changed, and with --json the same as status does.`,
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
	f.register(cmd)
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
			show, leave = t.showBlock(on), on.leave
		}
		for s, err := range watch(ctx, o, a, watchEvery) {
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

// watchPatience is how long a campaign is watched without an answer.
const watchPatience = time.Minute

// watch yields how a campaign gets on, now and at every so often, until ctx
// ends. An error is its last item; one that may pass is waited for.
func watch(ctx context.Context, o *queue.Organizer, a queue.Address, every time.Duration) iter.Seq2[queue.CampaignStatus, error] {
	return func(yield func(queue.CampaignStatus, error) bool) {
		tick := time.NewTicker(every)
		defer tick.Stop()
		answered := time.Now()
		for ctx.Err() == nil {
			s, err := o.Status(ctx, a)
			switch {
			case err == nil:
				answered = time.Now()
				if !yield(s, nil) {
					return
				}
			case ctx.Err() != nil:
				return
			case errors.Is(err, queue.ErrNoCampaign), time.Since(answered) > watchPatience:
				yield(s, err)
				return
			}
			select {
			case <-tick.C:
			case <-ctx.Done():
			}
		}
	}
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

// showBlock draws a campaign in place of what was drawn of it before.
func (t *tool) showBlock(on *screen) func(queue.CampaignStatus) error {
	var p pace
	paint := styleOf(t.out)
	return func(s queue.CampaignStatus) error {
		p.note(time.Now(), s.Sent+s.DeadRecipients())
		return on.draw(paint, func(width int) []line { return t.block(s, p.perSecond(), width) })
	}
}

// block is what is drawn of a campaign: first what matters most, so that it is left on a low screen.
func (t *tool) block(s queue.CampaignStatus, perSecond float64, width int) (b []line) {
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
	return append(b, line{{paceText(s, perSecond), plain}})
}

func prefixed(prefix, text string) string {
	if text == "" {
		return ""
	}
	return prefix + text
}

// paceText is how fast it goes now, and how long it takes at that.
func paceText(s queue.CampaignStatus, perSecond float64) string {
	switch {
	case over(s) || s.State == queue.CampaignEnded:
		if s.FirstEndedAt.IsZero() {
			return ""
		}
		return "took " + span(s.LastEndedAt.Sub(s.FirstEndedAt))
	case perSecond == 0:
		return "now 0/s"
	case !s.Ordered || s.Terms.Paused || s.Terms.Cancelled:
		return fmt.Sprintf("now %.1f/s", perSecond)
	default:
		left := time.Duration(float64(s.Left) / perSecond * float64(time.Second))
		return fmt.Sprintf("now %.1f/s, about %s left at that", perSecond, span(left))
	}
}

// pace is how fast a campaign gets on, by what was seen of it lately.
type pace struct{ seen []glimpse }

type glimpse struct {
	at    time.Time
	ended int // recipients
}

// paceOver is what a pace is taken over: a quota lets through much at once, and then nothing for a while.
const paceOver = 30 * time.Second

func (p *pace) note(at time.Time, ended int) {
	p.seen = append(p.seen, glimpse{at, ended})
	for len(p.seen) > 2 && at.Sub(p.seen[1].at) >= paceOver {
		p.seen = p.seen[1:]
	}
}

// perSecond is 0 until something has ended.
func (p *pace) perSecond() float64 {
	first, last := p.seen[0], p.seen[len(p.seen)-1]
	if !last.at.After(first.at) || last.ended <= first.ended {
		return 0
	}
	return float64(last.ended-first.ended) / last.at.Sub(first.at).Seconds()
}
