package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/spf13/cobra"

	"github.com/invitedhq/invited/cmd/internal/cli"
	"github.com/invitedhq/invited/queue"
)

func newDeadCommand(t *tool) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "dead",
		Short: "Look at dead letters, replay or drop them: jobs, or what is left of them, that can't be sent",
		Args:  cli.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newDeadListCommand(t), newDeadShowCommand(t), newDeadReplayCommand(t), newDeadDropCommand(t))
	return cmd
}

// deadFilter is the flags that select dead letters.
type deadFilter struct {
	title    string
	reason   string
	campaign string
	since    string
	all      bool
}

func (f *deadFilter) register(t *tool, cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.SortFlags = false
	flags.StringVar(&f.title, "title", "", "of this title ID; 0: where no title could be read")
	flags.StringVar(&f.reason, "reason", "", "of this reason: "+reasonNames())
	flags.StringVar(&f.campaign, "campaign", "", "of this campaign")
	flags.StringVar(&f.since, "since", "", "not older than this: "+pastForms)
	flags.BoolVar(&f.all, "all", false, "all of them")
	t.completeFlag(cmd, anyName, "title", titleOf)
	t.completeFlag(cmd, anyName, "campaign", campaignOf)
	_ = cmd.RegisterFlagCompletionFunc("reason", // it fails only for a flag that does not exist
		cobra.FixedCompletions(strings.Split(reasonNames(), ", "), cobra.ShellCompDirectiveNoFileComp))
}

func reasonNames() string {
	var names []string
	for _, r := range queue.Reasons() {
		names = append(names, string(r))
	}
	return strings.Join(names, ", ")
}

// filter refuses an empty selection: all letters must be meant, not come of a
// variable that was empty in a script.
func (f *deadFilter) filter(now time.Time) (queue.Filter, error) {
	var q queue.Filter
	if *f == (deadFilter{}) {
		return q, cli.Usagef("which dead letters? Select with --title, --reason, --campaign or --since, or say --all")
	}
	if f.title != "" {
		title, err := parseTitle(f.title)
		if err != nil {
			return q, err
		}
		q.TitleID = &title
	}
	if f.reason != "" {
		if q.Reason = queue.Reason(f.reason); !q.Reason.Known() {
			return q, cli.Usagef("--reason: %s is none of %s", strconv.Quote(f.reason), reasonNames())
		}
	}
	q.Campaign = f.campaign
	if f.since != "" {
		since, err := parseSince(f.since, now)
		if err != nil {
			return q, err
		}
		q.Since = since
	}
	return q, nil
}

func newDeadListCommand(t *tool) *cobra.Command {
	var f deadFilter
	cmd := &cobra.Command{
		Use:   "ls",
		Short: "List dead letters, oldest first",
		Example: `  invitectl dead ls --reason rejected --since 24h
  invitectl dead ls --all --json`,
		Args: cli.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			q, err := f.filter(time.Now())
			if err != nil {
				return err
			}
			return t.listDead(cmd.Context(), q)
		},
	}
	f.register(t, cmd)
	return cmd
}

// deadItem is a dead letter as --json prints it. XUIDs are in its body, which
// is not printed here.
type deadItem struct {
	Sequence    uint64    `json:"sequence"`
	TitleID     uint32    `json:"titleId"`
	Sender      string    `json:"sender"`
	Campaign    string    `json:"campaign"`
	JobID       string    `json:"jobId"`
	Reason      string    `json:"reason"`
	Recipients  int       `json:"recipients"` // 0 where the body is no job
	Detail      string    `json:"detail"`
	Status      int       `json:"status"`
	ErrorCode   string    `json:"errorCode"`
	Attempts    int       `json:"attempts"`
	Subject     string    `json:"subject"`
	PublishedAt time.Time `json:"publishedAt"`
	DeadAt      time.Time `json:"deadAt"`
}

