package console

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/invitedhq/invited/cmd/internal/cli"
	"github.com/invitedhq/invited/queue"
)

const (
	// lettersPerPage are shown at once ...
	lettersPerPage = 50
	// ... and so many are looked at for them at most: some tenths of a second.
	lettersPerLook = 2000
	// maxChange is how many letters are replayed or dropped at once: some seconds. More take another click, or invitectl.
	maxChange = 1000
	// maxChangeBytes bounds their bodies, which are in memory meanwhile.
	maxChangeBytes = 32 << 20
)

// letterQuery is which letters are asked for.
type letterQuery struct {
	Title, Reason, Campaign, Since, Until, Job string

	filter queue.LetterFilter
}

// queryOf reads it from a page's address, or a form.
func queryOf(v url.Values, now time.Time) (letterQuery, error) {
	q := letterQuery{
		Title: strings.TrimSpace(v.Get("title")), Reason: v.Get("reason"), Campaign: strings.TrimSpace(v.Get("campaign")),
		Since: strings.TrimSpace(v.Get("since")), Until: strings.TrimSpace(v.Get("until")), Job: strings.TrimSpace(v.Get("job")),
	}
	f := &q.filter
	if q.Title != "" {
		title, err := strconv.ParseUint(q.Title, 10, 32)
		if err != nil {
			return q, badAsk("A title ID is a decimal number; 0 is for letters whose title can't be read.")
		}
		id := uint32(title)
		f.TitleID = &id
	}
	if q.Reason != "" {
		if f.Reason = queue.Reason(q.Reason); !f.Reason.Known() {
			return q, badAsk("There is no such reason.")
		}
	}
	f.Campaign, f.JobID = q.Campaign, q.Job
	for _, of := range []struct {
		text string
		at   *time.Time
	}{{q.Since, &f.Since}, {q.Until, &f.Until}} {
		var err error
		if *of.at, err = momentOf(of.text, now); err != nil {
			return q, err
		}
	}
	return q, nil
}

// momentOf reads "90m" (so long ago), or a time: in UTC unless it names a zone.
func momentOf(text string, now time.Time) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	if d, err := time.ParseDuration(text); err == nil && d >= 0 {
		return now.Add(-d), nil
	}
	for _, form := range []string{
		time.RFC3339, "2006-01-02T15:04:05", "2006-01-02T15:04", "2006-01-02 15:04:05", "2006-01-02 15:04", "2006-01-02",
	} {
		if at, err := time.Parse(form, text); err == nil {
			return at, nil
		}
	}
	return time.Time{}, badAsk("A time is so long ago (90m, 24h), or 2026-12-24 18:00 in UTC, or 2026-12-24T18:00:00+01:00.")
}

// values is the query as an address has it.
func (q letterQuery) values() url.Values {
	v := url.Values{}
	for _, f := range q.fields() {
		v.Set(f.Name, f.Value)
	}
	return v
}

func (q letterQuery) fields() (all []field) {
	for _, f := range []field{
		{"title", q.Title}, {"reason", q.Reason}, {"campaign", q.Campaign}, {"since", q.Since}, {"until", q.Until}, {"job", q.Job},
	} {
		if f.Value != "" {
			all = append(all, f)
		}
	}
	return all
}

// lettersPage is a page of dead letters.
type lettersPage struct {
	letterQuery
	Reasons  []queue.Reason
	Rows     []letterRow
	All      string // how many are selected, where that is known
	Newest   string // the address of the first page; empty: this is it
	Older    string // of the next one; empty: there is none
	Looked   string // how many were looked at, where that is not how many are shown
	Oldest   time.Time
	Selected []field
	Actions  bool
}

type letterRow struct {
	Sequence   uint64
	At         time.Time
	TitleID    uint32
	Sender     string
	Campaign   string
	Reason     string
	Recipients string
	Job        string
	JobLink    string // the id as it is; empty: a player may be named in it, and addresses are for browsers' histories too
	Detail     string
}

