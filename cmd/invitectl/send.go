package main

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/nats-io/nats.go"
	"github.com/spf13/cobra"

	"github.com/invitedhq/invited/cmd/internal/cli"
	"github.com/invitedhq/invited/queue"
)

// sendFlags are the flags of send as they were typed.
type sendFlags struct {
	title      string
	sender     string
	to         []string
	connection string
	platform   string
	ttl        time.Duration
	ttlSet     bool
	id         string
	trace      string
	wait       bool
}

func newSendCommand(t *tool) *cobra.Command {
	var f sendFlags
	cmd := &cobra.Command{
		Use:   "send --title T --to X,X…",
		Short: "Publish one interactive job",
		Example: `  invitectl send --title 1739947436 --to 2533274790395904,2533274790395905
  invitectl send --title 1739947436 --sender lobby-1 --to 2533274790395904 --connection 'lobby=42' --ttl 30s --wait`,
		Args: cli.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			f.ttlSet = cmd.Flags().Changed("ttl")
			address, job, err := f.job(time.Now())
			if err != nil {
				return err
			}
			return t.send(cmd.Context(), address, job, f.trace, f.wait)
		},
	}
	flags := cmd.Flags()
	flags.SortFlags = false
	flags.StringVar(&f.title, "title", "", "title ID, decimal (required)")
	flags.StringVar(&f.sender, "sender", "default", "whose token is used: a credential's name, or in server mode the inviting user's XUID")
	flags.StringSliceVar(&f.to, "to", nil, "XUIDs to invite, decimal, with commas between them (required)")
	flags.StringVar(&f.connection, "connection", "", "connectionString for the invited players' game")
	flags.StringVar(&f.platform, "platform", "", "one of "+strings.Join(queue.Platforms(), ", ")+"; default any")
	flags.DurationVar(&f.ttl, "ttl", 0, "never send it later than this, such as 30s; default is the worker's dispatch.interactive_ttl")
	flags.StringVar(&f.id, "id", "", "what results and dead letters call the job; default <stream>:<sequence>")
	flags.StringVar(&f.trace, "traceparent", "", "W3C trace context that the call, its result and its dead letters are to lead to")
	flags.BoolVar(&f.wait, "wait", false, "wait until the job ended and print how; status 1 unless all were sent")
	return cmd
}

// job checks the flags: what is wrong is told before anything is published.
func (f *sendFlags) job(now time.Time) (queue.Address, queue.Job, error) {
	var a queue.Address
	var j queue.Job
	if f.title == "" {
		return a, j, cli.Usagef("--title is missing")
	}
	if len(f.to) == 0 {
		return a, j, cli.Usagef("--to is missing: name the XUIDs to invite")
	}
	title, err := parseTitle(f.title)
	if err != nil {
		return a, j, err
	}
	a = queue.Address{TitleID: title, Sender: f.sender}
	if err := a.Validate(); err != nil {
		return a, j, cli.Usagef("%w", err)
	}
	j = queue.Job{ConnectionString: f.connection, Platform: f.platform, ID: f.id}
	for _, text := range f.to {
		x, err := queue.ParseXUID(strings.TrimSpace(text))
		if err != nil {
			return a, j, cli.Usagef("--to: %s %w", strconv.Quote(text), err)
		}
		j.InvitedUsers = append(j.InvitedUsers, x)
	}
	switch {
	case f.ttlSet && f.ttl <= 0:
		return a, j, cli.Usagef("--ttl: %v is not above 0", f.ttl)
	case f.ttlSet:
		j.ExpiresAt = now.Add(f.ttl).UTC()
	}
	if f.trace != "" && (!traceparent.MatchString(f.trace) || noTrace.MatchString(f.trace)) {
		return a, j, cli.Usagef("--traceparent: %s is not like 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
			strconv.Quote(f.trace))
	}
	if err := j.Validate(); err != nil {
		return a, j, cli.Usagef("%w", err)
	}
	return a, j, nil
}

// traceparent is W3C's form of today. Others may come, and are passed on, but what is typed here is more likely a slip.
// Of zeros alone a trace or span is none, and everybody would leave it out without a word.
var (
	traceparent = regexp.MustCompile(`^00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$`)
	noTrace     = regexp.MustCompile(`-(0{32}|0{16})-`)
)

