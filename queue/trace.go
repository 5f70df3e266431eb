package queue

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// JobQuery names a job. Its title and sender narrow the search, which is what
// makes one by a producer's own id quick.
type JobQuery struct {
	ID      string  // as results and dead letters call it
	TitleID *uint32 // nil: any
	Sender  string  // empty: any

	// Where an earlier search ended: see JobTrace.Next. The zero value begins at the newest.
	From JobCursor
}

// JobCursor is how far a search has come: sequences below which it goes on; 0: from the end.
type JobCursor struct{ Results, Jobs, Campaigns uint64 }

// JobTrace is what is known of a job. Neither Waiting nor Result: it was not found.
type JobTrace struct {
	Waiting *WaitingJob  // it is in its queue; nil: it is not, or was not found there
	Result  *Result      // how it ended; nil: it has not, or that was not found
	Letters []DeadLetter // of the result: what of it is dead, as far as that is there still
	Looked  int          // messages that were looked at
	Next    *JobCursor   // where the search goes on; nil: all was looked at
}

// WaitingJob is a job that has not ended.
type WaitingJob struct {
	Stream      string
	Sequence    uint64
	Address     Address
	PublishedAt time.Time
	ExpiresAt   time.Time // zero: it does not say
	Recipients  int       // 0 for what is no job
	Delivered   bool      // to the owner of its partition, who has it in hand, or set aside by name
	Partition   int       // -1: not known
	Sent, Dead  int       // recipients that have ended
	Attempts    int       // calls, as far as they are stored: see Progress
}

// ErrJobID means that an id can be no job's.
var ErrJobID = fmt.Errorf("a job's id is 1 to %d bytes", MaxID)

// TraceJob looks for a job. One that has no id of its own is called
// "<stream>:<sequence>", and is found in its queue by one request; how it ended,
// and all of a job with an id of its own, is looked for from the newest result,
// and the newest job, backwards, in at most most messages of each stream.
// No stream is read as a whole, and no consumer made: a job that is not found
// within those is looked for further by another call, from Next.
func (r *Reader) TraceJob(ctx context.Context, q JobQuery, most int) (JobTrace, error) {
	if checkID(q.ID) != nil || q.ID == "" {
		return JobTrace{}, ErrJobID
	}
	t := &tracer{r: r, q: q, most: most}
	if stream, sequence, ok := reference(q.ID); ok {
		found, err := t.bySequence(ctx, stream, sequence)
		if err != nil || found {
			return t.trace, err
		}
		t.bySeq = true
	}
	if err := t.search(ctx); err != nil {
		return JobTrace{}, err
	}
	return t.trace, nil
}

// reference reads "<stream>:<sequence>" of a work queue.
func reference(id string) (stream string, sequence uint64, ok bool) {
	stream, number, found := strings.Cut(id, ":")
	sequence, err := strconv.ParseUint(number, 10, 64)
	return stream, sequence, found && err == nil && sequence > 0 && (stream == JobsStream || stream == CampaignsStream)
}

// tracer is one search.
type tracer struct {
	r     *Reader
	q     JobQuery
	most  int
	bySeq bool // it is not in its queue
	trace JobTrace
}

// bySequence looks whether a message is in its queue.
func (t *tracer) bySequence(ctx context.Context, stream string, sequence uint64) (found bool, err error) {
	s, err := t.r.stream(ctx, stream)
	if err != nil {
		return false, err
	}
	m, err := getMsg(ctx, t.r.js, s, sequence, "")
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("reading %s: %w", stream, explain(err))
	}
	t.trace.Looked++
	return true, t.waits(ctx, stream, m)
}

// waits describes a message of a work queue.
func (t *tracer) waits(ctx context.Context, stream string, m *jetstream.RawStreamMsg) error {
	w := &WaitingJob{Stream: stream, Sequence: m.Sequence, PublishedAt: m.Time, Partition: -1}
	w.Address, _ = ParseSubject(published(m.Subject)) // what can be read of it is shown
	if j, err := DecodeJob(m.Data); err == nil {
		w.Recipients, w.ExpiresAt = len(j.InvitedUsers), j.ExpiresAt
	}
	name := campaignConsumer(m.Subject)
	if rest, ok := strings.CutPrefix(m.Subject, partPrefix); ok {
		part, _, _ := strings.Cut(rest, ".")
		if n, err := strconv.Atoi(part); err == nil {
			w.Partition, name = n, "partition-"+part
		}
	} else if jobs, err := t.r.stream(ctx, JobsStream); err == nil {
		if n := partitionsOf(jobs.CachedInfo().Config.SubjectTransform); n > 0 && w.Address.Sender != "" {
			w.Partition = PartitionOf(w.Address, n)
		}
	}
	s, err := t.r.stream(ctx, stream)
	if err != nil {
		return err
	}
	asking, cancel := context.WithTimeout(ctx, tryTimeout)
	defer cancel()
	if consumer, err := s.Consumer(asking, name); err == nil {
		w.Delivered = consumer.CachedInfo().Delivered.Stream >= m.Sequence
	} else if !errors.Is(err, jetstream.ErrConsumerNotFound) {
		return fmt.Errorf("who has it in hand: %w", explain(err))
	}
	if err := t.progressOf(asking, w); err != nil {
		return err
	}
	t.trace.Waiting, t.trace.Next = w, nil
	return nil
}