func (c *Console) letterRow(l queue.DeadLetter) letterRow {
	row := letterRow{
		Sequence: l.Sequence, At: l.StoredAt, TitleID: l.Address.TitleID, Sender: c.sender(l.Address.Sender), Campaign: l.Address.Campaign,
		Reason: c.text(string(l.Reason)), Job: c.text(l.JobID), Detail: c.text(l.Detail), Recipients: "?",
	}
	if row.Job == cli.Printable(l.JobID) {
		row.JobLink = l.JobID
	}
	if n := recipientsOf(l); n > 0 {
		row.Recipients = grouped(n)
	}
	return row
}

// recipientsOf is 0 for what is no job.
func recipientsOf(l queue.DeadLetter) int {
	j, err := queue.DecodeJob(l.Body)
	if err != nil {
		return 0
	}
	return len(j.InvitedUsers)
}

func (c *Console) letters(ctx context.Context, r *running, req *http.Request) (*page, error) {
	values := req.URL.Query()
	q, err := queryOf(values, time.Now())
	if err != nil {
		return nil, err
	}
	before, err := sequenceOf(values.Get("before"))
	if err != nil {
		return nil, err
	}
	reader, err := r.theReader()
	if err != nil {
		return nil, err
	}
	found, err := reader.LetterPage(ctx, q.filter, before, lettersPerPage, lettersPerLook)
	if err != nil {
		return nil, err
	}
	data := lettersPage{
		letterQuery: q, Reasons: queue.Reasons(), Selected: q.fields(), Oldest: found.Oldest, Actions: c.opts.Admin.Actions,
	}
	for _, l := range found.Letters {
		data.Rows = append(data.Rows, c.letterRow(l))
	}
	if q.filter.Counted() {
		if b, err := reader.Backlog(ctx); err == nil {
			data.All = plural(b.Letters(q.filter.Filter), "dead letter")
		}
	}
	if found.Looked > len(found.Letters) {
		data.Looked = plural(found.Looked, "letter")
	}
	if before > 0 {
		data.Newest = "/dead?" + q.values().Encode()
	}
	if found.Before > 0 {
		v := q.values()
		v.Set("before", strconv.FormatUint(found.Before, 10))
		data.Older = "/dead?" + v.Encode()
	}
	return &page{Title: "Dead letters", Here: "/dead", Template: "letters", Data: data}, nil
}

func sequenceOf(s string) (uint64, error) {
	if s == "" {
		return 0, nil
	}
	n, err := strconv.ParseUint(s, 10, 64)
	if err != nil {
		return 0, badAsk("A letter's number is a decimal number.")
	}
	return n, nil
}

// letterPage is one letter.
type letterPage struct {
	letterRow
	Facts   []fact
	Body    string
	NoJob   bool
	Masked  bool
	Back    string
	Actions bool
}

func (c *Console) letter(ctx context.Context, r *running, req *http.Request) (*page, error) {
	sequence, err := sequenceOf(req.PathValue("sequence"))
	if err != nil {
		return nil, err
	}
	reader, err := r.theReader()
	if err != nil {
		return nil, err
	}
	l, err := reader.DeadLetter(ctx, sequence)
	if errors.Is(err, queue.ErrNoLetter) {
		return nil, notFound("There is no such dead letter: it was replayed, dropped, or is older than 30 days.")
	}
	if err != nil {
		return nil, err
	}
	data := letterPage{letterRow: c.letterRow(l), Masked: !c.opts.Admin.ShowPlayers, Actions: c.opts.Admin.Actions}
	add := func(name, text string) {
		if text != "" {
			data.Facts = append(data.Facts, fact{Name: name, Text: text})
		}
	}
	add("Reason", data.Reason)
	add("Detail", data.Detail)
	if l.Status != 0 {
		add("Status", strings.TrimSpace(fmt.Sprintf("%d %s", l.Status, c.text(l.ErrorCode))))
	}
	add("Calls made", grouped(l.Attempts))
	add("Recipients", data.Recipients)
	if l.Address.TitleID > 0 {
		add("Title", strconv.FormatUint(uint64(l.Address.TitleID), 10))
	}
	add("Sender", data.Sender)
	add("Campaign", l.Address.Campaign)
	add("Published on", c.subject(l))
	for _, of := range []struct {
		name string
		at   time.Time
	}{{"Published", l.PublishedAt}, {"Dead", l.DeadAt}, {"Stored", l.StoredAt}} {
		if !of.at.IsZero() {
			data.Facts = append(data.Facts, fact{Name: of.name, At: of.at})
		}
	}
	add("Trace", c.trace(l.Traceparent))
	j, err := queue.DecodeJob(l.Body)
	if data.NoJob = err != nil; data.NoJob {
		data.Body = c.rawBody(l.Body)
	} else {
		data.Body = c.jobText(j)
	}
	return &page{Title: "Dead letter " + grouped(sequence), Here: "/dead", Template: "letter", Data: data}, nil
}

