package queue

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// tallyRecord is the sum of a campaign's results up to a sequence of INVITE_RESULTS.
type tallyRecord struct {
	Through uint64 `json:"through"` // the sequence of the last result in it

	Jobs           int            `json:"jobs"`
	Sent           int            `json:"sent"` // recipients, as all below that do not say otherwise
	Dead           map[Reason]int `json:"dead,omitempty"`
	Cancelled      int            `json:"cancelled,omitempty"`
	Replayed       int            `json:"replayed,omitempty"`       // that have ended again: they were dead before
	NoJobs         int            `json:"noJobs,omitempty"`         // messages that were no job: their recipients can't be known
	MaybeDuplicate int            `json:"maybeDuplicate,omitempty"` // jobs

	OfOrder int `json:"ofOrder"` // of the order's own jobs, for the first time
	Highest int `json:"highest"` // the highest number of the order's jobs that has ended

	FirstEndedAt time.Time `json:"firstEndedAt,omitzero"`
	LastEndedAt  time.Time `json:"lastEndedAt,omitzero"`

	Ended   []campaignJob `json:"ended,omitempty"`   // jobs in it that have a record of progress all the same: see forgetOver
	History []markRecord  `json:"history,omitempty"` // oldest first, at most maxMarks
}

// throughRecord says that every campaign's tally has all results up to a sequence,
// but for those that were removed before a worker came to add them.
type throughRecord struct {
	Sequence uint64    `json:"sequence"`
	GapUntil time.Time `json:"gapUntil,omitzero"` // when the last one that may have been missed was stored, at the latest
}

func decodeThrough(data []byte) (t throughRecord, err error) {
	err = json.Unmarshal(data, &t)
	return t, err
}

// tally is a campaign's sum while results are added to it.
type tally struct {
	tallyRecord
	address Address
	order   orderRecord // zero: jobs that were published without one
	counted uint64      // what is in the sum already: results up to this sequence ...
	seen    []uint64    // ... and these
}

// add adds one result.
func (t *tally) add(m jetstream.Msg) error {
	meta, err := m.Metadata()
	if err != nil {
		return err
	}
	r, err := parseResult(&nats.Msg{Data: m.Data(), Header: m.Headers()})
	if err == nil && r.Sent >= 0 && r.Dead >= 0 && r.Cancelled >= 0 {
		t.count(meta.Sequence.Stream, r, m.Headers())
	} // else somebody else wrote it
	t.Through = meta.Sequence.Stream
	t.seen = append(t.seen, meta.Sequence.Stream)
	if job, ok := endedJob(m.Headers()); ok {
		t.Ended = append(t.Ended, job)
	}
	return nil
}

func (t *tally) count(sequence uint64, r Result, h nats.Header) {
	again := h.Get(headerReplay) != ""
	if s, ok := decodeSuperseded(h.Get(headerSupersedes)); ok && s.sequence < sequence && t.has(s.sequence) {
		t.apply(-1, ended{s.sent, s.dead, s.cancelled}, r.ID, again)
		if s.maybe {
			t.MaybeDuplicate--
		}
	}
	t.apply(1, ended{r.Sent, r.deadByReason(h), r.Cancelled}, r.ID, again)
	if r.MaybeDuplicate {
		t.MaybeDuplicate++
	}
	t.Highest = max(t.Highest, t.order.numberOf(t.address, r.ID))
	if t.FirstEndedAt.IsZero() || r.EndedAt.Before(t.FirstEndedAt) {
		t.FirstEndedAt = r.EndedAt
	}
	if r.EndedAt.After(t.LastEndedAt) {
		t.LastEndedAt = r.EndedAt
	}
}

// has says whether a result is in the sum.
func (t *tally) has(sequence uint64) bool {
	_, seen := slices.BinarySearch(t.seen, sequence)
	return seen || sequence <= t.counted
}

// ended is how many recipients of a job ended, and how.
type ended struct {
	sent      int
	dead      map[Reason]int
	cancelled int
}

// apply adds a result's counts, or takes them back.
func (t *tally) apply(sign int, e ended, jobID string, again bool) {
	t.Jobs += sign
	t.Sent += sign * e.sent
	t.Cancelled += sign * e.cancelled
	ended := e.sent + e.cancelled
	for reason, n := range e.dead {
		if t.Dead == nil {
			t.Dead = make(map[Reason]int)
		}
		t.Dead[reason] += sign * n
		ended += n
	}
	if ended == 0 {
		t.NoJobs += sign
	}
	maps.DeleteFunc(t.Dead, func(_ Reason, n int) bool { return n == 0 })
	switch {
	case again:
		t.Replayed += sign * ended
	case t.order.numberOf(t.address, jobID) > 0:
		t.OfOrder += sign * ended
	}
}

