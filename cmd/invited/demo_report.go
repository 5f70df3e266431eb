package main

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/invitedhq/invited/cmd/internal/cli"
	"github.com/invitedhq/invited/queue"
	"github.com/invitedhq/invited/xbl"
	"github.com/invitedhq/invited/xbl/xblsim"
)

// report is what came of the demo, beside what must have come of it.
type report struct {
	script *script
	got    tally
	ledger xblsim.Ledger
	own    int // recipients, and calls, of the game itself
	calls  int // of the worker
	full   int // of them with 16 recipients
	asked  int // recipients in them
	waited time.Duration
	took   time.Duration
	wrong  []string
}

func newReport(s *script, got tally, sim *xblsim.Server, own int, took time.Duration) *report {
	r := &report{script: s, got: got, ledger: sim.Ledger(), own: own, took: took}
	busy := xblsim.TokenKey(demoToken(demoBusy))
	var refusedAt time.Time
	for _, c := range sim.Calls()[own:] {
		r.calls++
		r.asked += len(c.InvitedUsers)
		if len(c.InvitedUsers) == xbl.MaxInvitedUsers {
			r.full++
		}
		switch {
		case c.Status == 429:
			refusedAt = c.At
		case c.Token == busy && !refusedAt.IsZero():
			r.waited = c.At.Sub(refusedAt)
		}
	}
	r.check()
	return r
}

// check compares every count with what it must be.
func (r *report) check() {
	expect := func(what string, got, want int) {
		if got != want {
			r.wrong = append(r.wrong, fmt.Sprintf("%s: %d, must be %d", what, got, want))
		}
	}
	want := r.script.want
	expect("jobs that ended", r.got.jobs, want.jobs)
	expect("recipients that ended", r.got.recipients, want.recipients)
	expect("recipients sent, by the results", r.got.sent, want.sent)
	expect("recipients sent, by the simulator's ledger", r.ledger.Recipients-r.own, want.sent)
	expect("duplicates", r.ledger.Duplicates, 0)
	expect("refused calls", r.ledger.Throttled, 1)
	expect("calls inside a Retry-After", r.ledger.InBlock, 0)
	if !maps.Equal(r.got.dead, want.dead) {
		r.wrong = append(r.wrong, fmt.Sprintf("dead letters: %v, must be %v", r.got.dead, want.dead))
	}
}

func (r *report) write(out io.Writer, letters []queue.DeadLetter) {
	fmt.Fprintln(out)
	t := tabwriter.NewWriter(out, 0, 0, 3, ' ', 0)
	row := func(what string, format string, args ...any) {
		fmt.Fprintf(t, "%s\t%s\n", what, fmt.Sprintf(format, args...))
	}
	row("recipients sent", "%d of %d", r.got.sent, r.got.recipients)
	row("calls", "%d, with %.1f recipients each; %d were full (%d)",
		r.calls, float64(r.asked)/float64(max(r.calls, 1)), r.full, xbl.MaxInvitedUsers)
	row("refused calls (429)", "%d: %s was told to wait, and called again after %.1f s",
		r.ledger.Throttled, demoBusy, r.waited.Seconds())
	row("calls inside a Retry-After", "%d", r.ledger.InBlock)
	row("duplicates (simulator's ledger)", "%d", r.ledger.Duplicates)
	row("dead letters", "%d", len(letters))
	for _, l := range byReason(letters) {
		row("  "+string(l.Reason), "%s", shorten(l.Detail, 64))
	}
	row("time", "%.1f s", r.took.Seconds())
	_ = t.Flush()
}

// byReason puts letters in an order that is the same in each demo, which the order in which they are stored is not: the
// commonest reason first, and equally common ones by name.
func byReason(letters []queue.DeadLetter) []queue.DeadLetter {
	count := make(map[queue.Reason]int)
	for _, l := range letters {
		count[l.Reason]++
	}
	return slices.SortedStableFunc(slices.Values(letters), func(a, b queue.DeadLetter) int {
		return cmp.Or(cmp.Compare(count[b.Reason], count[a.Reason]), cmp.Compare(a.Reason, b.Reason))
	})
}

// verdict says whether everything is as it must be.
func (r *report) verdict(out io.Writer) error {
	if len(r.wrong) == 0 {
		fmt.Fprintln(out, "\nEvery count is what it must be.")
		return nil
	}
	fmt.Fprintf(out, "\nNot what it must be:\n  %s\n", strings.Join(r.wrong, "\n  "))
	return cli.ErrSilent
}

func shorten(s string, most int) string {
	if runes := []rune(s); len(runes) > most {
		return string(runes[:most-1]) + "…"
	}
	return s
}

func showQuota(windows []xblsim.Window) string {
	var parts []string
	for _, w := range windows {
		parts = append(parts, fmt.Sprintf("%d calls in %g s", w.Max, w.Per.Seconds()))
	}
	return strings.Join(parts, " and ")
}
