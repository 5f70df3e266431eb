package console

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/invitedhq/invited/cmd/internal/cli"
	"github.com/invitedhq/invited/queue"
)

const (
	// maxCampaigns is how many a list has; each costs some requests.
	maxCampaigns = 200
	// standingFresh is how old a campaign's status may be on a page; standingCost how much longer than a look at it took it is
	// believed, so that many of them do not keep a server busy.
	standingFresh = time.Second
	standingCost  = 20
	// overFresh is how long that of a campaign is believed of which nothing waits any more.
	overFresh = 15 * time.Second
)

// followed is a campaign that somebody has looked at lately.
type followed struct {
	*queue.Follower

	mu      sync.Mutex
	status  queue.CampaignStatus
	left    *queue.Forecast // nil: not known
	until   time.Time       // believed until then
	visited time.Time
}

// standing says how a campaign stands. The forecast costs more requests, and is asked for where one campaign alone is shown.
func (r *running) standing(ctx context.Context, a queue.Address, forecast bool) (queue.CampaignStatus, *queue.Forecast, error) {
	o, err := r.theOrganizer(ctx)
	if err != nil {
		return queue.CampaignStatus{}, nil, err
	}
	f := r.follow(o, a)
	f.mu.Lock()
	defer f.mu.Unlock()
	if now := time.Now(); now.Before(f.until) && (!forecast || f.left != nil || over(f.status)) {
		return f.status, f.left, nil
	}
	began := time.Now()
	if f.status, err = f.Status(ctx); err != nil {
		return queue.CampaignStatus{}, nil, err
	}
	f.left = nil
	if forecast && !over(f.status) {
		if left, err := o.TimeLeft(ctx, f.status); err == nil {
			f.left = &left
		}
	}
	fresh := standingFresh
	if over(f.status) {
		fresh = overFresh
	}
	f.until = time.Now().Add(max(fresh, standingCost*time.Since(began)))
	return f.status, f.left, nil
}

func (r *running) follow(o *queue.Organizer, a queue.Address) *followed {
	r.mu.Lock()
	defer r.mu.Unlock()
	f := r.followers[a]
	if f == nil {
		for other, old := range r.followers { // those that nobody looks at are few, and each is some kilobytes
			if time.Since(old.visited) > keptFor {
				delete(r.followers, other)
			}
		}
		f = &followed{Follower: o.Follow(a)}
		r.followers[a] = f
	}
	f.visited = time.Now()
	return f
}

// forget has a campaign looked at again: something was changed.
func (r *running) forget(a queue.Address) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.followers, a)
}

// over says whether nothing more will come of a campaign, unless somebody publishes more.
func over(s queue.CampaignStatus) bool {
	return s.State == queue.CampaignCancelled || s.State == queue.CampaignEnded
}

// campaignsPage is a list of them.
type campaignsPage struct {
	Filter  string
	Rows    []campaignRow
	All     int
	Problem string
}

type campaignRow struct {
	Name, Sender string
	TitleID      uint32
	Path         string
	State        string
	Class        string
	Ordered      bool
	Recipients   string
	Sent         string
	Dead         string
	HasDead      bool
	Left         string
	Rate         string
	Bar          bar
}

// bar is a progress bar: parts of 1000.
type bar struct {
	Sent, Dead, Cancelled, DeadAt, CancelledAt float64
	Known                                      bool
	Words                                      string
}

func barOf(s queue.CampaignStatus) bar {
	if !s.Ordered || s.Recipients == 0 {
		return bar{Words: "of ?"}
	}
	part := func(n int) float64 { return 1000 * float64(n) / float64(s.Recipients) }
	dead := max(s.DeadRecipients()-s.Replayed, 0)
	b := bar{Known: true, Sent: min(part(s.Sent), 1000), Dead: part(dead), Cancelled: part(s.Cancelled)}
	b.DeadAt = b.Sent
	b.CancelledAt = min(b.DeadAt+b.Dead, 1000)
	ended := min(s.Sent+dead+s.Cancelled, s.Recipients)
	b.Words = share(ended, s.Recipients)
	return b
}

