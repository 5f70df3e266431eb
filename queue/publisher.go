package queue

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// Why a job was not stored. Every error of publishing a valid job is one of
// these (errors.Is), around the cause.
var (
	// ErrFull means that the queue has reached its limit. Nothing was stored; try again later.
	ErrFull = errors.New("the queue is full")
	// ErrTooLarge means that the job is larger than the queue or the server takes. Split it.
	ErrTooLarge = errors.New("the job is too large")
	// ErrNoQueue means that no stream takes the subject: no invited ever ran on this NATS account.
	ErrNoQueue = errors.New("there is no queue for it; start invited once on this NATS account")
	// ErrDisconnected means that there is no connection now. Nothing was sent, or it is unknown whether it was.
	ErrDisconnected = errors.New("there is no connection to NATS")
	// ErrNoAnswer means that the answer did not come in time. The job may be stored: publish it again with the
	// same message ID. A user without permission to publish gets no answer either.
	ErrNoAnswer = errors.New("there was no answer in time")
	// ErrRefused means any other refusal of the server.
	ErrRefused = errors.New("the server refused it")
)

// Receipt says where a job was stored.
type Receipt struct {
	Stream    string
	Sequence  uint64
	Duplicate bool // a job with the same message ID was there already; this one was not stored
}

// Publisher puts jobs into the work queues. It is safe for concurrent use.
type Publisher struct{ js jetstream.JetStream }

// maxAsync is how many jobs of PublishAsync may be on their way at once.
const maxAsync = 4096

// NewPublisher returns a publisher on nc, which stays the caller's. It creates
// no stream and needs no permission but to publish, and its inbox.
func NewPublisher(nc *nats.Conn) (*Publisher, error) {
	js, err := jetstream.New(nc, jetstream.WithDefaultTimeout(apiTimeout),
		jetstream.WithPublishAsyncTimeout(apiTimeout), jetstream.WithPublishAsyncMaxPending(maxAsync))
	if err != nil {
		return nil, err
	}
	return &Publisher{js}, nil
}

// PublishOption is an optional part of a published job.
type PublishOption func(nats.Header)

// WithMsgID names the message: the queue drops a second one with the same name
// within ten minutes. With it a job can be published again whenever it is not
// known whether it was stored.
func WithMsgID(id string) PublishOption {
	return func(h nats.Header) { setHeader(h, nats.MsgIdHdr, printable(id)) }
}

// WithTraceparent passes a W3C trace context on to the job's result, dead
// letters and logs.
func WithTraceparent(v string) PublishOption {
	return func(h nats.Header) { setHeader(h, headerTraceparent, printable(v)) }
}

// Publish stores one job and waits until it is stored. An invalid address is an
// *AddressError, an invalid job a *JobError; nothing was sent then. Without a
// deadline in ctx it waits for ten seconds.
func (p *Publisher) Publish(ctx context.Context, a Address, j Job, opts ...PublishOption) (Receipt, error) {
	m, err := jobMessage(a, j, opts)
	if err != nil {
		return Receipt{}, err
	}
	ack, err := p.js.PublishMsg(ctx, m)
	if err != nil {
		return Receipt{}, publishError(m.Subject, err)
	}
	return receipt(ack), nil
}

// PublishAsync sends one job on its way, to be waited for later. It blocks while
// 4,096 are on their way. Jobs of one goroutine are stored in order, unless one
// of them fails.
func (p *Publisher) PublishAsync(ctx context.Context, a Address, j Job, opts ...PublishOption) (*Future, error) {
	m, err := jobMessage(a, j, opts)
	if err != nil {
		return nil, err
	}
	for {
		ack, err := p.js.PublishMsgAsync(m, jetstream.WithStallWait(time.Second))
		switch {
		case err == nil:
			return &Future{m.Subject, ack}, nil
		case ctx.Err() != nil:
			return nil, publishError(m.Subject, ctx.Err())
		case !errors.Is(err, jetstream.ErrTooManyStalledMsgs):
			return nil, publishError(m.Subject, err)
		}
	}
}

// Future is a receipt to come. Wait for it once.
type Future struct {
	subject string
	ack     jetstream.PubAckFuture
}

// Wait returns when the job is stored, or why it is not. When ctx ends first,
// the job may still be stored.
func (f *Future) Wait(ctx context.Context) (Receipt, error) {
	select {
	case ack := <-f.ack.Ok():
		return receipt(ack), nil
	case err := <-f.ack.Err():
		return Receipt{}, publishError(f.subject, err)
	case <-ctx.Done():
		return Receipt{}, publishError(f.subject, ctx.Err())
	}
}

func jobMessage(a Address, j Job, opts []PublishOption) (*nats.Msg, error) {
	if err := a.Validate(); err != nil {
		return nil, err
	}
	data, err := j.Encode()
	if err != nil {
		return nil, err
	}
	m := &nats.Msg{Subject: a.Subject(), Data: data, Header: make(nats.Header, len(opts))}
	for _, o := range opts {
		o(m.Header)
	}
	return m, nil
}

func receipt(ack *jetstream.PubAck) Receipt {
	return Receipt{Stream: ack.Stream, Sequence: ack.Sequence, Duplicate: ack.Duplicate}
}

// The server's error codes for a message that it can't take.
const (
	codeStoreFailed     = 10077 // a limit of the stream is reached
	codeNoResources     = 10023
	codeNoStorage       = 10047
	codeAccountExceeded = 10002
)

func publishError(subject string, err error) error {
	return fmt.Errorf("publishing on %s: %w: %w", subject, publishKind(err), err)
}

func publishKind(err error) error {
	if api, ok := errors.AsType[*jetstream.APIError](err); ok {
		switch api.ErrorCode {
		case codeStoreFailed, codeNoResources, codeNoStorage, codeAccountExceeded:
			return ErrFull
		case jetstream.JSErrCodeStreamMessageExceedsMaximum:
			return ErrTooLarge
		default:
			return ErrRefused
		}
	}
	switch {
	case errors.Is(err, nats.ErrMaxPayload):
		return ErrTooLarge
	case errors.Is(err, jetstream.ErrNoStreamResponse), errors.Is(err, nats.ErrNoResponders):
		return ErrNoQueue
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled),
		errors.Is(err, nats.ErrTimeout), errors.Is(err, jetstream.ErrAsyncPublishTimeout):
		return ErrNoAnswer
	case errors.Is(err, nats.ErrDisconnected), errors.Is(err, nats.ErrConnectionClosed),
		errors.Is(err, nats.ErrReconnectBufExceeded), errors.Is(err, nats.ErrConnectionReconnecting),
		errors.Is(err, nats.ErrConnectionDraining):
		return ErrDisconnected
	default:
		return ErrRefused
	}
}
