package queue

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// againSuffix ends the message ID of a result that takes another's place.
const againSuffix = ":again"

// supersede stores a result that says maybeDuplicate in place of one that does
// not, or that says what it sent was dropped. A worker that was cut off can have a result on its way that arrives when
// the next owner has begun the job anew. The stream then keeps that one, and
// drops the next owner's as a repeat: nobody would hear of the second call. Done
// again after a crash, it does only what is left.
func (q *Queue) supersede(ctx context.Context, result *nats.Msg, kept uint64) error {
	old, r, err := q.storedResult(ctx, kept)
	switch {
	case err != nil || old == nil:
		return err
	case r != nil && r.MaybeDuplicate && r.Cancelled == 0:
		return nil // a repeat of this worker's own, most likely
	}
	return q.putInPlace(ctx, &nats.Msg{Subject: result.Subject, Data: result.Data, Header: maps.Clone(result.Header)}, old, r)
}

// sayDuplicate has a stored result say maybeDuplicate, if that is so, and all else as it does.
func (q *Queue) sayDuplicate(ctx context.Context, kept uint64, isSo func(r Result, stored time.Time) bool) error {
	old, r, err := q.storedResult(ctx, kept)
	switch {
	case err != nil || r == nil:
		return err
	case r.MaybeDuplicate:
		return q.finishPutting(ctx, old)
	case !isSo(*r, old.Time):
		return nil
	}
	said := *r
	said.MaybeDuplicate = true
	return q.putInPlace(ctx, &nats.Msg{Subject: old.Subject, Data: said.encode(), Header: maps.Clone(old.Header)}, old, r)
}

// storedResult reads one; nil: it was superseded, or purged by somebody. One that nobody can read is there, but says nothing.
func (q *Queue) storedResult(ctx context.Context, sequence uint64) (*jetstream.RawStreamMsg, *Result, error) {
	m, err := q.streams[ResultsStream].GetMsg(ctx, sequence)
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return nil, nil, nil
	}
	if err != nil {
		return nil, nil, fmt.Errorf("result %d: %w", sequence, err)
	}
	if r, err := parseResult(&nats.Msg{Data: m.Data, Header: m.Header}); err == nil {
		return m, &r, nil
	}
	return m, nil, nil
}

// putInPlace stores m, which has another's message ID, and then deletes the other, of which r is what could be read.
func (q *Queue) putInPlace(ctx context.Context, m *nats.Msg, other *jetstream.RawStreamMsg, r *Result) error {
	kept := other.Sequence
	setHeader(m.Header, nats.MsgIdHdr, m.Header.Get(nats.MsgIdHdr)+againSuffix)
	if r != nil {
		setHeader(m.Header, headerSupersedes, encodeSuperseded(superseded{
			kept, r.Sent, r.deadByReason(other.Header), r.Cancelled, r.MaybeDuplicate,
		}))
	}
	if _, err := q.js.PublishMsg(ctx, m, jetstream.WithRetryAttempts(0)); err != nil {
		return fmt.Errorf("a result in place of %d: %w", kept, err)
	}
	return q.removeResult(ctx, kept)
}

// finishPutting removes the one that a result took the place of, if whoever put it there could not any more.
func (q *Queue) finishPutting(ctx context.Context, m *jetstream.RawStreamMsg) error {
	s, ok := decodeSuperseded(m.Header.Get(headerSupersedes))
	if !ok {
		return nil
	}
	other, _, err := q.storedResult(ctx, s.sequence)
	if err != nil || other == nil {
		return err
	}
	job, known := settledKey(m.Header)
	if of, ok := settledKey(other.Header); !known || !ok || of != job {
		return nil // the stream was made anew
	}
	return q.removeResult(ctx, s.sequence)
}

func (q *Queue) removeResult(ctx context.Context, sequence uint64) error {
	if err := q.streams[ResultsStream].DeleteMsg(ctx, sequence); err != nil && !errors.Is(err, jetstream.ErrMsgNotFound) {
		return fmt.Errorf("result %d: %w", sequence, err)
	}
	return nil
}