// sums is what is known of how a campaign's jobs ended.
type sums struct {
	*tally
	revision uint64    // of its record; 0: none
	ordered  written   // the order
	gapUntil time.Time // results that were stored before it may be missing; zero: none is
	at       time.Time // when it was begun, by the server's clock
	last     uint64    // the last sequence of INVITE_RESULTS then
}

// written is when a record of INVITE_CONTROL was.
type written struct {
	revision uint64
	at       time.Time
}

// sumUp adds to a campaign's tally the results after it. A result is stored once
// and its sequence never changes, so the sum is exact whoever adds it up, and whenever.
func sumUp(ctx context.Context, streams map[string]jetstream.Stream, a Address) (s sums, err error) {
	if s, err = beginSum(ctx, streams, a); err == nil {
		err = s.addResults(ctx, streams[ResultsStream])
	}
	return s, err
}

// beginSum reads a campaign's tally.
func beginSum(ctx context.Context, streams map[string]jetstream.Stream, a Address) (s sums, err error) {
	control, results := streams[ControlStream], streams[ResultsStream]
	through, _, err := readThrough(ctx, control)
	if err != nil {
		return s, err
	}
	if s, err = readTally(ctx, control, a); err != nil {
		return s, err
	}
	info, err := infoOf(ctx, results) // last, so that a record is never ahead of it
	if err != nil {
		return s, err
	}
	s.begin(info)
	through.Sequence = max(through.Sequence, s.Through)
	s.gapUntil, s.at, s.last = through.gap(info), info.TimeStamp, info.State.LastSeq
	return s, nil
}

func readThrough(ctx context.Context, control jetstream.Stream) (throughRecord, uint64, error) {
	r, revision, _, err := getRecord(ctx, control, throughSubject, decodeThrough)
	if errors.Is(err, errRecord) {
		err = nil // then it is written anew
	}
	return r, revision, err
}

// gap is until when results may have been missed, with a look at those that are left.
func (t throughRecord) gap(results *jetstream.StreamInfo) time.Time {
	switch state := results.State; {
	case state.LastSeq < t.Sequence, state.FirstSeq <= t.Sequence+1: // the stream was made anew; nothing is missing
		return t.GapUntil
	case state.Msgs == 0:
		return results.TimeStamp
	default:
		return state.FirstTime
	}
}

// begin says what is in the sum already.
func (t *tally) begin(results *jetstream.StreamInfo) {
	if t.Through > results.State.LastSeq { // the stream was made anew
		t.Through = 0
	}
	t.counted = t.Through
}

// readTally reads a campaign's record.
func readTally(ctx context.Context, control jetstream.Stream, a Address) (s sums, err error) {
	t := &tally{address: a}
	t.order, s.ordered.revision, s.ordered.at, err = getRecord(ctx, control, orderPrefix+campaignToken(a), decodeOrder)
	if err != nil && !errors.Is(err, errRecord) {
		return s, err
	}
	t.tallyRecord, s.revision, _, err = getRecord(ctx, control, tallyPrefix+campaignToken(a), decodeTally)
	if err != nil && !errors.Is(err, errRecord) { // one that can't be read is written anew
		return s, err
	}
	s.tally = t
	return s, nil
}

// addResults adds results until there are no more. It must not end before: a
// result that was superseded meanwhile, and is not there any more, is known by
// the one in its place, which comes after all that were there with it.
func (t *tally) addResults(ctx context.Context, results jetstream.Stream) error {
	subject := resultSubject(t.address)
	for {
		looking, cancel := context.WithTimeout(ctx, tryTimeout)
		_, err := results.GetMsg(looking, t.Through+1, jetstream.WithGetMsgSubject(subject))
		cancel()
		if errors.Is(err, jetstream.ErrMsgNotFound) {
			return nil
		}
		if err != nil && !errors.Is(err, nats.ErrBadHeaderMsg) {
			return fmt.Errorf("results of %s: %w", t.address.Campaign, explain(err))
		}
		before := t.Through
		err = readAll(ctx, results, jetstream.ConsumerConfig{
			FilterSubject: subject, DeliverPolicy: jetstream.DeliverByStartSequencePolicy, OptStartSeq: t.Through + 1,
		}, t.add)
		if err != nil {
			return fmt.Errorf("results of %s: %w", t.address.Campaign, err)
		}
		if t.Through == before {
			return nil // they were removed
		}
	}
}

