package console

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/invitedhq/invited/cmd/internal/cli"
	"github.com/invitedhq/invited/queue"
)

// actsOf are the changes that make sense.
func actsOf(s queue.CampaignStatus) []act {
	if s.Terms.Cancelled || s.State == queue.CampaignEnded && s.Ordered {
		return nil
	}
	cancel := act{"cancel", "Cancel…", "danger"}
	if s.Terms.Paused {
		return []act{{"resume", "Resume…", "primary"}, cancel}
	}
	return []act{{"pause", "Pause…", ""}, cancel}
}

// askPage asks whether somebody means it.
type askPage struct {
	Question string
	Words    []string
	Post     string
	Button   string
	Class    string
	Back     string
	Fields   []field
	Actions  bool
}

type field struct{ Name, Value string }

// steering are the changes of a campaign.
var steering = map[string]struct {
	label, class, words string
	do                  func(*queue.Organizer, context.Context, queue.Address) (queue.CampaignTerms, error)
}{
	"pause": {
		"Pause", "primary", "No worker makes a new call for it from a second later on. Calls in flight are finished, and counted. " +
			"What expires meanwhile is dead-lettered when it goes on.", (*queue.Organizer).Pause,
	},
	"resume": {
		"Resume", "primary", "Workers go on with it at once, as fast as its quota and its own rate allow.", (*queue.Organizer).Resume,
	},
	"cancel": {
		"Cancel for good", "danger", "What is unsent is dropped, for good: nobody can resume it, and nobody can list afterwards who was " +
			"sent. Pause it if you are not sure.", (*queue.Organizer).Cancel,
	},
}

func (c *Console) askCampaign(ctx context.Context, r *running, req *http.Request) (*page, error) {
	how, known := steering[req.PathValue("do")]
	if !known {
		return nil, notFound("There is no such page.")
	}
	a, err := c.addressOf(ctx, r, req)
	if err != nil {
		return nil, err
	}
	s, _, err := r.standing(ctx, a, false)
	if errors.Is(err, queue.ErrNoCampaign) {
		return nil, notFound("There is no such campaign, or none any more.")
	}
	ask := askPage{
		Question: fmt.Sprintf("%s %s?", how.label, cli.Printable(a.Campaign)), Button: how.label, Class: how.class,
		Words: []string{how.words}, Post: c.pathOf(a) + "/" + req.PathValue("do"), Back: c.pathOf(a), Actions: c.opts.Admin.Actions,
	}
	switch {
	case err != nil: // a record that can't be read must not keep anybody from stopping a campaign
		ask.Words = append(ask.Words, "How it stands can't be told: "+c.text(err.Error()))
	case s.Ordered:
		ask.Words = append(ask.Words, fmt.Sprintf("Title %d, sender %s: %s; %s of %s sent, %s left.", a.TitleID, c.sender(a.Sender),
			stateText(s), grouped(s.Sent), plural(s.Recipients, "recipient"), grouped(s.Left)))
	default:
		ask.Words = append(ask.Words, fmt.Sprintf("Title %d, sender %s: %s; %s sent, %s waiting.", a.TitleID, c.sender(a.Sender),
			stateText(s), plural(s.Sent, "recipient"), plural(s.Waiting, "job")))
	}
	return &page{Title: ask.Question, Here: "/campaigns", Template: "ask", Data: ask}, nil
}

// steer changes what is wanted of a campaign.
func (c *Console) steer(ctx context.Context, r *running, req *http.Request) (*page, error) {
	how, known := steering[req.PathValue("do")]
	if !known {
		return nil, notFound("There is no such change.")
	}
	a, err := c.addressOf(ctx, r, req)
	if err != nil {
		return nil, err
	}
	o, err := r.theOrganizer(ctx)
	if err != nil {
		return nil, err
	}
	_, err = how.do(o, ctx, a)
	c.did(req, err, "campaign "+req.PathValue("do"), "campaign", a.Campaign, "title", a.TitleID, "sender", c.sender(a.Sender))
	if err != nil {
		return nil, err
	}
	r.forget(a)
	return &page{Goto: c.pathOf(a)}, nil
}
