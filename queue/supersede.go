package queue

import (
	"context"
	"errors"
	"fmt"
	"maps"

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
	stream := q.streams[ResultsStream]
	old, err := stream.GetMsg(ctx, kept)
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return nil // superseded, or purged by somebody
	}
	if err != nil {
		return fmt.Errorf("result %d: %w", kept, err)
	}
	r, err := parseResult(&nats.Msg{Data: old.Data, Header: old.Header})
	if err == nil && r.MaybeDuplicate && r.Cancelled == 0 {
		return nil // a repeat of this worker's own, most likely
	}
	m := &nats.Msg{Subject: result.Subject, Data: result.Data, Header: maps.Clone(result.Header)}
	setHeader(m.Header, nats.MsgIdHdr, result.Header.Get(nats.MsgIdHdr)+againSuffix)
	if err == nil {
		setHeader(m.Header, headerSupersedes, encodeSuperseded(superseded{
			kept, r.Sent, r.deadByReason(old.Header), r.Cancelled, r.MaybeDuplicate,
		}))
	}
	if _, err := q.js.PublishMsg(ctx, m, jetstream.WithRetryAttempts(0)); err != nil {
		return fmt.Errorf("a result in place of %d: %w", kept, err)
	}
	if err := stream.DeleteMsg(ctx, kept); err != nil && !errors.Is(err, jetstream.ErrMsgNotFound) {
		return fmt.Errorf("result %d: %w", kept, err)
	}
	return nil
}