const (
	// tallyEvery is how often tallies are brought up to date, as long as that costs little ...
	tallyEvery = 10 * time.Second
	// ... and how seldom at most: results are kept for a day.
	tallyAtLeast = 10 * time.Minute
)

// keepTallies brings the tallies of campaigns up to date. One worker does it for
// all: the one that should own the first partition. It spends at most a
// twentieth of the time on it.
func (q *Queue) keepTallies(ctx context.Context, m *members) {
	var summed sumEnd
	pause := tallyEvery
	for wait(ctx, pause); ctx.Err() == nil; wait(ctx, pause) {
		if !m.wants(0) {
			summed, pause = sumEnd{}, tallyEvery
			continue
		}
		began := time.Now()
		summing, cancel := context.WithTimeout(ctx, tallyAtLeast)
		last, err := q.sumUpAll(summing, summed)
		cancel()
		if err != nil && ctx.Err() == nil {
			q.trouble.warn(q.log, "the tallies of campaigns can't be brought up to date; it is tried again", "error", err)
		}
		if err == nil {
			summed = last
		}
		pause = min(max(tallyEvery, costFactor*time.Since(began)), tallyAtLeast)
	}
}

// sumEnd is what was the last sequence of two streams when all was summed up.
type sumEnd struct{ results, progress uint64 }

// sumUpAll adds all results up to the last sequence, which it returns.
func (q *Queue) sumUpAll(ctx context.Context, summed sumEnd) (end sumEnd, err error) {
	end.results, err = q.sumUpResults(ctx, summed.results)
	var unmarked error
	end.progress, unmarked = q.markPartly(ctx, summed.progress)
	return end, errors.Join(err, unmarked)
}

func (q *Queue) sumUpResults(ctx context.Context, summed uint64) (last uint64, err error) {
	results, control := q.streams[ResultsStream], q.streams[ControlStream]
	info, err := infoOf(ctx, results)
	if err != nil {
		return 0, err
	}
	if last = info.State.LastSeq; last == summed {
		return last, nil
	}
	through, revision, err := readThrough(ctx, control)
	if err != nil {
		return 0, err
	}
	if info, err = infoOf(ctx, results, jetstream.WithSubjectFilter(resultsPrefix+"*.*.*")); err != nil {
		return 0, err
	}
	for subject := range info.State.Subjects {
		a, err := parseTokens(subject, strings.TrimPrefix(subject, resultsPrefix), 3)
		if err != nil || a.Campaign == "-" {
			continue
		}
		if err := q.updateTally(ctx, a); err != nil {
			return 0, err
		}
	}
	gap := through.gap(info)
	_, err = putRecord(ctx, q.js, throughSubject, revision, throughRecord{Sequence: last, GapUntil: gap})
	if isWrongSequence(err) {
		return last, nil // another worker that thinks it is its turn was faster
	}
	return last, err
}

// updateTally writes a campaign's tally, unless there is nothing new, or another
// worker that thinks it is its turn was faster.
func (q *Queue) updateTally(ctx context.Context, a Address) error {
	s, err := readTally(ctx, q.streams[ControlStream], a)
	if err != nil {
		return err
	}
	info, err := infoOf(ctx, q.streams[ResultsStream])
	if err != nil {
		return err
	}
	s.begin(info)
	s.at = info.TimeStamp
	named, err := namedPartly(ctx, q.streams[ProgressStream], a)
	if err != nil {
		return err
	}
	open, unread := readPartly(ctx, q.js, q.streams, a, named)
	if err := s.addResults(ctx, q.streams[ResultsStream]); err != nil {
		return err
	}
	marked := false
	if unread == nil { // else a mark less: no results are lost for it
		marked = s.addMark(open.without(s.Ended))
	}
	if s.Through == s.counted && !marked {
		return nil
	}
	if len(s.Ended) > 0 { // and once more, after the results
		if named, err = namedPartly(ctx, q.streams[ProgressStream], a); err != nil {
			return err
		}
		s.forgetOver(named)
	}
	_, err = putRecord(ctx, q.js, tallyPrefix+campaignToken(a), s.revision, s.tallyRecord)
	if isWrongSequence(err) {
		return nil
	}
	return err
}