func (c *Console) campaigns(ctx context.Context, r *running, req *http.Request) (*page, error) {
	filter := strings.TrimSpace(req.URL.Query().Get("q"))
	if len(filter) > queue.MaxName {
		return nil, badAsk(fmt.Sprintf("A name has %d characters at most.", queue.MaxName))
	}
	o, err := r.theOrganizer(ctx)
	if err != nil {
		return nil, err
	}
	all, err := o.Campaigns(ctx, queue.CampaignFilter{})
	if err != nil {
		return nil, err
	}
	data := campaignsPage{Filter: filter, All: len(all)}
	all = slices.DeleteFunc(all, func(a queue.Address) bool {
		return !strings.Contains(a.Campaign, data.Filter) && strconv.FormatUint(uint64(a.TitleID), 10) != data.Filter
	})
	if more := len(all) - maxCampaigns; more > 0 {
		data.Problem = fmt.Sprintf("%s are not listed: look for a part of the name, or a title.", plural(more, "further campaign"))
		all = all[:maxCampaigns]
	}
	type standing struct {
		queue.CampaignStatus
		at time.Time
	}
	var found []standing
	for _, a := range all {
		s, _, err := r.standing(ctx, a, false)
		switch {
		case errors.Is(err, queue.ErrNoCampaign):
		case err != nil:
			data.Problem = "How " + cli.Printable(a.Campaign) + " stands can't be told: " + c.text(err.Error())
		default:
			at := s.LastEndedAt
			if s.CreatedAt.After(at) {
				at = s.CreatedAt
			}
			found = append(found, standing{s, at})
		}
		if ctx.Err() != nil {
			data.Problem = "NATS took too long: not all campaigns are listed. Look for a part of the name."
			break
		}
	}
	slices.SortStableFunc(found, func(a, b standing) int {
		return cmp.Or(cmp.Compare(rankOf(a.CampaignStatus), rankOf(b.CampaignStatus)), b.at.Compare(a.at))
	})
	for _, s := range found {
		data.Rows = append(data.Rows, c.campaignRow(s.CampaignStatus))
	}
	return &page{Title: "Campaigns", Here: "/campaigns", Template: "campaigns", Live: true, Data: data}, nil
}

// rankOf puts those first that go on.
func rankOf(s queue.CampaignStatus) int {
	if over(s) {
		return 1
	}
	return 0
}

func (c *Console) campaignRow(s queue.CampaignStatus) campaignRow {
	row := campaignRow{
		Name: cli.Printable(s.Address.Campaign), Sender: c.sender(s.Address.Sender), TitleID: s.Address.TitleID, Path: c.pathOf(s.Address),
		State: stateText(s), Class: stateClass(s.State), Ordered: s.Ordered, Sent: grouped(s.Sent), Dead: grouped(s.DeadRecipients()),
		HasDead: s.DeadRecipients() > 0, Bar: barOf(s), Recipients: "?", Left: plural(s.Waiting, "job"),
	}
	if s.Ordered {
		row.Recipients, row.Left = grouped(s.Recipients), grouped(s.Left)
	}
	if !over(s) && s.Rate > 0 {
		row.Rate = rate(s.Rate) + "/s"
	}
	return row
}

func (c *Console) pathOf(a queue.Address) string {
	return fmt.Sprintf("/campaigns/%d/%s/%s", a.TitleID, url.PathEscape(c.alias(a.Sender)), url.PathEscape(a.Campaign))
}

func stateText(s queue.CampaignStatus) string {
	text := string(s.State)
	if s.Terms.Paused && s.State != queue.CampaignPaused && !over(s) {
		text += ", paused"
	}
	return text
}

// stateClass is a colour; the state is there in words too.
func stateClass(s queue.CampaignState) string {
	switch s {
	case queue.CampaignSending, queue.CampaignEnded:
		return "good"
	case queue.CampaignPaused, queue.CampaignUploading, queue.CampaignScheduled:
		return "warn"
	case queue.CampaignCancelling, queue.CampaignCancelled:
		return "bad"
	default:
		return "calm"
	}
}

// campaignPage is one of them.
type campaignPage struct {
	campaignRow
	Facts   []fact
	Reasons []deadRow
	DeadURL string
	Curve   chart
	Do      []act // what can be done
	Unsure  []string
}

// fact is a line of a list: words, or a moment.
type fact struct {
	Name, Text string
	At         time.Time
	Class      string
}

// act is a change that can be made.
type act struct{ Name, Label, Class string }

func (c *Console) campaign(ctx context.Context, r *running, req *http.Request) (*page, error) {
	a, err := c.addressOf(ctx, r, req)
	if err != nil {
		return nil, err
	}
	s, left, err := r.standing(ctx, a, true)
	if errors.Is(err, queue.ErrNoCampaign) {
		return nil, notFound("There is no such campaign, or none any more.")
	}
	if err != nil {
		return nil, err
	}
	data := campaignPage{
		campaignRow: c.campaignRow(s), Facts: c.facts(s, left), Curve: curveOf(s, time.Now()), Do: actsOf(s),
		DeadURL: "/dead?" + url.Values{"campaign": {a.Campaign}, "title": {strconv.FormatUint(uint64(a.TitleID), 10)}}.Encode(),
	}
	for _, reason := range queue.Reasons() {
		if n := s.Dead[reason]; n > 0 {
			data.Reasons = append(data.Reasons, deadRow{reason, grouped(n)})
		}
	}
	if !s.Complete {
		data.Unsure = append(data.Unsure,
			"The counts may be too low: no worker ran for so long that results were removed before they were summed up.")
	}
	return &page{Title: data.Name, Here: "/campaigns", Template: "campaign", Live: true, Data: data}, nil
}

