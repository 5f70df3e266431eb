package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/invitedhq/invited/cmd/internal/cli"
	"github.com/invitedhq/invited/queue"
)

// publishedQuota is the service's, as its makers publish it.
const publishedQuota = "7/15s,50/300s"

// parseQuota reads windows such as 7/15s,50/300s; none: an empty text.
func parseQuota(text string) (windows []queue.Window, err error) {
	if text == "" {
		return nil, nil
	}
	for part := range strings.SplitSeq(text, ",") {
		w, err := parseWindow(strings.TrimSpace(part))
		if err != nil {
			return nil, err
		}
		windows = append(windows, w)
	}
	if len(windows) > maxWindows {
		return nil, fmt.Errorf("%d windows; at most %d can be configured", len(windows), maxWindows)
	}
	return windows, nil
}

// What a worker can be configured with.
const (
	maxWindows     = 16
	maxWindowCalls = 1_000_000
	maxWindow      = 24 * time.Hour
)

func parseWindow(text string) (w queue.Window, err error) {
	calls, per, _ := strings.Cut(text, "/")
	if w.Max, err = strconv.Atoi(calls); err != nil || w.Max < 1 || w.Max > maxWindowCalls {
		return w, fmt.Errorf("%s is not calls/time, such as 7/15s, with 1 to %d calls", strconv.Quote(text), maxWindowCalls)
	}
	if w.Per, err = time.ParseDuration(per); err != nil || w.Per < time.Millisecond || w.Per > maxWindow {
		return w, fmt.Errorf("%s is not calls/time, such as 7/15s, with a time from 1ms to 24h", strconv.Quote(text))
	}
	return w, nil
}

// quotaFrom says where a quota is from. The set is closed.
type quotaFrom string

const (
	fromFlag      quotaFrom = "flag"
	fromWorkers   quotaFrom = "workers"   // as they are configured
	fromRefusals  quotaFrom = "learnt"    // by the workers
	fromPublisher quotaFrom = "published" // by the service's makers; a guess
	fromNobody    quotaFrom = ""          // none is known
)

// quotaOf says where a quota is from that workers keep.
func quotaOf(f queue.Forecast) quotaFrom {
	switch {
	case len(f.Windows) == 0:
		return fromNobody
	case f.Learnt:
		return fromRefusals
	default:
		return fromWorkers
	}
}

// planned is what a dry run knows of a campaign's time.
type planned struct {
	queue.Forecast
	from quotaFrom
}

// forecastPatience is how long a forecast waits for NATS: it is of use without, too.
const forecastPatience = 2 * time.Second

// plan forecasts a campaign at the quota that holds, or that was given. Without
// NATS, or a worker that has said it, the published one is assumed.
func (t *tool) plan(ctx context.Context, o queue.CampaignOrder, recipients int, given []queue.Window) planned {
	out, err := t.outlook(ctx, o.Address)
	if err != nil {
		out = queue.Outlook{At: time.Now()}
		fmt.Fprintf(t.errOut, "What holds for this sender and title now is not known: %s\n", cli.Printable(err.Error()))
	}
	assumed := false
	switch {
	case given != nil:
		out.Windows, out.Key.Learnt = given, nil
	case !out.Announced:
		out.Windows, _ = parseQuota(publishedQuota) // a constant
		assumed = true
	}
	p := planned{Forecast: out.Forecast(queue.Work{Recipients: recipients, PerSecond: o.Rate, StartAt: o.StartAt})}
	p.from = quotaOf(p.Forecast)
	switch {
	case given != nil:
		p.from = fromFlag
	case assumed && !p.Learnt:
		p.from = fromPublisher
	}
	return p
}

// outlook asks NATS, and not for long. A refusal does not end the command.
func (t *tool) outlook(ctx context.Context, a queue.Address) (out queue.Outlook, err error) {
	ctx, cancel := context.WithTimeout(ctx, forecastPatience)
	defer cancel()
	ctx, refuse := context.WithCancelCause(ctx)
	defer refuse(nil)
	o := t.connectOptions()
	o.Timeout, o.Refused = forecastPatience, func(err *queue.AccessError) { refuse(err) }
	conn, err := connectWith(o)
	if err != nil {
		return out, err
	}
	defer conn.Close()
	organizer, err := queue.NewOrganizer(ctx, conn)
	if err == nil {
		out, err = organizer.Outlook(ctx, a)
	}
	if refused, ok := errors.AsType[*queue.AccessError](context.Cause(ctx)); ok && err != nil {
		err = refused
	}
	return out, err
}

// timeLeft forecasts what is left of a campaign; nil: nothing is, or it can't be known.
func (t *tool) timeLeft(ctx context.Context, s queue.CampaignStatus) *queue.Forecast {
	if s.State == queue.CampaignEnded || s.Terms.Cancelled {
		return nil
	}
	out, err := t.outlook(ctx, s.Address)
	if err != nil {
		fmt.Fprintf(t.errOut, "The time left is not known: %s\n", cli.Printable(err.Error()))
		return nil
	}
	return new(out.Forecast(s.Work(out.At)))
}

