package console

import (
	"cmp"
	"context"
	"math"
	"net/http"
	"slices"
	"time"

	"github.com/invitedhq/invited/cmd/internal/cli"
	"github.com/invitedhq/invited/queue"
)

// overviewPage is what all workers do, and what keeps them from it.
type overviewPage struct {
	Began    time.Time
	Whole    bool // the curves have all of their 15 minutes
	Problems []problem
	Tiles    []tile
	Charts   []chart
	Workers  []workerRow
	Parts    int
	Quota    []quotaRow
	Blocked  []blockedRow
	More     int // blocked senders that are not listed
	Dead     []deadRow
	Letters  int
	Answer   string // would more workers help?
	Why      string
	Silent   []string // workers that say nothing of their work
	Details  bool     // what the workers say of senders has come
}

type tile struct{ Name, Value, Note string }

type workerRow struct {
	Name       string
	Self       bool
	Up         string
	Leaving    bool
	Partitions string
	InHand     string
	InFlight   string
	Bound      bool
	Sent       string // since it began
}

type quotaRow struct {
	TitleID uint32
	Sender  string
	Windows []windowCell
	Waiting string
}

type windowCell struct {
	Used, Max int
	Per       string
	Full      bool
}

type blockedRow struct {
	TitleID uint32
	Sender  string
	Opens   string
	At      time.Time
}

type deadRow struct {
	Reason  queue.Reason
	Letters string
}

func (c *Console) overview(ctx context.Context, r *running, _ *http.Request) (*page, error) {
	if c.live.look() { // the first look for a while: others tell of their senders a moment later, this worker at once
		r.askOwn(ctx)
	}
	v := r.view()
	sent, calls := v.rates()
	o := overviewPage{
		Began: v.began, Whole: v.now.Sub(v.began) > keptFor, Problems: c.problems(v), Charts: charts(v), Parts: v.backlog.Parts,
		Workers: c.workerRows(v),
	}
	o.Answer, o.Why = verdict(v)
	o.Tiles = []tile{
		{"Invites sent", rate(sent) + "/s", ""},
		{"Calls", rate(calls) + "/s", ""},
	}
	names := map[queue.Lane]string{queue.Interactive: "Players wait", queue.Bulk: "Campaigns wait"}
	for _, l := range v.backlog.Lanes {
		note := "nothing waits"
		if l.Jobs > 0 {
			note = "oldest " + span(v.backlog.At.Sub(l.Oldest))
			if l.Lane == queue.Bulk {
				note = "jobs of " + plural(v.backlog.Campaigns, "campaign")
			}
		}
		o.Tiles = append(o.Tiles, tile{names[l.Lane], grouped(l.Jobs), note})
	}
	byReason := make(map[queue.Reason]int)
	for _, d := range v.backlog.Dead {
		byReason[d.Reason] += d.Letters
		o.Letters += d.Letters
	}
	for _, reason := range queue.Reasons() {
		if n := byReason[reason]; n > 0 {
			o.Dead = append(o.Dead, deadRow{reason, grouped(n)})
		}
	}
	inFlight := 0
	for _, w := range v.workers {
		inFlight += w.InFlight
		if silent(w) {
			o.Silent = append(o.Silent, c.text(w.Name))
		}
	}
	o.Tiles[1].Note = plural(inFlight, "call") + " in flight"
	o.Tiles = append(o.Tiles, tile{"Dead letters", grouped(o.Letters), "kept for 30 days"})
	c.keyRows(&o, v)
	return &page{Title: "Overview", Here: "/", Template: "overview", Live: true, Data: o}, nil
}

func (c *Console) workerRows(v view) (rows []workerRow) {
	for _, w := range v.workers {
		up := "?"
		if w.Up > 0 {
			up = span(w.Up + v.now.Sub(w.Heard))
		}
		rows = append(rows, workerRow{
			Name: c.text(w.Name), Self: w.Self, Up: up, Leaving: w.Leaving, Partitions: cli.Ranges(w.Partitions),
			InHand: grouped(w.InHand), InFlight: grouped(w.InFlight), Bound: w.QuotaBound, Sent: grouped(w.Sent),
		})
	}
	return rows
}

