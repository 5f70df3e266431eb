package main

import (
	"fmt"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/invitedhq/invited/queue"
	"github.com/invitedhq/invited/xbl/xblsim"
)

// callSize is how many recipients a call has at most.
const callSize = 16

func callsFor(recipients int) int { return (recipients + callSize - 1) / callSize }

// leastTime is how long so many calls take if they have the quota to
// themselves and are answered at once: from the first one to the last.
func leastTime(calls int, windows []xblsim.Window) (total time.Duration) {
	windows = slices.SortedFunc(slices.Values(windows), func(a, b xblsim.Window) int { return int(b.Per - a.Per) })
	for _, w := range windows {
		if calls == 0 {
			break
		}
		full := (calls - 1) / w.Max
		total += time.Duration(full) * w.Per
		calls -= full * w.Max
	}
	return total
}

func (t *tool) printPlan(o queue.CampaignOrder, l *list, quota string, windows []xblsim.Window) error {
	item := itemOfStart(o, l)
	least := leastTime(item.Calls, windows)
	if t.json {
		seconds := least.Seconds()
		item.DryRun, item.LeastSeconds, item.Quota = true, &seconds, quota
		return t.printJSON(item)
	}
	table := tabwriter.NewWriter(t.out, 0, 0, 2, ' ', 0)
	fmt.Fprintf(table, "recipients\t%d\nrepeats\t%d\nbad lines\t%d\ncalls\t%d\n", item.Recipients, item.Repeats, item.BadLines, item.Calls)
	if len(windows) == 0 {
		fmt.Fprintln(table, "time\tunknown: no quota is")
	} else {
		fmt.Fprintf(table, "time\tat least %s, with a quota of %s\n", least, quota)
	}
	if err := table.Flush(); err != nil {
		return err
	}
	_, err := fmt.Fprint(t.out, "The time is for these calls alone. Players who wait, other campaigns of this sender and title, "+
		"calls of the game itself,\nrefusals and the time of each answer make it longer.\n")
	if due := time.Until(o.ExpiresAt); err == nil && !o.ExpiresAt.IsZero() && due < least {
		_, err = fmt.Fprintf(t.out, "It expires in %s: not all can be sent before.\n", due.Round(time.Second))
	}
	return err
}
