package main

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/invitedhq/invited/cmd/internal/cli"
)

// benchReport is what came of a load, as --json prints it. Times are in seconds, by this machine's clock.
type benchReport struct {
	Load       string `json:"load"`
	Complete   bool   `json:"complete"` // it went to its end, and every recipient was sent
	Why        string `json:"why,omitzero"`
	Published  *rated `json:"published,omitzero"`  // jobs that were stored
	Ended      *rated `json:"ended,omitzero"`      // jobs with a result
	NotStored  int    `json:"notStored,omitzero"`  // jobs
	NoResult   int    `json:"noResult,omitzero"`   // jobs that wait or are in hand still, if they were stored
	Recipients rated  `json:"recipients"`          // sent
	Dead       counts `json:"dead,omitzero"`       // recipients by reason
	Dropped    int    `json:"cancelled,omitzero"`  // recipients of a campaign that was cancelled
	MaybeTwice int    `json:"maybeTwice,omitzero"` // jobs of which some may have been sent twice
	Calls      *rated `json:"calls,omitzero"`      // that were sent; of workers: that were made, where no jobs share one
	Attempts   int    `json:"attempts,omitzero"`   // calls as the jobs count them: each its own
	NotSent    counts `json:"notSent,omitzero"`    // calls by what they were answered

	PerCall float64 `json:"recipientsPerCall,omitzero"`
	Latency latency `json:"latency"` // from publish to result, or of a call
}

// rated is how much there was in a time.
type rated struct {
	N         int     `json:"n"`
	Seconds   float64 `json:"seconds"`
	PerSecond float64 `json:"perSecond"`
}

func ratedOf(n int, took time.Duration) rated {
	r := rated{N: n, Seconds: took.Seconds()}
	if took > 0 {
		r.PerSecond = float64(n) / r.Seconds
	}
	return r
}

// counts are numbers by name.
type counts map[string]int

// latency is a distribution, in seconds.
type latency struct {
	P50 float64 `json:"p50"`
	P90 float64 `json:"p90"`
	P99 float64 `json:"p99"`
	Max float64 `json:"max"`
}

// latencyOf sorts what was measured: each is one that was, none is interpolated.
func latencyOf(took []time.Duration) latency {
	if len(took) == 0 {
		return latency{}
	}
	slices.Sort(took)
	at := func(percent int) float64 { return took[(len(took)*percent+99)/100-1].Seconds() }
	return latency{P50: at(50), P90: at(90), P99: at(99), Max: at(100)}
}

// printBench prints the figures. That not all went well is in them: the status says it, too.
func (t *tool) printBench(r benchReport) error {
	show := t.printBenchTable
	if t.json {
		show = func(r benchReport) error { return t.printJSON(r) }
	}
	if err := show(r); err != nil {
		return err
	}
	if !r.Complete {
		return cli.ErrSilent
	}
	return nil
}

func (t *tool) printBenchTable(r benchReport) error {
	fmt.Fprintln(t.out, r.Load)
	figures := table{right: []bool{false, true}}
	row := func(name string, n int, more string, c colour) {
		figures.add(cell{name, plain}, cell{grouped(n), c}, cell{more, plain})
	}
	rate := func(name string, r rated) {
		row(name, r.N, fmt.Sprintf("%s/s, in %s", grouped(int(r.PerSecond+0.5)), seconds(r.Seconds)), plain)
	}
	// bad is what should not be: it is left out where there is nothing of it.
	bad := func(name string, n int, more string) {
		if n > 0 {
			row(name, n, more, yellow)
		}
	}
	if r.Published != nil {
		rate("jobs published", *r.Published)
		rate("jobs ended", *r.Ended)
	}
	if r.Calls != nil {
		rate(r.callsName(), *r.Calls)
		figures.add(cell{"recipients a call", plain}, cell{fmt.Sprintf("%.1f", r.PerCall), plain})
	} else {
		row("attempts", r.Attempts, "jobs that shared a call count it each", plain)
	}
	for _, name := range slices.Sorted(maps.Keys(r.NotSent)) {
		bad("calls "+name, r.NotSent[name], "")
	}
	rate("recipients sent", r.Recipients)
	for _, name := range slices.Sorted(maps.Keys(r.Dead)) {
		bad("dead, "+name, r.Dead[name], "recipients")
	}
	bad("dropped", r.Dropped, "recipients: the campaign was cancelled")
	if r.Published != nil {
		row("maybe sent twice", r.MaybeTwice, "jobs with a call whose outcome is unknown", plain)
	}
	bad("not stored", r.NotStored, "jobs")
	bad("no result", r.NoResult, "jobs that may be queued still: then they are sent, or expire")
	for _, l := range []struct {
		name string
		at   float64
	}{{"p50", r.Latency.P50}, {"p90", r.Latency.P90}, {"p99", r.Latency.P99}, {"max", r.Latency.Max}} {
		figures.add(cell{r.latencyName() + l.name, plain}, cell{fmt.Sprintf("%.1f", l.at*1000), plain}, cell{"ms", plain})
	}
	if err := figures.write(t.out, styleOf(t.out)); err != nil {
		return err
	}
	if r.Why != "" {
		_, err := fmt.Fprintln(t.out, r.Why)
		return err
	}
	return nil
}

// callsName: workers tell how many were made, whatever became of them.
func (r *benchReport) callsName() string {
	if r.Published != nil {
		return "calls made"
	}
	return "calls sent"
}

func (r *benchReport) latencyName() string {
	if r.Published != nil {
		return "publish to result, "
	}
	return "a call took, "
}

func seconds(s float64) string { return fmt.Sprintf("%.2f s", s) }