func (t *tool) send(ctx context.Context, a queue.Address, j queue.Job, trace string, wait bool) error {
	conn, err := t.connect()
	if err != nil {
		return err
	}
	defer conn.Close()
	var results *queue.Watch
	if wait { // before the job is published: its result may come at once
		reader, err := queue.NewReader(conn)
		if err != nil {
			return err
		}
		if results, err = reader.WatchResults(ctx, a); err != nil {
			return err
		}
		defer results.Stop()
	}
	publisher, err := queue.NewPublisher(conn)
	if err != nil {
		return err
	}
	receipt, err := publisher.Publish(ctx, a, j, queue.WithTraceparent(trace)) // empty: none
	if err != nil {
		return err
	}
	if !wait {
		return t.printReceipt(receipt, j)
	}
	r, err := t.awaitResult(ctx, conn, results, receipt)
	if err != nil {
		return err
	}
	return t.printResult(r)
}

// patience is how long send --wait waits before it says what it waits for.
const patience = 10 * time.Second

// awaitResult waits for a job's result. It may have come while the connection
// was lost; so it is looked up too, whenever there was one in between.
func (t *tool) awaitResult(
	ctx context.Context, conn *nats.Conn, results *queue.Watch, receipt queue.Receipt,
) (queue.Result, error) {
	hint := time.AfterFunc(patience, func() {
		fmt.Fprintln(t.errOut,
			"invitectl: no result yet; the job waits for its quota, its token, or for a worker. Ctrl-C leaves it queued.")
	})
	defer hint.Stop()
	sent := time.Now()
	reconnects := conn.Stats().Reconnects
	for {
		r, err := nextResult(ctx, results)
		switch {
		case err == nil && r.Job == messageOf(receipt):
			return r, nil
		case ctx.Err() != nil:
			return r, fmt.Errorf("stopped waiting; the job stays queued as %s", messageOf(receipt))
		case err != nil && !errors.Is(err, context.DeadlineExceeded):
			return r, err
		}
		if now := conn.Stats().Reconnects; now != reconnects && conn.IsConnected() {
			if r, found := lookUp(ctx, conn, sent, receipt); found {
				return r, nil
			}
			reconnects = now
		}
	}
}

func nextResult(ctx context.Context, results *queue.Watch) (queue.Result, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	return results.Next(ctx)
}

// lookUp finds a job's result among those stored since it was sent.
func lookUp(ctx context.Context, conn *nats.Conn, sent time.Time, receipt queue.Receipt) (queue.Result, bool) {
	reader, err := queue.NewReader(conn)
	if err != nil {
		return queue.Result{}, false
	}
	for r, err := range reader.Results(ctx, queue.Filter{Since: sent.Add(-time.Minute)}) { // clocks differ
		if err != nil {
			break
		}
		if r.Job == messageOf(receipt) {
			return r, true
		}
	}
	return queue.Result{}, false
}

// messageOf names a stored job as results do, and as its id if it has none of its own.
func messageOf(r queue.Receipt) string { return fmt.Sprintf("%s:%d", r.Stream, r.Sequence) }

func (t *tool) printReceipt(r queue.Receipt, j queue.Job) error {
	id := j.ID
	if id == "" {
		id = messageOf(r)
	}
	if t.json {
		return t.printJSON(struct {
			ID       string `json:"id"`
			Stream   string `json:"stream"`
			Sequence uint64 `json:"sequence"`
		}{id, r.Stream, r.Sequence})
	}
	_, err := fmt.Fprintf(t.out, "queued as %s\n", id)
	return err
}

// printResult fails silently when not all were sent: the result says it.
func (t *tool) printResult(r queue.Result) error {
	var err error
	if t.json {
		err = t.printJSON(r)
	} else {
		text := fmt.Sprintf("%s: %d sent", cli.Printable(r.ID), r.Sent)
		if r.Dead > 0 {
			text += fmt.Sprintf(", %d dead", r.Dead)
		}
		if r.Cancelled > 0 {
			text += fmt.Sprintf(", %d dropped", r.Cancelled)
		}
		if r.Reason != "" {
			text += " (" + cli.Printable(string(r.Reason)) + ")"
		}
		calls := "calls"
		if r.Attempts == 1 {
			calls = "call"
		}
		text += fmt.Sprintf(", %s after %d %s", r.EndedAt.Sub(r.PublishedAt).Round(time.Millisecond), r.Attempts, calls)
		if r.MaybeDuplicate {
			text += "; some may have been sent twice"
		}
		_, err = fmt.Fprintln(t.out, text)
	}
	if err == nil && r.Reason != "" {
		return cli.ErrSilent
	}
	return err
}

// printJSON prints one item as one line.
func (t *tool) printJSON(v any) error {
	if err := json.MarshalWrite(t.out, v, json.Deterministic(true)); err != nil {
		return err
	}
	_, err := fmt.Fprintln(t.out)
	return err
}
