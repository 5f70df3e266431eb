package queue

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/go-json-experiment/json"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// Why a dead letter can't be replayed.
var (
	// ErrNotReplayable means that the letter does not say where its job was published.
	ErrNotReplayable = errors.New("it does not say on which subject it was published; publish its body by hand, then drop it")
	// ErrPast means that the job would only expire again.
	ErrPast = errors.New("its expiresAt has passed, so it would only expire again; publish its body with a later one by hand, then drop it")
	// ErrReplayDropped means that the letter's campaign was cancelled: what is put back would be dropped.
	ErrReplayDropped = errors.New("its campaign was cancelled, so it would be dropped; " +
		"invite its players under another campaign's name, then drop it")
	// ErrInDoubt means that a replay was interrupted so long ago that its trace is gone.
	ErrInDoubt = errors.New("a replay of it was interrupted more than a day ago, and whether it was published can't be known any more; " +
		"look for it in your own records, then drop it or publish its body by hand")
)

// Replayer puts dead letters back into their queues, or drops them. It needs an
// operator's permissions. It is safe for concurrent use, by several operators too.
type Replayer struct {
	js      jetstream.JetStream
	streams map[string]jetstream.Stream
}

// NewReplayer returns a replayer on nc, which stays the caller's. The streams must be there.
func NewReplayer(ctx context.Context, nc *nats.Conn) (*Replayer, error) {
	js, err := newJetStream(nc)
	if err != nil {
		return nil, err
	}
	r := &Replayer{js: js, streams: make(map[string]jetstream.Stream)}
	for _, name := range []string{JobsStream, CampaignsStream, DeadStream, ResultsStream, ProgressStream, ControlStream} {
		if r.streams[name], err = js.Stream(ctx, name); err != nil {
			return nil, fmt.Errorf("stream %s: %w", name, explain(err))
		}
	}
	return r, nil
}

// intent says that a letter's replay was begun. It is written before the job is
// published and removed after the letter is, so that a replay that was
// interrupted anywhere is finished by the next one, and never done twice.
type intent struct {
	After uint64 `json:"after"` // last sequence of the work queue before
}

// Replay publishes the letter's job again where it was published, and removes
// the letter once that is stored. Interrupted at any step it can be called
// again: it looks whether the job was published, in its queue and among results,
// and does only what is left. A letter that is gone is replayed already.
func (r *Replayer) Replay(ctx context.Context, l DeadLetter) error {
	m, stream, err := replayMessage(l)
	if err == nil && stream == CampaignsStream {
		err = r.checkTerms(ctx, l.Subject)
	}
	if err == nil {
		err = r.publish(ctx, l, m, stream)
	}
	if err == nil {
		err = r.Drop(ctx, l)
	}
	if err != nil {
		return fmt.Errorf("dead letter %d: %w", l.Sequence, err)
	}
	return nil
}

// checkTerms says ErrReplayDropped of a campaign that was cancelled.
func (r *Replayer) checkTerms(ctx context.Context, subject string) error {
	terms, _, _, err := getRecord(ctx, r.streams[ControlStream], termsPrefix+strings.TrimPrefix(subject, campaignsPrefix), decodeTerms)
	if err == nil && terms.Cancelled {
		return ErrReplayDropped
	}
	return err
}

// Drop removes the letter, and what a replay that was interrupted left of it.
func (r *Replayer) Drop(ctx context.Context, l DeadLetter) error {
	if err := r.streams[DeadStream].DeleteMsg(ctx, l.Sequence); err != nil {
		// The server's answer to the deletion of what is not there is no error of its own.
		if gone, lookErr := r.gone(ctx, l); lookErr != nil || !gone {
			return explain(err)
		}
	}
	return r.streams[ProgressStream].Purge(ctx, jetstream.WithPurgeSubject(intentSubject(l)))
}

func (r *Replayer) gone(ctx context.Context, l DeadLetter) (bool, error) {
	_, err := r.streams[DeadStream].GetMsg(ctx, l.Sequence)
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return true, nil
	}
	return false, err
}

func intentSubject(l DeadLetter) string {
	return progressPrefix + DeadStream + "." + strconv.FormatUint(l.Sequence, 10)
}