// forecastItem is a forecast as --json prints it.
type forecastItem struct {
	Basis             queue.Basis         `json:"basis"` // what it goes by: quota, limit, rate; empty: no time is known
	Calls             int                 `json:"calls"`
	LeastSeconds      *float64            `json:"leastSeconds,omitzero"`
	AloneSeconds      *float64            `json:"aloneSeconds,omitzero"` // without the other campaigns
	Rough             bool                `json:"rough"`                 // it may be less, too
	Quota             string              `json:"quota"`                 // that holds now
	QuotaFrom         quotaFrom           `json:"quotaFrom"`             // flag, workers, learnt or published
	BlockedUntil      time.Time           `json:"blockedUntil,omitzero"`
	Reserve           float64             `json:"reserve,omitzero"` // share of the quota
	ReservedUntil     time.Time           `json:"reservedUntil,omitzero"`
	RecipientsASecond float64             `json:"recipientsPerSecond,omitzero"` // its own limit
	OtherCampaigns    []otherCampaignItem `json:"otherCampaigns"`
}

type otherCampaignItem struct {
	Campaign string `json:"campaign"`
	Waiting  int    `json:"waitingJobs"`
	Raw      bool   `json:"raw"`     // a job may be more than a call, or less
	Limited  bool   `json:"limited"` // to a rate of its own
}

func itemOfForecast(f queue.Forecast, from quotaFrom) *forecastItem {
	item := forecastItem{
		Basis: f.Basis, Calls: f.Calls, LeastSeconds: leastSeconds(f), Rough: f.Rough,
		Quota: queue.WindowsString(f.Windows), QuotaFrom: from,
		BlockedUntil: f.BlockedUntil.UTC(), Reserve: f.Reserve, ReservedUntil: f.ReservedUntil.UTC(), RecipientsASecond: f.PerSecond,
		OtherCampaigns: make([]otherCampaignItem, len(f.Others)),
	}
	if f.Basis == queue.ByQuota || f.Basis == queue.ByLimit {
		item.AloneSeconds = new(f.Alone.Seconds())
	}
	for i, other := range f.Others {
		item.OtherCampaigns[i] = otherCampaignItem{other.Name, other.Jobs, other.Raw, other.Limited}
	}
	return &item
}

// leastSeconds is nil where no time is known.
func leastSeconds(f queue.Forecast) *float64 {
	if f.Basis == queue.ByNothing {
		return nil
	}
	return new(f.Least.Seconds())
}

// forecastRow is one thing that a time depends on.
type forecastRow struct{ name, text string }

func (t *tool) forecastRows(f queue.Forecast, from quotaFrom) (rows []forecastRow) {
	if f.Calls == 0 {
		return nil
	}
	row := func(name, format string, args ...any) {
		rows = append(rows, forecastRow{name, fmt.Sprintf(format, args...)})
	}
	words := map[quotaFrom]string{
		fromFlag: ", as given", fromWorkers: ", as the workers are configured", fromRefusals: ", as the workers have learnt from refusals",
		fromPublisher: ", as the service publishes it; no worker has said what it is configured with", fromNobody: "none is known",
	}
	row("quota", "%s%s", queue.WindowsString(f.Windows), words[from])
	if len(f.Others) > 0 {
		row("in turn with", "%s", others(f.Others))
	}
	if !f.BlockedUntil.IsZero() {
		row("blocked", "until %s, by the service", t.when(f.BlockedUntil))
	}
	if f.Reserve > 0 {
		row("reserve", "%g %% of the quota is left to players until %s at least", 100*f.Reserve, t.when(f.ReservedUntil))
	}
	return rows
}

// othersShown is how many other campaigns are named.
const othersShown = 5

func others(all []queue.OtherCampaign) string {
	var parts []string
	jobs := 0
	for i, other := range all {
		if i < othersShown {
			parts = append(parts, fmt.Sprintf("%s (%s)", cli.Printable(other.Name), plural(other.Jobs, "job")))
		} else {
			jobs += other.Jobs
		}
	}
	if more := len(all) - othersShown; more > 0 {
		parts = append(parts, fmt.Sprintf("%d more (%s)", more, plural(jobs, "job")))
	}
	return strings.Join(parts, ", ")
}

// timeInWords never says more than is known.
func timeInWords(f queue.Forecast) string {
	if f.Calls == 0 {
		return "none"
	}
	if f.Basis == queue.ByNothing {
		return "not known: no quota is, and how fast it gets on was not seen lately"
	}
	words := span(f.Least)
	switch {
	case f.Least == 0 && f.Basis == queue.ByQuota:
		return "none, as far as the quota goes"
	case f.Basis == queue.ByRate:
		return "about " + words + ", if it goes on as lately; no quota is known"
	case f.Rough:
		words = "about " + words + " or more"
	default:
		words = "at least " + words
	}
	if f.Alone < f.Least {
		words += "; " + span(f.Alone) + " alone"
	}
	return words
}

// printUnsure says what a forecast can't know.
func (t *tool) printUnsure(f queue.Forecast) error {
	if f.Calls == 0 || f.Basis == queue.ByNothing {
		return nil
	}
	text := "Players who wait, calls of the game itself, refusals and the time of each answer make it longer.\n"
	if f.MayRise {
		text += "The workers try for more of the quota by and by, so that it may be less.\n"
	}
	raw := slices.ContainsFunc(f.Others, func(other queue.OtherCampaign) bool { return other.Raw })
	limited := slices.ContainsFunc(f.Others, func(other queue.OtherCampaign) bool { return other.Limited })
	if limited {
		text += "Campaigns in turn with it that have a rate limit may leave it more of the quota, so that it may be less.\n"
	}
	if raw || f.Rough && !f.MayRise && !limited && f.Basis == queue.ByQuota { // else its own jobs are
		text += "How many calls jobs are that were published one by one is a guess.\n"
	}
	_, err := fmt.Fprint(t.out, text)
	return err
}

// ifRough ends a sentence about a bound that may be none.
func ifRough(f queue.Forecast) string {
	if f.Rough {
		return " if nothing changes"
	}
	return ""
}