// subject is where a letter's job was published.
func (c *Console) subject(l queue.DeadLetter) string {
	if s := l.Address.Sender; s != "" && c.masksSenders() {
		l.Subject = strings.Replace(l.Subject, "."+s, "."+c.sender(s), 1)
	}
	return c.text(l.Subject)
}

// changing are the changes of letters.
var changing = map[string]struct {
	label, done, class, words string
	do                        func(*queue.Replayer, context.Context, queue.DeadLetter) error
}{
	"replay": {
		"Replay", "replayed", "primary", "The job of each letter is published again where it came from, with only the recipients that " +
			"were not sent. It goes through the same queues and the same quota as any job. A letter is removed once its job is back " +
			"in its queue.",
		(*queue.Replayer).Replay,
	},
	"drop": {
		"Drop", "dropped", "danger", "The letters are removed for good: nobody can replay them, and nobody can see any more who was " +
			"not sent.",
		(*queue.Replayer).Drop,
	},
}

// selection is the letters that a form names: each by its number, or all that a query selects up to one.
type selection struct {
	letters []queue.DeadLetter
	more    bool // than maxChange, or than were looked at
	query   letterQuery
	all     bool
	through uint64
}

// selected reads a selection. It has at most maxChange letters, the newest.
func (r *running) selected(ctx context.Context, v url.Values) (s selection, err error) {
	if s.query, err = queryOf(v, time.Now()); err != nil {
		return s, err
	}
	reader, err := r.theReader()
	if err != nil {
		return s, err
	}
	if s.all = v.Get("all") != ""; !s.all {
		err = s.readNumbers(ctx, reader, v["letter"])
		return s, err
	}
	if s.through, err = sequenceOf(v.Get("through")); err != nil {
		return s, err
	}
	err = s.readQuery(ctx, reader)
	return s, err
}

// readNumbers reads the letters of these numbers.
func (s *selection) readNumbers(ctx context.Context, reader *queue.Reader, numbers []string) error {
	if s.more = len(numbers) > maxChange; s.more {
		numbers = numbers[:maxChange]
	}
	bodies := 0
	for _, number := range numbers {
		sequence, err := sequenceOf(number)
		if err != nil {
			return err
		}
		l, err := reader.DeadLetter(ctx, sequence)
		if errors.Is(err, queue.ErrNoLetter) {
			continue // somebody else was faster
		}
		if err != nil {
			return err
		}
		s.letters = append(s.letters, l)
		if bodies += len(l.Body); bodies >= maxChangeBytes {
			s.more = true
			break
		}
	}
	return nil
}

// readQuery reads the letters of its query, from the one that through says on, or else the newest; and then through is the first of them.
func (s *selection) readQuery(ctx context.Context, reader *queue.Reader) error {
	before, bodies := uint64(0), 0
	if s.through > 0 {
		before = s.through + 1
	}
	for s.more = true; s.more && len(s.letters) < maxChange && bodies < maxChangeBytes; {
		found, err := reader.LetterPage(ctx, s.query.filter, before, maxChange-len(s.letters), lettersPerLook)
		if err != nil {
			return err
		}
		s.letters = append(s.letters, found.Letters...)
		for _, l := range found.Letters {
			bodies += len(l.Body)
		}
		before, s.more = found.Before, found.Before > 0
		if len(s.letters) == 0 && found.Looked >= lettersPerLook {
			break // go on from an older page
		}
	}
	if len(s.letters) > 0 {
		s.through = s.letters[0].Sequence
	}
	return nil
}