// replayMessage is the job as it is published again. It keeps the name that its
// producer knows: without one of its own it would get a new one.
func replayMessage(l DeadLetter) (m *nats.Msg, stream string, err error) {
	switch parts := strings.Split(l.Subject, "."); {
	case strings.HasPrefix(l.Subject, jobsPrefix) && len(parts) == 4:
		stream = JobsStream
	case strings.HasPrefix(l.Subject, campaignsPrefix) && len(parts) == 5:
		stream = CampaignsStream
	default:
		return nil, "", ErrNotReplayable
	}
	if !publishable(l.Subject) {
		return nil, "", ErrNotReplayable
	}
	m = &nats.Msg{Subject: l.Subject, Data: l.Body, Header: make(nats.Header, 3)}
	if j, err := DecodeJob(l.Body); err == nil {
		if !j.ExpiresAt.IsZero() && !time.Now().Before(j.ExpiresAt) {
			return nil, "", ErrPast
		}
		if j.ID == "" && checkID(l.JobID) == nil {
			j.ID = l.JobID
			m.Data = j.encode()
		}
	}
	setHeader(m.Header, nats.MsgIdHdr, replayOf(l))
	setHeader(m.Header, headerReplay, replayOf(l))
	setHeader(m.Header, headerTraceparent, l.Traceparent)
	return m, stream, nil
}

// publishable says whether NATS takes a message on the subject: a letter that
// someone else wrote must not end the replay of all that come after it.
func publishable(subject string) bool {
	for token := range strings.SplitSeq(subject, ".") {
		if token == "" || token == "*" || token == ">" {
			return false
		}
	}
	return !strings.ContainsFunc(subject, unicode.IsSpace)
}

// replayOf names a letter for good.
func replayOf(l DeadLetter) string {
	return "replay:" + strconv.FormatUint(l.Sequence, 10) + ":" + strconv.FormatInt(l.StoredAt.UnixNano(), 36)
}

// publish stores the job, unless an earlier try, or somebody else, has done so.
func (r *Replayer) publish(ctx context.Context, l DeadLetter, m *nats.Msg, stream string) error {
	begun, err := r.streams[ProgressStream].GetLastMsgForSubject(ctx, intentSubject(l))
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		err = r.begin(ctx, l, stream)
	}
	if err != nil {
		return explain(err)
	}
	// Only now: whoever is replaying it as well removes it before the intent.
	done, err := r.gone(ctx, l)
	if err == nil && !done && begun != nil {
		done, err = r.wasPublished(ctx, l, stream, begun)
	}
	if done || err != nil {
		return err
	}
	if _, err := r.js.PublishMsg(ctx, m); err != nil {
		return publishError(m.Subject, err)
	}
	return nil
}

// begin writes the intent. Of two replayers that begin at once one fails, and
// finds the other's when it is called again.
func (r *Replayer) begin(ctx context.Context, l DeadLetter, stream string) error {
	info, err := r.streams[stream].Info(ctx)
	if err != nil {
		return explain(err)
	}
	data, err := json.Marshal(intent{After: info.State.LastSeq})
	if err != nil {
		return err
	}
	_, err = r.js.Publish(ctx, intentSubject(l), data, jetstream.WithExpectLastSequencePerSubject(0))
	if err != nil {
		return fmt.Errorf("noting that it is replayed: %w", err)
	}
	return nil
}

// wasPublished looks for the job of an interrupted replay: first in its queue,
// then among results, where it is before it leaves the queue.
func (r *Replayer) wasPublished(ctx context.Context, l DeadLetter, stream string, begun *jetstream.RawStreamMsg) (bool, error) {
	var in intent
	if json.Unmarshal(begun.Data, &in) != nil {
		in = intent{} // somebody else wrote it: then the whole queue is looked through
	}
	info, err := r.streams[stream].Info(ctx)
	if err != nil {
		return false, explain(err)
	}
	waits, err := r.waits(ctx, l, stream, in.After)
	if waits || err != nil {
		return waits, err
	}
	if info.TimeStamp.Sub(begun.Time) >= resultsKept {
		return false, ErrInDoubt
	}
	return r.ended(ctx, l, begun.Time)
}

// waits walks through the messages of the letter's subject.
func (r *Replayer) waits(ctx context.Context, l DeadLetter, stream string, after uint64) (bool, error) {
	subject := l.Subject
	if rest, ok := strings.CutPrefix(subject, jobsPrefix); ok {
		subject = partPrefix + "*." + rest // see INVITES' subject transform
	}
	for {
		m, err := getMsg(ctx, r.js, r.streams[stream], after+1, subject)
		switch {
		case errors.Is(err, jetstream.ErrMsgNotFound):
			return false, nil
		case err != nil:
			return false, explain(err)
		case m.Header.Get(headerReplay) == replayOf(l):
			return true, nil
		}
		after = m.Sequence
	}
}

func (r *Replayer) ended(ctx context.Context, l DeadLetter, since time.Time) (bool, error) {
	found := errors.New("found")
	err := readAll(ctx, r.streams[ResultsStream], jetstream.ConsumerConfig{
		FilterSubject: resultSubject(l.Address), HeadersOnly: true,
		DeliverPolicy: jetstream.DeliverByStartTimePolicy, OptStartTime: &since,
	}, func(m jetstream.Msg) error {
		if m.Headers().Get(headerReplay) == replayOf(l) {
			return found
		}
		return nil
	})
	if errors.Is(err, found) {
		return true, nil
	}
	return false, err
}
