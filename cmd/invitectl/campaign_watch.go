package main

import (
	"context"
	"fmt"
	"reflect"
	"slices"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/spf13/cobra"

	"github.com/invitedhq/invited/queue"
)

func newCampaignWatchCommand(t *tool) *cobra.Command {
	return t.namesOne(&cobra.Command{
		Use:   "watch NAME",
		Short: "Show how a campaign gets on, as it does",
		Long: `watch shows a campaign until it has ended, or is cancelled, or until Ctrl-C. At a terminal it redraws one block; elsewhere it
prints a line whenever something has changed, and with --json the same as status does, but for the time left.`,
		Example: `  invitectl campaign watch spring-cup
  invitectl campaign watch spring-cup --json | jq .left`,
	}, func(ctx context.Context, f queue.CampaignFilter) error {
		return t.organizeOver(ctx, func(conn *nats.Conn, o *queue.Organizer) error {
			a, err := one(ctx, o, f)
			if err != nil {
				return err
			}
			return t.watchCampaign(ctx, conn, o, a)
		})
	})
}

// watchEvery is how often what is watched is looked at.
const watchEvery = time.Second

// watchCampaign shows a campaign until it is over, or the context ends. The connection tells when what is shown is old.
func (t *tool) watchCampaign(ctx context.Context, conn *nats.Conn, o *queue.Organizer, a queue.Address) error {
	show, lost, leave := t.showLine(), t.tellLost, func() {}
	if out := drawable(t.out); out != nil && !t.json {
		b := &blockShown{on: newScreen(out), paint: styleOf(t.out)}
		show, lost, leave = t.showBlock(ctx, o, b), b.setLost, b.on.leave
	}
	conn.SetDisconnectErrHandler(func(_ *nats.Conn, err error) {
		if err != nil { // nil: this side closed it
			lost(true)
		}
	})
	conn.SetReconnectHandler(func(*nats.Conn) { lost(false) })
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
}

// tellLost says why nothing is printed, and not that there is something to print again.
func (t *tool) tellLost(lost bool) {
	if lost {
		fmt.Fprintln(t.errOut, "invitectl: the connection to NATS is lost; it is tried again for a minute")
	}
}

// blockShown is the block that is drawn of a campaign. It is safe for concurrent use.
type blockShown struct {
	on    *screen
	paint style

	mu    sync.Mutex
	block func(width int) []line // nil: nothing was drawn
	lost  bool                   // the connection: the figures may be old
}

func (b *blockShown) set(block func(width int) []line) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.block = block
	return b.draw()
}

func (b *blockShown) setLost(lost bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.lost = lost; b.block != nil {
		_ = b.draw() // the next one says what is wrong
	}
}

func (b *blockShown) draw() error {
	return b.on.draw(b.paint, func(width int) []line {
		lines := b.block(width)
		if b.lost {
			lines = slices.Insert(lines, 1, line{{"no connection to NATS: this is how it stood", yellow}})
		}
		return lines
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
func (t *tool) showBlock(ctx context.Context, o *queue.Organizer, b *blockShown) func(queue.CampaignStatus) error {
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
		return b.set(func(width int) []line { return t.block(s, left, width) })
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
