package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/invitedhq/invited/cmd/internal/cli"
	"github.com/invitedhq/invited/queue"
)

// startFlags are the flags of campaign start as they were typed.
type startFlags struct {
	title, sender        string
	file                 string
	connection, platform string
	at, expires, rate    string
	skipBad, dryRun      bool
	quota                string
}

func newCampaignStartCommand(t *tool) *cobra.Command {
	var f startFlags
	cmd := &cobra.Command{
		Use:   "start NAME --title T --file F",
		Short: "Invite all players of a file, 16 a call",
		Long: `start reads XUIDs from text (one a line) or CSV (with a column xuid), gzipped or not, and checks every line before anything
is published; repeats are left out. Then it uploads the calls. Interrupted at any moment, run it again with the same file: it uploads
what is missing, and nobody is invited twice. Other recipients under the same name are refused. --at, --expires and --rate can be left
out then: the campaign has its own.

Times are in this machine's zone unless they name another: ` + momentForms + `.`,
		Example: `  invitectl campaign start spring-cup --title 1739947436 --sender cup --file players.csv --connection 'lobby=42'
  zcat players.gz | invitectl campaign start spring-cup --title 1739947436 --file - --dry-run
  invitectl campaign start spring-cup --title 1739947436 --file players.csv.gz --skip-bad --expires +48h
  invitectl campaign start spring-cup --title 1739947436 --file players.csv --at '2026-12-24 18:00' --rate 100/m`,
		Args:              oneName,
		ValidArgsFunction: cobra.NoFileCompletions, // it is a new name
		RunE: func(cmd *cobra.Command, args []string) error {
			order, windows, err := f.order(args[0], time.Now())
			if err != nil {
				return err
			}
			return t.startCampaign(cmd.Context(), order, windows, f, cmd.InOrStdin())
		},
	}
	flags := cmd.Flags()
	flags.SortFlags = false
	flags.StringVar(&f.title, "title", "", "title ID, decimal (required)")
	flags.StringVar(&f.sender, "sender", "default", "whose token is used: a credential's name, or in server mode the inviting user's XUID")
	flags.StringVar(&f.file, "file", "", "file of XUIDs; -: standard input (required)")
	flags.StringVar(&f.connection, "connection", "", "connectionString for the invited players' game")
	flags.StringVar(&f.platform, "platform", "", "one of "+strings.Join(queue.Platforms(), ", ")+"; default any")
	flags.StringVar(&f.at, "at", "", "send nothing before this time: "+startForms+"; default now")
	flags.StringVar(&f.expires, "expires", "", "never send later than this time")
	flags.StringVar(&f.rate, "rate", "", "at most so many recipients, beside the quota: 5/s, 100/m or 2000/h; default no such limit")
	flags.BoolVar(&f.skipBad, "skip-bad", false, "leave out lines that are no XUID")
	flags.BoolVar(&f.dryRun, "dry-run", false, "only say how many recipients and calls, and how long it takes")
	flags.StringVar(&f.quota, "quota", "", "for --dry-run: plan with this quota, such as "+publishedQuota+", not the one that holds")
	t.completeFlag(cmd, anyName, "title", titleOf)
	t.completeFlag(cmd, anyName, "sender", senderOf)
	_ = cmd.MarkFlagFilename("file") // it fails only for a flag that does not exist
	_ = cmd.RegisterFlagCompletionFunc("platform",
		cobra.FixedCompletions(queue.Platforms(), cobra.ShellCompDirectiveNoFileComp))
	return cmd
}