func (c *Console) askLetters(ctx context.Context, r *running, req *http.Request) (*page, error) {
	values := req.URL.Query()
	how, known := changing[values.Get("do")]
	if !known {
		return nil, badAsk("Replay, or drop?")
	}
	s, err := r.selected(ctx, values)
	if err != nil {
		return nil, err
	}
	recipients, noJobs := 0, 0
	ask := askPage{
		Button: how.label, Class: how.class, Post: "/dead/" + values.Get("do"), Back: "/dead?" + s.query.values().Encode(),
		Actions: c.opts.Admin.Actions,
	}
	for _, l := range s.letters {
		n := recipientsOf(l)
		if recipients += n; n == 0 {
			noJobs++
		}
		if !s.all {
			ask.Fields = append(ask.Fields, field{"letter", strconv.FormatUint(l.Sequence, 10)})
		}
	}
	ask.Question = fmt.Sprintf("%s %s for %s?", how.label, plural(len(s.letters), "dead letter"), plural(recipients, "recipient"))
	if len(s.letters) == 0 {
		return nil, badAsk("No letter is selected, or those that were are gone: go back and mark some.")
	}
	if s.more {
		ask.Words = append(ask.Words, fmt.Sprintf("These are the newest %s; there may be more. Do it again for the next ones, "+
			"or take invitectl dead %s.", grouped(len(s.letters)), values.Get("do")))
	}
	ask.Words = append(ask.Words, how.words)
	if noJobs > 0 && values.Get("do") == "replay" {
		ask.Words = append(ask.Words, fmt.Sprintf("%s no job, and will be dead again as it is.", countIs(noJobs)))
	}
	if s.all {
		ask.Fields = append(s.query.fields(), field{"all", "1"}, field{"through", strconv.FormatUint(s.through, 10)})
		ask.Words = append(ask.Words, "What dies after this page was made is left alone.")
	}
	return &page{Title: ask.Question, Here: "/dead", Template: "ask", Data: ask}, nil
}

func countIs(n int) string {
	if n == 1 {
		return "1 of them is"
	}
	return grouped(n) + " of them are"
}

// donePage is what came of a change.
type donePage struct {
	Words    string
	Failed   []failedLetter
	FailedIn string
	Back     string
}

type failedLetter struct {
	Sequence uint64
	Words    string
}

// shownFailures is how many letters are listed that can't be changed.
const shownFailures = 20

// changeLetters replays or drops a selection.
func (c *Console) changeLetters(ctx context.Context, r *running, req *http.Request) (*page, error) {
	do := req.PathValue("do")
	how, known := changing[do]
	if !known {
		return nil, notFound("There is no such change.")
	}
	s, err := r.selected(ctx, req.PostForm)
	if err != nil {
		return nil, err
	}
	replayer, err := r.theReplayer(ctx)
	if err != nil {
		return nil, err
	}
	letters, recipients, failed := 0, 0, 0
	data := donePage{Back: "/dead?" + s.query.values().Encode()}
	for _, l := range s.letters {
		err = how.do(replayer, ctx, l)
		if stays(err) {
			if failed++; failed <= shownFailures {
				data.Failed = append(data.Failed, failedLetter{l.Sequence, c.text(err.Error())})
			}
			err = nil
			continue
		}
		if err != nil {
			break
		}
		letters++
		recipients += recipientsOf(l)
	}
	c.did(req, err, do+" of dead letters", "letters", letters, "recipients", recipients, "not_possible", failed,
		"filter", s.query.values().Encode())
	data.Words = fmt.Sprintf("%s for %s %s.", plural(letters, "dead letter"), plural(recipients, "recipient"), how.done)
	if failed > 0 {
		data.FailedIn = fmt.Sprintf("%s can't be, and stay:", grouped(failed))
	}
	if err != nil {
		data.FailedIn = "Then it failed: " + c.text(err.Error()) + ". Do it again to go on: nothing is done twice."
	}
	return &page{Title: data.Words, Here: "/dead", Template: "done", Data: data}, nil
}

// stays says whether a letter can't be changed as it is, whatever happens to the others.
func stays(err error) bool {
	return errors.Is(err, queue.ErrNotReplayable) || errors.Is(err, queue.ErrPast) || errors.Is(err, queue.ErrInDoubt) ||
		errors.Is(err, queue.ErrReplayDropped)
}
