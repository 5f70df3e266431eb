package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/invitedhq/invited/cmd/internal/cli"
	"github.com/invitedhq/invited/cmd/internal/roster"
	"github.com/invitedhq/invited/queue"
	"github.com/invitedhq/invited/xbl"
)

// load is what bench sends: so many jobs of a shape, from 0 on, each known by its number alone.
type load struct {
	addresses   []queue.Address // in turn
	job         queue.Job       // but for its recipients and its id
	least, most int             // recipients of a job: one more each time, and again from the least
	players     players
	jobs        int           // at the most
	duration    time.Duration // publish for so long at the most; 0: as long as it takes
	rate        float64       // recipients per second; 0: as fast as they are taken
	patience    time.Duration // end when nothing is heard for so long
}

// players are who is invited.
type players struct {
	from queue.XUID   // counted up from here, if there is no list
	list []queue.XUID // again from its beginning when it is through
}

func (p *players) at(i int) queue.XUID {
	if p.list == nil {
		return p.from + queue.XUID(i)
	}
	return p.list[i%len(p.list)]
}

// before is how many recipients the jobs before a job have.
func (l *load) before(n int) int {
	sizes := l.most - l.least + 1
	rounds, left := n/sizes, n%sizes
	return rounds*(l.least+l.most)*sizes/2 + left*l.least + left*(left-1)/2
}

func (l *load) recipients(n int) []queue.XUID {
	first := l.before(n)
	users := make([]queue.XUID, l.before(n+1)-first)
	for i := range users {
		users[i] = l.players.at(first + i)
	}
	return users
}

func (l *load) address(n int) queue.Address { return l.addresses[n%len(l.addresses)] }

// await waits until a job is due, and reports false where there is none any more.
func (l *load) await(ctx context.Context, n int, began time.Time) bool {
	if n >= l.jobs || ctx.Err() != nil {
		return false
	}
	at := began
	if l.rate > 0 {
		at = began.Add(time.Duration(float64(l.before(n)) / l.rate * float64(time.Second)))
	}
	if l.duration > 0 && (at.Sub(began) >= l.duration || time.Since(began) >= l.duration) {
		return false
	}
	return pause(ctx, time.Until(at))
}