// order checks the flags: what is wrong is told before the file is read.
func (f *startFlags) order(name string, now time.Time) (o queue.CampaignOrder, windows []queue.Window, err error) {
	switch {
	case f.title == "":
		return o, nil, cli.Usagef("--title is missing")
	case f.file == "":
		return o, nil, cli.Usagef("--file is missing: name a file of XUIDs, or - for standard input")
	}
	title, err := parseTitle(f.title)
	if err != nil {
		return o, nil, err
	}
	o = queue.CampaignOrder{
		Address:          queue.Address{TitleID: title, Sender: f.sender, Campaign: name},
		ConnectionString: f.connection, Platform: f.platform,
	}
	if err := f.terms(&o, now); err != nil {
		return o, nil, err
	}
	if err := o.Validate(); err != nil {
		return o, nil, cli.Usagef("%w", err)
	}
	if windows, err = parseQuota(f.quota); err != nil {
		return o, nil, cli.Usagef("--quota: %w", err)
	}
	if windows != nil && !f.dryRun { // else it would be published, and go by another quota
		return o, nil, cli.Usagef("--quota: it is for --dry-run; what is sent goes by the quota of the workers, and by --rate")
	}
	return o, windows, nil
}

// terms reads when, and how fast.
func (f *startFlags) terms(o *queue.CampaignOrder, now time.Time) (err error) {
	if f.at != "" {
		if o.StartAt, err = parseStart(f.at, now); err != nil {
			return err
		}
	}
	if f.rate != "" {
		if o.Rate, err = parseRate("--rate", f.rate); err != nil {
			return err
		}
	}
	if f.expires == "" {
		return nil
	}
	o.ExpiresAt, err = parseMoment("--expires", f.expires, momentForms, now)
	switch {
	case err != nil:
		return err
	case !o.ExpiresAt.After(now):
		return cli.Usagef("--expires: %s has passed", f.expires)
	case !o.ExpiresAt.After(o.StartAt):
		return cli.Usagef("--expires: %s is not after the start, %s: nothing would be sent", f.expires, f.at)
	}
	return nil
}

func (t *tool) startCampaign(ctx context.Context, o queue.CampaignOrder, windows []queue.Window, f startFlags, stdin io.Reader) error {
	list, err := readFile(ctx, f.file, stdin)
	if err != nil {
		return err
	}
	t.printBadLines(list)
	if f.dryRun {
		if err := t.printPlan(o, list, t.plan(ctx, o, list.recipients.Len(), windows)); err != nil {
			return err
		}
	}
	switch {
	case list.bad > 0 && !f.skipBad:
		return fmt.Errorf("%s: %s; nothing was published; mend them, or leave them out with --skip-bad",
			list.name, plural(list.bad, "bad line"))
	case list.recipients.Len() == 0:
		return fmt.Errorf("%s: there is no recipient in it; nothing was published", list.name)
	case f.dryRun:
		return nil
	}
	upload, now, err := t.upload(ctx, &o, list)
	if err == nil {
		return t.printUpload(o, list, upload, now)
	}
	if lasting := explainTerms(o.Address, err); lasting != nil {
		return lasting
	}
	if errors.Is(err, queue.ErrOtherContent) && f.expires != "" {
		return fmt.Errorf("%w; times such as +48h are others now: leave out --expires, --at and --rate to go on with those it has", err)
	}
	for _, lasting := range []error{queue.ErrOtherRecipients, queue.ErrOtherContent, queue.ErrUploadInDoubt} {
		if errors.Is(err, lasting) {
			return err
		}
	}
	if ctx.Err() != nil {
		err = errors.New("stopped")
	}
	if upload.Recipients == 0 { // it was not begun: what an earlier start has stored is not known here
		return fmt.Errorf("%w; run the same again to go on", err)
	}
	return fmt.Errorf("%w; %s of %s recipients are known to be stored; run the same again to go on",
		err, grouped(upload.Stored), grouped(list.recipients.Len()))
}

// upload stores a campaign, and says how it stands then. An order that names no end gets the one that the campaign has.
func (t *tool) upload(ctx context.Context, o *queue.CampaignOrder, list *list) (upload queue.Upload, now queue.CampaignStatus, err error) {
	err = t.organize(ctx, func(organizer *queue.Organizer) error {
		if o.ExpiresAt.IsZero() { // as with its start and rate: a campaign that is gone on with has its own
			before, err := organizer.Status(ctx, o.Address)
			if err != nil && !errors.Is(err, queue.ErrNoCampaign) {
				return err
			}
			o.ExpiresAt = before.ExpiresAt
		}
		var err error
		if upload, err = organizer.Start(ctx, *o, &list.recipients, t.newUploadBar().set); err != nil {
			return err
		}
		now, err = organizer.Status(ctx, o.Address)
		return err
	})
	return upload, now, err
}