// keyRows puts together what workers say of senders.
func (c *Console) keyRows(o *overviewPage, v view) {
	type ranked[T any] struct {
		rank float64
		row  T
	}
	var quota []ranked[quotaRow]
	var blocked []blockedRow
	untold := 0
	for _, w := range v.workers {
		if w.Keys == nil || !w.Keys.Watched {
			continue
		}
		o.Details = true
		untold += max(w.Keys.Blocked-len(w.Keys.BlockedTop), 0)
		for _, k := range w.Keys.BlockedTop {
			at := w.Heard.Add(time.Duration(k.Opens) * time.Millisecond)
			if at.After(v.now) {
				blocked = append(blocked, blockedRow{k.TitleID, c.sender(k.Sender), span(at.Sub(v.now)), at})
			}
		}
		for _, k := range w.Keys.Quota {
			row, most := quotaRow{TitleID: k.TitleID, Sender: c.sender(k.Sender), Waiting: grouped(k.Waiting)}, 0.0
			for _, u := range k.Windows {
				most = max(most, float64(u.Used)/float64(max(u.Max, 1)))
				row.Windows = append(row.Windows, windowCell{
					Used: min(u.Used, u.Max), Max: u.Max, Per: span(time.Duration(u.Per) * time.Millisecond), Full: u.Used >= u.Max,
				})
			}
			quota = append(quota, ranked[quotaRow]{most, row})
		}
	}
	slices.SortStableFunc(quota, func(a, b ranked[quotaRow]) int { return cmp.Compare(b.rank, a.rank) })
	for _, q := range quota[:min(len(quota), topKeys)] {
		o.Quota = append(o.Quota, q.row)
	}
	slices.SortStableFunc(blocked, func(a, b blockedRow) int { return b.At.Compare(a.At) })
	o.Blocked = blocked[:min(len(blocked), topKeys)]
	o.More = untold + len(blocked) - len(o.Blocked)
}

// failures are the results of calls that are one curve: nobody can tell eight apart.
var failures = [...]string{"rejected", "forbidden", "unauthorized", "transient", "ambiguous", "misconfigured"}

func charts(v view) []chart {
	perSecond := func(n func(sample) uint64) (points []point) {
		for i := 1; i < len(v.samples); i++ {
			a, b := v.samples[i-1], v.samples[i]
			if over := b.at.Sub(a.at).Seconds(); over > 0 {
				points = append(points, point{b.at, float64(since(n(b), n(a))) / over})
			}
		}
		return points
	}
	was := func(of func(sample) float64) (points []point) {
		for _, s := range v.samples {
			value := math.NaN()
			if s.backlog {
				value = of(s)
			}
			points = append(points, point{s.at, value})
		}
		return points
	}
	call := func(kinds ...string) func(sample) uint64 {
		return func(s sample) (n uint64) {
			for _, kind := range kinds {
				n += s.calls[kind]
			}
			return n
		}
	}
	count := func(v float64) string {
		if v != math.Trunc(v) {
			return rate(v)
		}
		return grouped(int(v))
	}
	per, unit := unitOf(v.samples)
	old := func(v float64) string { return trimmed(v) + " " + unit }
	aged := func(lane queue.Lane) []point {
		return was(func(s sample) float64 { return s.oldest[lane].Seconds() / per.Seconds() })
	}
	return []chart{
		draw("Invites sent", "/s", v.now, count, line{"sent", "c1", perSecond(func(s sample) uint64 { return s.sent })}),
		draw("Calls by result", "/s", v.now, count,
			line{"sent", "c1", perSecond(call(sentCalls))},
			line{"throttled", "c2", perSecond(call("throttled"))},
			line{"failed", "c3", perSecond(call(failures[:]...))}),
		draw("Jobs that wait", "", v.now, count,
			line{"players", "c1", was(func(s sample) float64 { return float64(s.waiting[queue.Interactive]) })},
			line{"campaigns", "c4", was(func(s sample) float64 { return float64(s.waiting[queue.Bulk]) })}),
		draw("Age of the oldest", "", v.now, old,
			line{"players", "c1", aged(queue.Interactive)},
			line{"campaigns", "c4", aged(queue.Bulk)}),
	}
}

// unitOf is what ages are shown in, so that a chart's lines are at round numbers.
func unitOf(samples []sample) (per time.Duration, unit string) {
	var oldest time.Duration
	for _, s := range samples {
		oldest = max(oldest, s.oldest[queue.Interactive], s.oldest[queue.Bulk])
	}
	switch {
	case oldest >= 48*time.Hour:
		return 24 * time.Hour, "d"
	case oldest >= 2*time.Hour:
		return time.Hour, "h"
	case oldest >= 2*time.Minute:
		return time.Minute, "min"
	default:
		return time.Second, "s"
	}
}