func itemOf(l queue.DeadLetter) deadItem {
	i := deadItem{
		Sequence: l.Sequence, TitleID: l.Address.TitleID, Sender: l.Address.Sender, Campaign: l.Address.Campaign,
		JobID: l.JobID, Reason: string(l.Reason), Detail: l.Detail, Status: l.Status, ErrorCode: l.ErrorCode,
		Attempts: l.Attempts, Subject: l.Subject, PublishedAt: l.PublishedAt, DeadAt: l.DeadAt,
	}
	if j, err := queue.DecodeJob(l.Body); err == nil {
		i.Recipients = len(j.InvitedUsers)
	}
	return i
}

// letters connects, and yields the dead letters that f selects.
func (t *tool) letters(ctx context.Context, f queue.Filter, each func(*nats.Conn, queue.DeadLetter) error) error {
	conn, err := t.connect()
	if err != nil {
		return err
	}
	defer conn.Close()
	reader, err := queue.NewReader(conn)
	if err != nil {
		return err
	}
	n := 0
	for letter, err := range reader.DeadLetters(ctx, f) {
		if err != nil {
			return err
		}
		n++
		if err := each(conn, letter); err != nil {
			return err
		}
	}
	if n == 0 && !t.json {
		fmt.Fprintln(t.errOut, "no such dead letters")
	}
	return nil
}

func (t *tool) listDead(ctx context.Context, f queue.Filter) error {
	table := tabwriter.NewWriter(t.out, 0, 0, 2, ' ', 0)
	headed := false
	err := t.letters(ctx, f, func(_ *nats.Conn, letter queue.DeadLetter) error {
		i := itemOf(letter)
		if t.json {
			return t.printJSON(i)
		}
		if !headed {
			headed = true
			fmt.Fprintln(table, "DEAD AT\tTITLE\tSENDER\tREASON\tRECIPIENTS\tJOB\tDETAIL")
		}
		_, err := fmt.Fprintf(table, "%s\t%d\t%s\t%s\t%d\t%s\t%s\n", t.when(i.DeadAt), i.TitleID, i.Sender,
			cli.Printable(i.Reason), i.Recipients, cli.Printable(i.JobID), cli.Printable(i.Detail))
		return err
	})
	return errors.Join(table.Flush(), err)
}

func newDeadShowCommand(t *tool) *cobra.Command {
	var f deadFilter
	cmd := &cobra.Command{
		Use:   "show",
		Short: "Show dead letters whole, with their bodies: XUIDs and connection strings, too",
		Example: `  invitectl dead show --title 1739947436 --reason forbidden
  invitectl dead show --all --json`,
		Args: cli.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			q, err := f.filter(time.Now())
			if err != nil {
				return err
			}
			return t.letters(cmd.Context(), q, func(_ *nats.Conn, l queue.DeadLetter) error { return t.showDead(l) })
		},
	}
	f.register(t, cmd)
	return cmd
}

func (t *tool) showDead(l queue.DeadLetter) error {
	i := itemOf(l)
	if t.json {
		return t.printJSON(struct {
			deadItem
			Body string `json:"body"`
		}{i, strings.ToValidUTF8(string(l.Body), "\uFFFD")})
	}
	table := tabwriter.NewWriter(t.out, 0, 0, 2, ' ', 0)
	row := func(name, value string) {
		if value != "" {
			fmt.Fprintf(table, "%s\t%s\n", name, cli.Printable(value))
		}
	}
	row("letter", strconv.FormatUint(i.Sequence, 10))
	row("job", i.JobID)
	row("published on", i.Subject)
	row("published at", t.when(i.PublishedAt))
	row("dead at", t.when(i.DeadAt))
	row("reason", i.Reason)
	row("detail", i.Detail)
	if i.Status != 0 {
		row("status", strings.TrimSpace(strconv.Itoa(i.Status)+" "+i.ErrorCode))
	}
	row("calls made", strconv.Itoa(i.Attempts))
	row("recipients", strconv.Itoa(i.Recipients))
	row("traceparent", l.Traceparent)
	row("body", string(l.Body))
	fmt.Fprintln(table)
	return table.Flush()
}
