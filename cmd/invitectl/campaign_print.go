package main

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/invitedhq/invited/queue"
)

// campaignItem is a campaign's status as --json prints it.
type campaignItem struct {
	Campaign       string               `json:"campaign"`
	TitleID        uint32               `json:"titleId"`
	Sender         string               `json:"sender"`
	State          queue.CampaignState  `json:"state"`
	Recipients     *int                 `json:"recipients"` // null: not known
	Uploaded       *int                 `json:"uploaded"`
	Sent           int                  `json:"sent"`
	Dead           int                  `json:"dead"`
	DeadByReason   map[queue.Reason]int `json:"deadByReason"`
	Left           *int                 `json:"left"`
	Replayed       int                  `json:"replayed"`
	Waiting        int                  `json:"waitingJobs"`
	Ended          int                  `json:"endedJobs"`
	NoJobs         int                  `json:"noJobs"`
	MaybeDuplicate int                  `json:"maybeDuplicateJobs"`
	CreatedAt      time.Time            `json:"createdAt,omitzero"`
	ExpiresAt      time.Time            `json:"expiresAt,omitzero"`
	FirstEndedAt   time.Time            `json:"firstEndedAt,omitzero"`
	LastEndedAt    time.Time            `json:"lastEndedAt,omitzero"`
	Complete       bool                 `json:"complete"`

	LeastSecondsLeft *float64      `json:"leastSecondsLeft,omitzero"` // absent: not known, or ended
	Forecast         *forecastItem `json:"forecast,omitzero"`
}

func itemOfCampaign(s queue.CampaignStatus) campaignItem {
	item := campaignItem{
		Campaign: s.Address.Campaign, TitleID: s.Address.TitleID, Sender: s.Address.Sender, State: s.State,
		Sent: s.Sent, Dead: s.DeadRecipients(), DeadByReason: s.Dead, Replayed: s.Replayed,
		Waiting: s.Waiting, Ended: s.Jobs, NoJobs: s.NoJobs,
		MaybeDuplicate: s.MaybeDuplicate, CreatedAt: s.CreatedAt, ExpiresAt: s.ExpiresAt,
		FirstEndedAt: s.FirstEndedAt, LastEndedAt: s.LastEndedAt, Complete: s.Complete,
	}
	if s.Ordered {
		item.Recipients, item.Uploaded, item.Left = &s.Recipients, &s.Uploaded, &s.Left
	}
	return item
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
	table := tabwriter.NewWriter(t.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "CAMPAIGN\tTITLE\tSENDER\tSTATE\tRECIPIENTS\tSENT\tDEAD\tLEFT\tJOBS WAITING")
	unsure := false
	for _, s := range all {
		recipients, left := "?", "?"
		if s.Ordered {
			recipients, left = strconv.Itoa(s.Recipients), strconv.Itoa(s.Left)
		}
		unsure = unsure || !s.Complete
		fmt.Fprintf(table, "%s\t%d\t%s\t%s\t%s\t%d\t%d\t%s\t%d\n", s.Address.Campaign, s.Address.TitleID, s.Address.Sender, s.State,
			recipients, s.Sent, s.DeadRecipients(), left, s.Waiting)
	}
	err := table.Flush()
	if unsure {
		fmt.Fprintln(t.errOut, "Some counts may be too low; campaign status says which.")
	}
	return err
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
	table := tabwriter.NewWriter(t.out, 0, 0, 2, ' ', 0)
	row := func(name, format string, args ...any) {
		fmt.Fprintf(table, "%s\t%s\n", name, fmt.Sprintf(format, args...))
	}
	at := func(name string, at time.Time) {
		if !at.IsZero() {
			row(name, "%s", at.UTC().Format(time.RFC3339))
		}
	}
	row("campaign", "%s", s.Address.Campaign)
	row("title", "%d", s.Address.TitleID)
	row("sender", "%s", s.Address.Sender)
	row("state", "%s", s.State)
	if s.State == queue.CampaignUploading {
		row("uploaded", "%d of %d; if nobody is at it, run the same campaign start again", s.Uploaded, s.Recipients)
	}
	if s.Ordered {
		row("recipients", "%d", s.Recipients)
	} else {
		row("recipients", "unknown: its jobs were published one by one; %d have ended", s.Sent+s.DeadRecipients()-s.Replayed)
	}
	row("sent", "%s", counted(s.Sent, s))
	row("dead", "%s%s", counted(s.DeadRecipients(), s), reasons(s.Dead))
	if s.Ordered {
		row("left", "%s", counted(s.Left, s))
	}
	row("jobs", "%d waiting, %d ended", s.Waiting, s.Jobs)
	if s.Replayed > 0 {
		row("replayed", "%s ended again: they are among the dead, and once more among sent or dead", plural(s.Replayed, "recipient"))
	}
	if s.NoJobs > 0 {
		row("no jobs", "%s; their recipients can't be counted", plural(s.NoJobs, "message"))
	}
	if s.MaybeDuplicate > 0 {
		row("maybe twice", "%s; some of their recipients may have been sent twice", plural(s.MaybeDuplicate, "job"))
	}
	if left != nil {
		row("time left", "%s", timeInWords(*left))
		printForecast(table, *left, quotaOf(*left))
	}
	at("created", s.CreatedAt)
	at("expires", s.ExpiresAt)
	at("first ended", s.FirstEndedAt)
	at("last ended", s.LastEndedAt)
	err := table.Flush()
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

// counted is a number, and its part of the campaign's recipients.
func counted(n int, s queue.CampaignStatus) string {
	if !s.Ordered {
		return strconv.Itoa(n)
	}
	return fmt.Sprintf("%d (%.1f %%)", n, 100*float64(n)/float64(s.Recipients))
}

func reasons(dead map[queue.Reason]int) string {
	if len(dead) == 0 {
		return ""
	}
	var parts []string
	for _, r := range slices.Sorted(maps.Keys(dead)) {
		parts = append(parts, fmt.Sprintf("%s %d", r, dead[r]))
	}
	return ": " + strings.Join(parts, ", ")
}