// progressOf adds what is stored of a job that is partly ended.
func (t *tracer) progressOf(ctx context.Context, w *WaitingJob) error {
	s, err := t.r.stream(ctx, ProgressStream)
	if err != nil {
		return err
	}
	d := &Delivery{Stream: w.Stream, Sequence: w.Sequence, Address: w.Address}
	m, err := s.GetLastMsgForSubject(ctx, d.progressSubject())
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("reading %s: %w", ProgressStream, explain(err))
	}
	var p progressRecord
	if json.Unmarshal(m.Data, &p) != nil || p.Published != w.PublishedAt.UnixNano() {
		return nil //nolint:nilerr // it is another job's
	}
	if counts, wrong := p.counts(); wrong == nil {
		w.Sent, w.Dead, w.Attempts = counts.sent, counts.ended()-counts.sent, p.Attempts
	}
	return nil
}

// search looks through results, and through the queues where the job may be in one.
func (t *tracer) search(ctx context.Context) error {
	next := t.q.From
	title, sender := titleToken(t.q.TitleID), or(t.q.Sender, "*")
	more := false
	results := resultsPrefix + title + "." + sender + ".*"
	err := t.look(ctx, ResultsStream, results, &next.Results, &more, func(m *jetstream.RawStreamMsg) (bool, error) {
		if m.Header.Get(headerJob) != t.q.ID && LooseID(m.Data) != t.q.ID {
			return false, nil
		}
		result, err := parseResult(&nats.Msg{Data: m.Data, Header: m.Header})
		if err != nil {
			return false, nil //nolint:nilerr // somebody else wrote it
		}
		t.trace.Result = &result
		return true, t.letters(ctx, result, m.Time)
	})
	if err != nil || t.trace.Result != nil {
		return err
	}
	if !t.bySeq {
		for _, of := range []struct {
			stream, subject string
			from            *uint64
		}{
			{JobsStream, partPrefix + "*." + title + "." + sender, &next.Jobs},
			{CampaignsStream, campaignsPrefix + title + "." + sender + ".*", &next.Campaigns},
		} {
			err := t.look(ctx, of.stream, of.subject, of.from, &more, func(m *jetstream.RawStreamMsg) (bool, error) {
				if LooseID(m.Data) != t.q.ID {
					return false, nil
				}
				return true, t.waits(ctx, of.stream, m)
			})
			if err != nil || t.trace.Waiting != nil {
				return err
			}
		}
	}
	if more {
		t.trace.Next = &next
	}
	return nil
}

// lookedAll is a cursor's value where nothing is left: no message is before it.
const lookedAll = 1

// look hands over messages, the newest first, until one is the one.
func (t *tracer) look(
	ctx context.Context, stream, subject string, from *uint64, more *bool, is func(*jetstream.RawStreamMsg) (bool, error),
) error {
	info, err := t.r.info(ctx, stream)
	if err != nil {
		return err
	}
	s, err := t.r.stream(ctx, stream)
	if err != nil {
		return err
	}
	w := &walker{js: t.r.js, stream: s, subject: subject, before: *from, gets: t.most * getsPerLook}
	if end := info.State.LastSeq + 1; w.before == 0 || w.before > end {
		w.before = end
	}
	for looked := 0; ; {
		found, err := w.next(ctx)
		if errors.Is(err, errWalkOver) || err == nil && looked >= t.most {
			*from, *more = w.before, true
			if looked >= t.most && len(found) > 0 {
				*from = found[0].Sequence + 1
			}
			return nil
		}
		if err != nil {
			return err
		}
		if len(found) == 0 {
			*from = lookedAll
			return nil
		}
		for _, m := range found {
			looked++
			t.trace.Looked++
			if yes, err := is(m); yes || err != nil {
				return err
			}
		}
	}
}

// lettersNear is how many letters before a result are looked at for those of its job: they are stored just before it.
const lettersNear = 256

// letters finds the dead letters of a job that has just ended at a time.
func (t *tracer) letters(ctx context.Context, result Result, at time.Time) error {
	if result.Dead == 0 && result.Sent+result.Cancelled > 0 {
		return nil
	}
	f := LetterFilter{JobID: result.ID, Until: at.Add(time.Nanosecond), Filter: Filter{Since: result.PublishedAt.Add(-time.Minute)}}
	if result.TitleID != 0 {
		f.TitleID = &result.TitleID
	}
	page, err := t.r.LetterPage(ctx, f, 0, len(Reasons()), lettersNear)
	t.trace.Letters = page.Letters
	t.trace.Looked += page.Looked
	return err
}
