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
	"github.com/invitedhq/invited/dispatcher"
	"github.com/invitedhq/invited/queue"
)

// jobsPerLook is how many messages of each stream are looked at for one job at once.
const jobsPerLook = 2000

// jobPage is what is known of one job.
type jobPage struct {
	ID, Title, Sender string
	Asked             bool
	State             string // in a word; empty: it was not found
	Class             string
	Words             string
	Facts             []fact
	Letters           []letterRow
	Looked            string
	Further           string // where the search goes on; empty: all was looked at
}

func (c *Console) job(ctx context.Context, r *running, req *http.Request) (*page, error) {
	v := req.URL.Query()
	word := func(name string) string { return strings.TrimSpace(v.Get(name)) }
	data := jobPage{ID: word("id"), Title: word("title"), Sender: word("sender")}
	p := &page{Title: "A job", Here: "/job", Template: "job", Data: &data}
	if data.ID == "" {
		return p, nil
	}
	data.Asked = true
	q, err := data.query(v)
	if err != nil {
		return nil, err
	}
	if here, err := r.Dispatcher.Find(ctx, data.ID); err == nil && here != nil {
		c.inHand(&data, here)
		return p, nil
	}
	reader, err := r.theReader()
	if err != nil {
		return nil, err
	}
	trace, err := reader.TraceJob(ctx, q, jobsPerLook)
	if errors.Is(err, queue.ErrJobID) {
		return nil, badAsk("A job's id is 1 to 128 bytes long.")
	}
	if err != nil {
		return nil, err
	}
	data.Looked = plural(trace.Looked, "message")
	switch {
	case trace.Result != nil:
		c.ended(&data, *trace.Result, trace.Letters)
	case trace.Waiting != nil:
		c.waiting(&data, *trace.Waiting, r)
	}
	if trace.Next != nil {
		data.Further = data.from(*trace.Next)
	}
	return p, nil
}

// query is what is asked for: a job, and where the search begins.
func (d *jobPage) query(v url.Values) (q queue.JobQuery, err error) {
	q = queue.JobQuery{ID: d.ID, Sender: d.Sender}
	if d.Title != "" {
		title, err := strconv.ParseUint(d.Title, 10, 32)
		if err != nil {
			return q, badAsk("A title ID is a decimal number.")
		}
		id := uint32(title)
		q.TitleID = &id
	}
	if d.Sender != "" && (queue.Address{TitleID: 1, Sender: d.Sender}).Validate() != nil {
		return q, badAsk("A sender is 1 to 64 of A-Z a-z 0-9 _ and -.")
	}
	for _, of := range []struct {
		name string
		at   *uint64
	}{{"results", &q.From.Results}, {"jobs", &q.From.Jobs}, {"campaigns", &q.From.Campaigns}} {
		if *of.at, err = sequenceOf(v.Get(of.name)); err != nil {
			return q, err
		}
	}
	return q, nil
}

// from is the address that goes on with the search from a place.
func (d *jobPage) from(place queue.JobCursor) string {
	next := url.Values{"id": {d.ID}, "title": {d.Title}, "sender": {d.Sender}}
	for name, at := range map[string]uint64{"results": place.Results, "jobs": place.Jobs, "campaigns": place.Campaigns} {
		if at > 0 {
			next.Set(name, strconv.FormatUint(at, 10))
		}
	}
	return "/job?" + next.Encode()
}

func (d *jobPage) add(name, text string) {
	if text != "" {
		d.Facts = append(d.Facts, fact{Name: name, Text: text})
	}
}

func (d *jobPage) at(name string, t time.Time) {
	if !t.IsZero() {
		d.Facts = append(d.Facts, fact{Name: name, At: t})
	}
}

func (c *Console) address(d *jobPage, a queue.Address) {
	if a.TitleID > 0 {
		d.add("Title", strconv.FormatUint(uint64(a.TitleID), 10))
	}
	d.add("Sender", c.sender(a.Sender))
	d.add("Campaign", cli.Printable(a.Campaign))
}