// readFile reads the recipients; stdin, where the name is -, is read once, and
// what is kept of it is 8 to 24 bytes a recipient.
func readFile(ctx context.Context, name string, stdin io.Reader) (*list, error) {
	if name == "-" {
		return readList(ctx, "standard input", stdin)
	}
	file, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer func() { _ = file.Close() }() // it was only read
	if info, err := file.Stat(); err == nil && info.IsDir() {
		return nil, fmt.Errorf("%s: it is a directory; nothing was published", name)
	}
	return readList(ctx, name, file)
}

// started is what came of campaign start, as --json prints it.
type started struct {
	Campaign     string    `json:"campaign"`
	TitleID      uint32    `json:"titleId"`
	Sender       string    `json:"sender"`
	Recipients   int       `json:"recipients"`
	Calls        int       `json:"calls"`
	Repeats      int       `json:"repeats"`
	BadLines     int       `json:"badLines"`
	Stored       int       `json:"stored"`       // recipients
	StoredBefore int       `json:"storedBefore"` // recipients, by a start that was interrupted
	DryRun       bool      `json:"dryRun"`
	LeastSeconds *float64  `json:"leastSeconds,omitzero"` // of a dry run; absent: not known
	Quota        string    `json:"quota,omitzero"`
	StartAt      time.Time `json:"startAt,omitzero"`
	RateLimit    float64   `json:"rateLimit,omitzero"` // recipients per second
	Paused       bool      `json:"paused,omitzero"`
	ExpiresAt    time.Time `json:"expiresAt,omitzero"`

	Forecast *forecastItem `json:"forecast,omitzero"` // of a dry run
}

func itemOfStart(o queue.CampaignOrder, l *list) started {
	return started{
		Campaign: o.Address.Campaign, TitleID: o.Address.TitleID, Sender: o.Address.Sender,
		Recipients: l.recipients.Len(), Calls: callsFor(l.recipients.Len()), Repeats: l.repeats, BadLines: l.bad,
		StartAt: o.StartAt.UTC(), RateLimit: o.Rate, ExpiresAt: o.ExpiresAt.UTC(),
	}
}

func (t *tool) printUpload(o queue.CampaignOrder, l *list, u queue.Upload, c queue.CampaignStatus) error {
	if t.json {
		s := itemOfStart(o, l)
		s.Stored, s.StoredBefore = u.Stored, u.Before
		s.StartAt, s.RateLimit, s.Paused = c.Terms.StartAt.UTC(), c.Terms.Rate, c.Terms.Paused
		return t.printJSON(s)
	}
	now := u.Stored - u.Before
	text := fmt.Sprintf("%s: %s in %s stored", o.Address.Campaign, plural(now, "recipient"), plural(callsFor(now), "call"))
	switch {
	case u.Before == u.Recipients:
		text = fmt.Sprintf("%s: all of its %s were stored before; nothing was done", o.Address.Campaign, plural(u.Recipients, "recipient"))
	case u.Before > 0:
		text += fmt.Sprintf("; the first %s were stored before", grouped(u.Before))
	}
	text += l.leftOut() + t.termsText(c)
	_, err := fmt.Fprintln(t.out, text)
	return err
}

// termsText says what keeps a campaign from being sent at once, as fast as the quota allows.
func (t *tool) termsText(c queue.CampaignStatus) (text string) {
	if c.Terms.Paused {
		text += "; it is paused, invitectl campaign resume " + which(c.Address) + " lets it go on"
	}
	if starts := t.startText(c); starts != "" {
		text += "; not to start before " + starts
	}
	if limit := limitText(c); limit != "" {
		text += "; at most " + limit
	}
	return text
}
