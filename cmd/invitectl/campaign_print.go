package main

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/invitedhq/invited/queue"
)

// campaignItem is a campaign's status as --json prints it.
type campaignItem struct {
	Campaign       string               `json:"campaign"`
	TitleID        uint32               `json:"titleId"`
	Sender         string               `json:"sender"`
	State          queue.CampaignState  `json:"state"`
	Paused         bool                 `json:"paused"`             // an upload goes on meanwhile
	RateLimit      float64              `json:"rateLimit,omitzero"` // recipients per second
	StartAt        time.Time            `json:"startAt,omitzero"`
	Recipients     *int                 `json:"recipients"` // null: not known
	Uploaded       *int                 `json:"uploaded"`
	Sent           int                  `json:"sent"`
	Dead           int                  `json:"dead"`
	DeadByReason   map[queue.Reason]int `json:"deadByReason"`
	Cancelled      int                  `json:"cancelled"`
	Left           *int                 `json:"left"`
	Replayed       int                  `json:"replayed"`
	Waiting        int                  `json:"waitingJobs"`
	Ended          int                  `json:"endedJobs"`
	NoJobs         int                  `json:"noJobs"`
	MaybeDuplicate int                  `json:"maybeDuplicateJobs"`
	CreatedAt      time.Time            `json:"createdAt,omitzero"`
	ExpiresAt      time.Time            `json:"expiresAt,omitzero"`
	TermsChangedAt time.Time            `json:"termsChangedAt,omitzero"`
	FirstEndedAt   time.Time            `json:"firstEndedAt,omitzero"`
	LastEndedAt    time.Time            `json:"lastEndedAt,omitzero"`
	Complete       bool                 `json:"complete"`

	LeastSecondsLeft *float64      `json:"leastSecondsLeft,omitzero"` // absent: not known, or ended
	Forecast         *forecastItem `json:"forecast,omitzero"`
}

func itemOfCampaign(s queue.CampaignStatus) campaignItem {
	item := campaignItem{
		Campaign: s.Address.Campaign, TitleID: s.Address.TitleID, Sender: s.Address.Sender,
		State: s.State, Paused: s.Terms.Paused, RateLimit: s.Terms.Rate, StartAt: s.Terms.StartAt.UTC(),
		Sent: s.Sent, Dead: s.DeadRecipients(), DeadByReason: s.Dead, Cancelled: s.Cancelled, Replayed: s.Replayed,
		Waiting: s.Waiting, Ended: s.Jobs, NoJobs: s.NoJobs, MaybeDuplicate: s.MaybeDuplicate,
		CreatedAt: s.CreatedAt.UTC(), ExpiresAt: s.ExpiresAt.UTC(), TermsChangedAt: s.TermsChanged.UTC(),
		FirstEndedAt: s.FirstEndedAt.UTC(), LastEndedAt: s.LastEndedAt.UTC(), Complete: s.Complete,
	}
	if s.Ordered {
		item.Recipients, item.Uploaded, item.Left = &s.Recipients, &s.Uploaded, &s.Left
	}
	return item
}

// stateColour is green where a campaign gets on by itself, and yellow where it waits for somebody.
func stateColour(s queue.CampaignState) colour {
	switch s {
	case queue.CampaignSending, queue.CampaignEnded:
		return green
	case queue.CampaignPaused, queue.CampaignUploading:
		return yellow
	case queue.CampaignCancelling, queue.CampaignCancelled:
		return red
	default:
		return plain
	}
}

// stateText is the state, and what the state alone does not say.
func stateText(s queue.CampaignStatus) string {
	text := string(s.State)
	if s.Terms.Paused && s.State != queue.CampaignPaused && !over(s) { // it is uploading, or more may be published by hand
		text += ", paused"
	}
	return text
}

// deadCell is red where somebody is dead.
func deadCell(dead int, text string) cell {
	if dead == 0 {
		return cell{text: text}
	}
	return cell{text, red}
}