// inHand describes a job that this worker has.
func (c *Console) inHand(d *jobPage, j *dispatcher.JobInHand) {
	d.State, d.Class = string(j.State), "calm"
	d.Words = "This worker has it in hand."
	if j.State == dispatcher.JobInCall {
		d.Class, d.Words = "good", "This worker has it in hand: a call with recipients of it is not answered yet."
	}
	d.add("Job", fmt.Sprintf("%s:%d", j.Stream, j.Sequence))
	c.address(d, j.Address)
	d.at("Published", j.PublishedAt)
	d.add("Recipients", endedOf(j.Recipients, j.Sent, j.Dead))
	d.add("Calls made", grouped(j.Attempts))
}

// waiting describes a job that is in its queue.
func (c *Console) waiting(d *jobPage, w queue.WaitingJob, r *running) {
	d.State, d.Class, d.Words = "waiting", "calm", "It is in its queue, and no worker has it in hand."
	if w.Delivered {
		owner := ""
		for _, a := range r.Queue.Activities() {
			for _, n := range a.Partitions {
				if n == w.Partition {
					owner = cli.Printable(a.Name)
				}
			}
		}
		d.Words = "A worker has it in hand, or set aside until its sender gets on."
		if owner != "" {
			d.Words = "Worker " + owner + " has it in hand, or set aside until its sender gets on. " +
				"Whether it is in a call right now is known there alone."
		}
	}
	d.add("Job", fmt.Sprintf("%s:%d", w.Stream, w.Sequence))
	c.address(d, w.Address)
	if w.Partition >= 0 {
		d.add("Partition", strconv.Itoa(w.Partition))
	}
	d.at("Published", w.PublishedAt)
	d.at("Expires", w.ExpiresAt)
	d.add("Recipients", endedOf(w.Recipients, w.Sent, w.Dead))
	if w.Attempts > 0 {
		d.add("Calls made", grouped(w.Attempts))
	}
}

// endedOf is how many of a job's recipients have ended.
func endedOf(recipients, sent, dead int) string {
	if recipients == 0 {
		return "none: it is no job"
	}
	text := grouped(recipients)
	if sent+dead > 0 {
		text += fmt.Sprintf(": %s sent, %s dead so far", grouped(sent), grouped(dead))
	}
	return text
}

// ended describes a job's end.
func (c *Console) ended(d *jobPage, r queue.Result, letters []queue.DeadLetter) {
	switch {
	case r.Dead == 0 && r.Sent > 0 && r.Cancelled == 0:
		d.State, d.Class, d.Words = "sent", "good", "All of its recipients were sent."
	case r.Sent > 0:
		d.State, d.Class, d.Words = "partly sent", "warn", "Some of its recipients were sent."
	case r.Cancelled > 0 && r.Dead == 0:
		d.State, d.Class, d.Words = "dropped", "warn", "Its campaign was cancelled before it was sent."
	default:
		d.State, d.Class, d.Words = "dead", "bad", "Nothing of it was sent."
	}
	d.add("Job", c.text(r.Job))
	d.add("Id", c.text(r.ID))
	c.address(d, queue.Address{TitleID: r.TitleID, Sender: r.Sender, Campaign: r.Campaign})
	d.add("Sent", grouped(r.Sent))
	if r.Dead > 0 || r.Reason != "" {
		d.add("Dead", strings.TrimSpace(grouped(r.Dead)+" "+c.text(string(r.Reason))))
	}
	if r.Cancelled > 0 {
		d.add("Dropped", grouped(r.Cancelled))
	}
	d.add("Calls made", grouped(r.Attempts))
	if r.MaybeDuplicate {
		d.add("Maybe twice", "a call's outcome was not known, and it was made again")
	}
	d.at("Published", r.PublishedAt)
	d.at("Ended", r.EndedAt)
	if !r.PublishedAt.IsZero() && r.EndedAt.After(r.PublishedAt) {
		d.add("Took", span(r.EndedAt.Sub(r.PublishedAt)))
	}
	for _, l := range letters {
		d.Letters = append(d.Letters, c.letterRow(l))
	}
}