// addressOf reads a campaign's address from that of a page.
func (c *Console) addressOf(ctx context.Context, r *running, req *http.Request) (queue.Address, error) {
	title, err := strconv.ParseUint(req.PathValue("title"), 10, 32)
	a := queue.Address{TitleID: uint32(title), Sender: req.PathValue("sender"), Campaign: req.PathValue("campaign")}
	if err == nil && strings.HasPrefix(a.Sender, aliasMark) {
		var o *queue.Organizer
		if o, err = r.theOrganizer(ctx); err != nil {
			return a, err
		}
		all, err := o.Campaigns(ctx, queue.CampaignFilter{TitleID: a.TitleID, Campaign: a.Campaign})
		if err != nil {
			return a, err
		}
		for _, known := range all {
			if c.alias(known.Sender) == a.Sender {
				return known, nil
			}
		}
	}
	if err != nil || a.Validate() != nil {
		return a, notFound("There is no such campaign.")
	}
	return a, nil
}

func (c *Console) facts(s queue.CampaignStatus, left *queue.Forecast) (all []fact) {
	add := func(name, format string, args ...any) {
		all = append(all, fact{Name: name, Text: fmt.Sprintf(format, args...)})
	}
	at := func(name string, t time.Time) {
		if !t.IsZero() {
			all = append(all, fact{Name: name, At: t})
		}
	}
	of := func(n int) string {
		if !s.Ordered {
			return grouped(n)
		}
		return grouped(n) + " (" + share(n, s.Recipients) + ")"
	}
	add("Sent", "%s", of(s.Sent))
	add("Dead", "%s", of(s.DeadRecipients()))
	if s.Ordered {
		add("Left", "%s", of(s.Left))
	}
	if s.Terms.Cancelled {
		add("Dropped", "%s", of(s.Cancelled))
	}
	if !over(s) {
		add("Rate", "%s invites/s lately", rate(s.Rate))
		if s.Terms.Rate > 0 {
			add("Limited to", "%s invites/s", rate(s.Terms.Rate))
		}
		add("Time left", "%s", timeLeft(s, left))
	}
	if s.State == queue.CampaignUploading {
		add("Uploaded", "%s of %s; if nobody is at it, run the same campaign start again", grouped(s.Uploaded), grouped(s.Recipients))
	}
	add("Jobs", "%s waiting, %s ended", grouped(s.Waiting), grouped(s.Jobs))
	if s.Replayed > 0 {
		add("Replayed", "%s ended again: they are among the dead, and once more among sent or dead", plural(s.Replayed, "recipient"))
	}
	if s.NoJobs > 0 {
		add("No jobs", "%s; their recipients can't be counted", plural(s.NoJobs, "message"))
	}
	if s.MaybeDuplicate > 0 {
		add("Maybe twice", "%s; some of their recipients may have been sent once more than is counted", plural(s.MaybeDuplicate, "job"))
	}
	at("Starts", startOf(s))
	at("Created", s.CreatedAt)
	at("Expires", s.ExpiresAt)
	at("Changed", s.TermsChanged)
	at("First ended", s.FirstEndedAt)
	at("Last ended", s.LastEndedAt)
	return all
}

func startOf(s queue.CampaignStatus) time.Time {
	if s.State != queue.CampaignScheduled {
		return time.Time{}
	}
	return s.Terms.StartAt
}

// timeLeft is never better than what is known: least, unless it is all known.
func timeLeft(s queue.CampaignStatus, left *queue.Forecast) string {
	if left == nil || left.Basis == queue.ByNothing {
		return "not known"
	}
	words := "at least "
	if left.Rough {
		words = "about "
	}
	words += span(left.Least)
	if s.Terms.Paused {
		return "paused; once resumed " + words
	}
	return words
}

// curveOf draws how many had ended, over a campaign's life.
func curveOf(s queue.CampaignStatus, now time.Time) chart {
	count := func(v float64) string { return grouped(int(v)) }
	begin := now
	if len(s.History) > 0 {
		begin = s.History[0].At
	}
	if !s.CreatedAt.IsZero() && s.CreatedAt.Before(begin) {
		begin = s.CreatedAt
	}
	end := now
	if over(s) && !s.LastEndedAt.IsZero() {
		end = s.LastEndedAt
	}
	sent, dead := []point{{begin, 0}}, []point{{begin, 0}}
	for _, m := range s.History {
		if m.At.After(end) {
			m.At = end
		}
		sent = append(sent, point{m.At, float64(m.Sent)})
		dead = append(dead, point{m.At, float64(m.Dead)})
	}
	return drawOver("Recipients that ended", "", begin, end, count, line{"sent", "c1", sent}, line{"dead", "c3", dead})
}