func (t *tool) printCampaigns(all []queue.CampaignStatus) error {
	if t.json {
		for _, s := range all {
			if err := t.printJSON(itemOfCampaign(s)); err != nil {
				return err
			}
		}
		return nil
	}
	if len(all) == 0 {
		_, err := fmt.Fprintln(t.errOut, "no campaigns")
		return err
	}
	list := table{
		head: []string{
			"CAMPAIGN", "TITLE", "SENDER", "STATE",
			"RECIPIENTS", "SENT", "DEAD", "CANCELLED", "LEFT", "JOBS WAITING", "RATE LIMIT", "START",
		},
		right: []bool{1: true, 4: true, 5: true, 6: true, 7: true, 8: true, 9: true, 10: true, 11: false},
	}
	unsure := false
	for _, s := range all {
		list.add(t.campaignRow(s)...)
		unsure = unsure || !s.Complete
	}
	err := list.write(t.out, styleOf(t.out))
	if unsure {
		fmt.Fprintln(t.errOut, "Some counts may be too low; campaign status says which.")
	}
	return err
}

func (t *tool) campaignRow(s queue.CampaignStatus) []cell {
	recipients, left, cancelled := "?", "?", ""
	if s.Ordered {
		recipients, left = grouped(s.Recipients), grouped(s.Left)
	}
	if s.Terms.Cancelled {
		cancelled = grouped(s.Cancelled)
	}
	dead := s.DeadRecipients()
	return []cell{
		{text: s.Address.Campaign}, {text: strconv.FormatUint(uint64(s.Address.TitleID), 10)}, {text: s.Address.Sender},
		{stateText(s), stateColour(s.State)},
		{text: recipients}, {text: grouped(s.Sent)}, deadCell(dead, grouped(dead)), {text: cancelled}, {text: left},
		{text: grouped(s.Waiting)}, {text: limitText(s)}, {text: t.startText(s)},
	}
}

// limitText is the rate that a campaign is limited to, while that matters.
func limitText(s queue.CampaignStatus) string {
	if s.Terms.Rate == 0 || over(s) {
		return ""
	}
	return rateText(s.Terms.Rate)
}

// startText is before when a campaign sends nothing, while that matters.
func (t *tool) startText(s queue.CampaignStatus) string {
	if s.Terms.StartAt.IsZero() || over(s) || s.Jobs > 0 || s.State == queue.CampaignWaiting {
		return ""
	}
	return t.when(s.Terms.StartAt)
}

// over says whether nothing more will come of a campaign. One without an order may go on.
func over(s queue.CampaignStatus) bool {
	return s.State == queue.CampaignCancelled || s.State == queue.CampaignEnded && s.Ordered
}

// printCampaign prints a status, and how long what is left takes; nil: not known.
func (t *tool) printCampaign(s queue.CampaignStatus, left *queue.Forecast) error {
	if t.json {
		item := itemOfCampaign(s)
		if left != nil {
			item.LeastSecondsLeft, item.Forecast = leastSeconds(*left), itemOfForecast(*left, quotaOf(*left))
		}
		return t.printJSON(item)
	}
	var list table
	row := func(name string, c colour, format string, args ...any) {
		list.add(cell{text: name}, cell{fmt.Sprintf(format, args...), c})
	}
	t.addTerms(row, s)
	addCounts(row, s)
	if left != nil {
		row("time left", plain, "%s", timeLeftInWords(s, *left))
		for _, r := range t.forecastRows(*left, quotaOf(*left)) {
			row(r.name, plain, "%s", r.text)
		}
	}
	t.addTimes(row, s)
	err := list.write(t.out, styleOf(t.out))
	if left != nil {
		err = errors.Join(err, t.printUnsure(*left))
	}
	if !s.Complete {
		_, noteErr := fmt.Fprintln(t.out, "The counts may be too low: no worker ran for so long that results were removed "+
			"before they were summed up.")
		err = errors.Join(err, noteErr)
	}
	return err
}

// addRow adds a row of a name and a text to what is printed.
type addRow func(name string, c colour, format string, args ...any)

// addTerms adds which campaign it is, and what it is at.
func (t *tool) addTerms(row addRow, s queue.CampaignStatus) {
	row("campaign", plain, "%s", s.Address.Campaign)
	row("title", plain, "%d", s.Address.TitleID)
	row("sender", plain, "%s", s.Address.Sender)
	row("state", stateColour(s.State), "%s", stateText(s))
	if s.State == queue.CampaignUploading {
		row("uploaded", plain, "%s of %s; if nobody is at it, run the same campaign start again",
			grouped(s.Uploaded), grouped(s.Recipients))
	}
	if starts := t.startText(s); starts != "" {
		row("start", plain, "%s", starts)
	}
	if limit := limitText(s); limit != "" {
		row("rate limit", plain, "%s", limit)
	}
}

