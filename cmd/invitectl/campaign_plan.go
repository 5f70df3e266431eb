package main

import (
	"fmt"
	"time"

	"github.com/invitedhq/invited/queue"
	"github.com/invitedhq/invited/xbl"
)

// callsFor is how many calls so many recipients need at the least.
func callsFor(recipients int) int {
	return (recipients + xbl.MaxInvitedUsers - 1) / xbl.MaxInvitedUsers
}

// printPlan prints what a dry run found out.
func (t *tool) printPlan(o queue.CampaignOrder, l *list, p planned) error {
	item := itemOfStart(o, l)
	if t.json {
		item.DryRun, item.LeastSeconds, item.Quota = true, leastSeconds(p.Forecast), queue.WindowsString(p.Windows)
		item.Forecast = itemOfForecast(p.Forecast, p.from)
		return t.printJSON(item)
	}
	var list table
	row := func(name, text string) { list.add(cell{text: name}, cell{text: text}) }
	row("recipients", grouped(item.Recipients))
	row("repeats", grouped(item.Repeats))
	row("bad lines", grouped(item.BadLines))
	row("calls", grouped(item.Calls))
	if !o.StartAt.IsZero() {
		row("start", t.when(o.StartAt))
	}
	if o.Rate > 0 {
		row("rate limit", rateText(o.Rate))
	}
	for _, r := range t.forecastRows(p.Forecast, p.from) {
		row(r.name, r.text)
	}
	row("time", timeInWords(p.Forecast))
	if err := list.write(t.out, styleOf(t.out)); err != nil {
		return err
	}
	err := t.printUnsure(p.Forecast)
	if due := time.Until(o.ExpiresAt); err == nil && !o.ExpiresAt.IsZero() && due < p.Least {
		_, err = fmt.Fprintf(t.out, "It expires in %s: not all can be sent before%s.\n", span(due), ifRough(p.Forecast))
	}
	return err
}
