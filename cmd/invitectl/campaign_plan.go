package main

import (
	"fmt"
	"text/tabwriter"
	"time"

	"github.com/invitedhq/invited/queue"
)

// callSize is how many recipients a call has at most.
const callSize = 16

func callsFor(recipients int) int { return (recipients + callSize - 1) / callSize }

// printPlan prints what a dry run found out.
func (t *tool) printPlan(o queue.CampaignOrder, l *list, p planned) error {
	item := itemOfStart(o, l)
	if t.json {
		item.DryRun, item.LeastSeconds, item.Quota = true, leastSeconds(p.Forecast), queue.WindowsString(p.Windows)
		item.Forecast = itemOfForecast(p.Forecast, p.from)
		return t.printJSON(item)
	}
	table := tabwriter.NewWriter(t.out, 0, 0, 2, ' ', 0)
	fmt.Fprintf(table, "recipients\t%d\nrepeats\t%d\nbad lines\t%d\ncalls\t%d\n", item.Recipients, item.Repeats, item.BadLines, item.Calls)
	printForecast(table, p.Forecast, p.from)
	fmt.Fprintf(table, "time\t%s\n", timeInWords(p.Forecast))
	if err := table.Flush(); err != nil {
		return err
	}
	err := t.printUnsure(p.Forecast)
	if due := time.Until(o.ExpiresAt); err == nil && !o.ExpiresAt.IsZero() && due < p.Least {
		_, err = fmt.Fprintf(t.out, "It expires in %s: not all can be sent before%s.\n", due.Round(time.Second), ifRough(p.Forecast))
	}
	return err
}