// addCounts adds what became of its recipients and jobs.
func addCounts(row addRow, s queue.CampaignStatus) {
	if s.Ordered {
		row("recipients", plain, "%s", grouped(s.Recipients))
	} else {
		row("recipients", plain, "unknown: its jobs were published one by one; %s have ended",
			grouped(s.Sent+s.DeadRecipients()-s.Replayed))
	}
	row("sent", plain, "%s", counted(s.Sent, s))
	row("dead", deadCell(s.DeadRecipients(), "").colour, "%s%s", counted(s.DeadRecipients(), s), reasons(s.Dead))
	if s.Terms.Cancelled {
		row("cancelled", plain, "%s", counted(s.Cancelled, s))
	}
	if s.Ordered {
		row("left", plain, "%s", counted(s.Left, s))
	}
	row("jobs", plain, "%s waiting, %s ended", grouped(s.Waiting), grouped(s.Jobs))
	if s.Replayed > 0 {
		row("replayed", plain, "%s ended again: they are among the dead, and once more among sent or dead", plural(s.Replayed, "recipient"))
	}
	if s.NoJobs > 0 {
		row("no jobs", plain, "%s; their recipients can't be counted", plural(s.NoJobs, "message"))
	}
	if s.MaybeDuplicate > 0 {
		row("maybe twice", plain, "%s; some of their recipients may have been sent once more than is counted",
			plural(s.MaybeDuplicate, "job"))
	}
}

func (t *tool) addTimes(row addRow, s queue.CampaignStatus) {
	for _, of := range []struct {
		name string
		at   time.Time
	}{
		{"created", s.CreatedAt}, {"expires", s.ExpiresAt}, {"changed", s.TermsChanged},
		{"first ended", s.FirstEndedAt}, {"last ended", s.LastEndedAt},
	} {
		if !of.at.IsZero() {
			row(of.name, plain, "%s", t.when(of.at))
		}
	}
}

// sentence is how a campaign stands, in a line: "cup: paused; 1,234 of 100,000 sent, 98,766 left".
func (t *tool) sentence(s queue.CampaignStatus) string {
	text := s.Address.Campaign + ": "
	switch s.State {
	case "": // see statusToSteer
		return text + "how it stands can't be told"
	case queue.CampaignCancelling:
		text += "being cancelled"
	case queue.CampaignScheduled:
		text += "scheduled for " + t.when(s.Terms.StartAt)
	default:
		text += stateText(s)
		if starts := t.startText(s); starts != "" && s.Terms.Paused {
			text += ", and not to start before " + starts
		}
	}
	if limit := limitText(s); limit != "" {
		text += ", at most " + limit
	}
	return text + "; " + figures(s)
}

// figures are what became of a campaign's recipients up to now.
func figures(s queue.CampaignStatus) string {
	text := grouped(s.Sent)
	if s.Ordered {
		text += " of " + grouped(s.Recipients)
	}
	text += " sent"
	if dead := s.DeadRecipients(); dead > 0 {
		text += fmt.Sprintf(", %s dead (%s)", grouped(dead), reasonsOf(s.Dead))
	}
	if s.Terms.Cancelled {
		text += ", " + grouped(s.Cancelled) + " dropped"
	}
	switch {
	case s.State == queue.CampaignCancelled:
	case s.Ordered:
		text += ", " + grouped(s.Left) + " left"
	default:
		text += ", " + plural(s.Waiting, "job") + " waiting"
	}
	return text
}

// counted is a number, and its part of the campaign's recipients.
func counted(n int, s queue.CampaignStatus) string {
	if !s.Ordered {
		return grouped(n)
	}
	return grouped(n) + " (" + share(n, s.Recipients) + ")"
}

func reasons(dead map[queue.Reason]int) string {
	if len(dead) == 0 {
		return ""
	}
	return ": " + reasonsOf(dead)
}

func reasonsOf(dead map[queue.Reason]int) string {
	var parts []string
	for _, r := range slices.Sorted(maps.Keys(dead)) {
		parts = append(parts, string(r)+" "+grouped(dead[r]))
	}
	return strings.Join(parts, ", ")
}