// pause waits, and reports whether it was left to.
func pause(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return ctx.Err() == nil
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// alone says that no two of its jobs fit into one call.
func (l *load) alone() bool { return 2*l.least > xbl.MaxInvitedUsers }

// inWords is what is going to be sent.
func (l *load) inWords() string {
	size := plural(l.most, "recipient")
	if l.most > l.least {
		size = fmt.Sprintf("%d to %s", l.least, size)
	}
	parts := []string{plural(l.jobs, "job") + " of " + size}
	switch {
	case l.duration > 0 && l.jobs == mostJobs:
		parts[0] = "jobs of " + size + " for " + l.duration.String()
	case l.duration > 0:
		parts[0] += " in " + l.duration.String() + " at the most"
	}
	if l.rate > 0 {
		parts = append(parts, "recipients at "+rateText(l.rate))
	}
	a := l.addresses[0]
	parts = append(parts, fmt.Sprintf("title %d", a.TitleID))
	if n := len(l.addresses); n > 1 {
		parts = append(parts, fmt.Sprintf("%d senders from %s to %s", n, a.Sender, l.addresses[n-1].Sender))
	} else {
		parts = append(parts, "sender "+a.Sender)
	}
	if a.Campaign != "" {
		parts = append(parts, "campaign "+a.Campaign)
	}
	if l.players.list != nil {
		parts = append(parts, fmt.Sprintf("to the %s of the file in turn", plural(len(l.players.list), "player")))
	} else {
		parts = append(parts, fmt.Sprintf("to %d and the players after it", l.players.from))
	}
	return strings.Join(parts, ", ")
}

// mostJobs bounds what is remembered of jobs.
const mostJobs = 10_000_000

// load checks the flags.
func (f *benchFlags) load() (*load, error) {
	l := &load{
		job:  queue.Job{ConnectionString: f.connection, Platform: f.platform},
		jobs: f.jobs, duration: f.duration, patience: f.patience,
	}
	if f.duration > 0 && !f.jobsSet {
		l.jobs = mostJobs
	}
	switch {
	case f.title == "":
		return nil, cli.Usagef("--title is missing")
	case l.jobs < 1, l.jobs > mostJobs:
		return nil, cli.Usagef("--jobs: %d is not from 1 to %d", f.jobs, mostJobs)
	case f.duration < 0:
		return nil, cli.Usagef("--duration: %v is below 0", f.duration)
	case f.patience <= 0:
		return nil, cli.Usagef("--patience: %v is not above 0", f.patience)
	}
	var err error
	if f.rate != "" {
		if l.rate, err = parseRate("--rate", f.rate); err != nil {
			return nil, err
		}
	}
	if l.least, l.most, err = parseSizes(f.recipients); err != nil {
		return nil, err
	}
	if f.api != "" && l.most > xbl.MaxInvitedUsers {
		return nil, cli.Usagef("--recipients: a call takes %d at the most", xbl.MaxInvitedUsers)
	}
	if l.addresses, err = f.addresses(); err != nil {
		return nil, err
	}
	if l.players, err = f.players(l); err != nil {
		return nil, err
	}
	one := l.job
	one.InvitedUsers = l.recipients(0)
	if err := one.Validate(); err != nil {
		return nil, cli.Usagef("%w", err)
	}
	return l, nil
}

// parseSizes reads how many recipients a job has: 16, or 1-8.
func parseSizes(text string) (least, most int, err error) {
	low, high, isRange := strings.Cut(text, "-")
	if !isRange {
		high = low
	}
	least, err = strconv.Atoi(low)
	if err == nil {
		most, err = strconv.Atoi(high)
	}
	if err != nil || least < 1 || most < least || most > queue.MaxInvitedUsers {
		return 0, 0, cli.Usagef("--recipients: %s is neither a number from 1 to %d nor a range like 1-8",
			strconv.Quote(text), queue.MaxInvitedUsers)
	}
	return least, most, nil
}

const mostSenders = 10_000

func (f *benchFlags) addresses() ([]queue.Address, error) {
	title, err := parseTitle(f.title)
	if err != nil {
		return nil, err
	}
	senders := f.senders
	switch {
	case f.madeSenders < 0, f.madeSenders > mostSenders:
		return nil, cli.Usagef("--senders: %d is not from 1 to %d", f.madeSenders, mostSenders)
	case f.madeSenders > 0 && len(f.senders) > 0:
		return nil, cli.Usagef("--sender and --senders exclude each other")
	case f.madeSenders > 0:
		for n := range f.madeSenders {
			senders = append(senders, "bench-"+strconv.Itoa(n+1))
		}
	case len(f.senders) == 0:
		senders = []string{"default"}
	}
	var all []queue.Address
	for _, sender := range senders {
		a := queue.Address{TitleID: title, Sender: sender, Campaign: f.campaign}
		if err := a.Validate(); err != nil {
			return nil, cli.Usagef("%w", err)
		}
		all = append(all, a)
	}
	return all, nil
}

// players reads who is invited. There is no default: whoever it is might be real.
func (f *benchFlags) players(l *load) (p players, err error) {
	switch {
	case (f.xuidsFrom == "") == (f.file == ""):
		return p, cli.Usagef("say who is invited: --xuids-from X counts up from there, --file F names players; one of them")
	case f.xuidsFrom != "":
		if p.from, err = queue.ParseXUID(f.xuidsFrom); err != nil {
			return p, cli.Usagef("--xuids-from: %s %w", strconv.Quote(f.xuidsFrom), err)
		}
		if last := p.from + queue.XUID(l.before(l.jobs)); last < p.from {
			return p, cli.Usagef("--xuids-from: there are not so many XUIDs after %d", p.from)
		}
		return p, nil
	}
	file, err := os.Open(f.file)
	if err != nil {
		return p, cli.Usagef("--file: %w", err)
	}
	defer file.Close()
	seen := make(map[queue.XUID]bool)
	for entry, err := range roster.Read(file) {
		if err != nil {
			if bad, ok := errors.AsType[*roster.LineError](err); ok {
				return p, cli.Usagef("--file: %w", bad)
			}
			return p, fmt.Errorf("--file: %w", err)
		}
		if !seen[entry.XUID] {
			seen[entry.XUID] = true
			p.list = append(p.list, entry.XUID)
		}
	}
	if len(p.list) < l.most {
		return p, cli.Usagef("--file: it has %s, and a job is to have %d", plural(len(p.list), "player"), l.most)
	}
	return p, nil
}
