package queue

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cenkalti/backoff/v4"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// Settle stores how the job ended: its dead letters, then its result. Only when
// all of that is stored, it deletes the job's progress and acknowledges it, so
// that a crash at any point leaves a job that can be settled again, with the
// same message IDs. It returns at once unless too much is on its way. done is
// called once, from another goroutine: with nil when the job is acknowledged, or
// with an error when ctx ended first, or ErrLost; then the job stays in its
// queue. What fails is tried again until ctx ends.
func (q *Queue) Settle(ctx context.Context, d *Delivery, e Ending, done func(error)) {
	maxPayload := q.nc.MaxPayload()
	e.EndedAt = q.clock.toServer(e.EndedAt)
	over := q.lostSince(d)
	x := &entry{ctx: ctx, done: unlessLost(over, done), last: resultMessage(d, e), ack: func() error {
		if over() { // the job is its next owner's: if that sends it again, it has to find it there to say so
			return nil
		}
		return d.Ack()
	}}
	x.job, x.since = d, e.EndedAt
	if d.othersHad() { // whoever claims a partition knows of the results before
		x.since, x.lookFirst = d.claimed, e.EndedAt.Sub(d.claimed) >= repeatsFound
	}
	if e.MaybeDuplicate && e.Cancelled == 0 { // what was sent, as the other says, was not dropped
		result := x.last
		x.supersede = func(ctx context.Context, kept uint64) error { return q.supersede(ctx, result, kept) }
	}
	for _, dead := range e.Dead {
		x.first = append(x.first, letter(d, dead, e, maxPayload))
	}
	if !over() { // else its progress is the next owner's, too
		if subject, ok := q.progress.end(d); ok {
			x.forget = func(ctx context.Context) error { return q.progress.forget(ctx, subject, over) }
		}
	}
	q.settler.submit(x)
}

// entry is something to store on its way through the settler.
type entry struct {
	ctx  context.Context
	done func(error)

	first     []*nats.Msg                 // stored before last
	last      *nats.Msg                   // stored before what follows
	forget    func(context.Context) error // nil: nothing to forget
	ack       func() error                // nil: nothing to acknowledge
	obsolete  func() bool                 // then it is not stored, and done is told ErrLost; nil: never
	fence     *fence                      // of last; nil: it replaces whatever is there
	job       *Delivery                   // that last is the result of; nil: of none
	since     time.Time                   // another result of it may be there, by the server's clock
	lookFirst bool                        // so that it is to be looked for before last is ever published
	// supersede is what to do if last is taken for a repeat of what is stored there; nil: nothing.
	supersede func(ctx context.Context, sequence uint64) error

	firstAcks []jetstream.PubAckFuture
	lastAck   jetstream.PubAckFuture
	kept      uint64 // where the one is that last was taken for a repeat of; 0: it was not, or that is done
	err       error  // of publishing
}

// settler stores entries in the order they came, thousands on their way at once; those without letters overtake those with.
// Each stage is one goroutine that waits for acknowledgements in order:
//
//	submit ──► (letters stored) ──► result stored, acknowledged ──► (progress deleted first)
//
// What fails leaves the line and is tried again on its own, so that it delays
// nothing else.
type settler struct {
	js   jetstream.JetStream
	log  *slog.Logger
	find func(ctx context.Context, d *Delivery, since time.Time) (sequence uint64, err error) // see Queue.repeatOf

	slots   chan struct{} // one for each entry on its way
	publish sync.Mutex    // keeps the order of publishing and of letters the same
	letters chan *entry
	results chan *entry
	forgets chan *entry
	stages  sync.WaitGroup
	onWay   sync.WaitGroup
	warned  atomic.Int64 // when a failure was logged, in Unix nanoseconds
}

func newSettler(q *Queue) *settler {
	n := q.opts.MaxPending
	s := &settler{
		js: q.js, log: q.log, find: q.repeatOf, slots: make(chan struct{}, n),
		letters: make(chan *entry, n), results: make(chan *entry, n), forgets: make(chan *entry, n),
	}
	s.stages.Go(s.storeLetters)
	s.stages.Go(s.storeResults)
	s.stages.Go(s.forgetProgress)
	return s
}

func (s *settler) close() {
	s.onWay.Wait()
	close(s.letters)
	close(s.results)
	close(s.forgets)
	s.stages.Wait()
}

// submit blocks while all slots are taken.
func (s *settler) submit(x *entry) {
	select {
	case s.slots <- struct{}{}:
	case <-x.ctx.Done():
		go x.done(context.Cause(x.ctx))
		return
	}
	s.onWay.Add(1)
	if x.lookFirst {
		go s.retry(x)
		return
	}
	s.publish.Lock()
	defer s.publish.Unlock()
	for _, m := range x.first {
		x.firstAcks = append(x.firstAcks, s.send(x, m))
	}
	// There is room in either: the slots are as many.
	if len(x.first) > 0 {
		s.letters <- x
		return
	}
	x.lastAck = s.send(x, x.last, x.fence.expect()...)
	s.results <- x
}

func (s *settler) send(x *entry, m *nats.Msg, opts ...jetstream.PublishOpt) jetstream.PubAckFuture {
	if x.err != nil {
		return nil
	}
	var ack jetstream.PubAckFuture
	ack, x.err = s.publishOnce(m, opts...)
	return ack
}

// publishOnce keeps the library from publishing again by itself: a message that
// is published late would replace a later one on its subject.
func (s *settler) publishOnce(m *nats.Msg, opts ...jetstream.PublishOpt) (jetstream.PubAckFuture, error) {
	return s.js.PublishMsgAsync(m, append(opts, jetstream.WithRetryAttempts(0))...)
}

func (s *settler) storeLetters() {
	for x := range s.letters {
		for _, ack := range x.firstAcks {
			x.wait(ack)
		}
		if x.err == nil {
			x.first = nil
			x.lastAck = s.send(x, x.last)
		}
		s.results <- x
	}
}

func (s *settler) storeResults() {
	for x := range s.results {
		x.lastStored(x.wait(x.lastAck))
		switch {
		case x.err != nil:
			go s.retry(x)
		case x.kept != 0:
			x.last = nil
			go s.retry(x)
		case x.forget != nil:
			x.last = nil
			s.forgets <- x
		default:
			x.last = nil
			s.finish(x)
		}
	}
}

func (s *settler) forgetProgress() {
	for x := range s.forgets {
		if x.err = x.forget(x.ctx); x.err != nil {
			go s.retry(x)
			continue
		}
		x.forget = nil
		s.finish(x)
	}
}

// wait waits for one acknowledgement, unless something failed before: then, or
// if it fails, there is none.
func (x *entry) wait(future jetstream.PubAckFuture) (ack jetstream.PubAck) {
	if x.err == nil {
		ack, x.err = stored(x.ctx, future)
	}
	return ack
}

// lastStored takes note of where last is.
func (x *entry) lastStored(ack jetstream.PubAck) {
	x.fence.stored(ack.Sequence)
	if ack.Duplicate && x.supersede != nil {
		x.kept = ack.Sequence
	}
}

// stored waits for an acknowledgement. The library ends each wait after tryTimeout.
func stored(ctx context.Context, future jetstream.PubAckFuture) (ack jetstream.PubAck, err error) {
	select {
	case a := <-future.Ok():
		return *a, nil
	case err := <-future.Err():
		return ack, err
	case <-ctx.Done():
		return ack, context.Cause(ctx)
	}
}

func (s *settler) finish(x *entry) {
	if x.ack != nil {
		if x.err = x.ack(); x.err != nil {
			go s.retry(x)
			return
		}
	}
	s.leave(x, nil)
}

func (s *settler) leave(x *entry, err error) {
	x.done(err)
	<-s.slots
	s.onWay.Done()
}

const (
	retryFirst = 50 * time.Millisecond
	retryMax   = 5 * time.Second
	warnEvery  = 10 * time.Second
)

// retry does what is left of an entry until that is done or its context ends.
// Message IDs keep what was stored after all from being stored twice.
func (s *settler) retry(x *entry) {
	if x.err != nil {
		s.warn(x, x.err)
	}
	b := backoff.NewExponentialBackOff(backoff.WithInitialInterval(retryFirst),
		backoff.WithMaxInterval(retryMax), backoff.WithMaxElapsedTime(0))
	err := backoff.RetryNotify(func() error { return s.rest(x) }, backoff.WithContext(b, x.ctx),
		func(err error, _ time.Duration) { s.warn(x, err) })
	s.leave(x, err)
}

// rest does what is left, one step after the other.
func (s *settler) rest(x *entry) error {
	if x.last != nil && x.job != nil {
		if err := s.findFirst(x); err != nil {
			return err
		}
	}
	ctx, cancel := context.WithTimeout(x.ctx, tryTimeout)
	defer cancel()
	for len(x.first) > 0 {
		if _, err := s.again(ctx, x, x.first[0]); err != nil {
			return err
		}
		x.first = x.first[1:]
	}
	if x.last != nil {
		ack, err := s.again(ctx, x, x.last)
		if err != nil {
			return err
		}
		x.lastStored(ack)
		x.last = nil
	}
	if x.kept != 0 {
		if err := x.supersede(ctx, x.kept); err != nil {
			return err
		}
		x.kept = 0
	}
	if x.forget != nil {
		if err := x.forget(ctx); err != nil {
			return err
		}
		x.forget = nil
	}
	if x.ack != nil {
		return x.ack()
	}
	return nil
}

// findFirst looks for a result of the job that is there already: its letters are, too, and it stays, or is superseded.
func (s *settler) findFirst(x *entry) error {
	sequence, err := s.find(x.ctx, x.job, x.since)
	if err != nil || sequence == 0 {
		return err
	}
	x.last = nil
	if x.supersede != nil {
		x.kept = sequence
	} else {
		x.first = nil
	}
	return nil
}

// again publishes and waits. No later entry can be published between the look
// at whether this one is obsolete and its publishing.
func (s *settler) again(ctx context.Context, x *entry, m *nats.Msg) (ack jetstream.PubAck, err error) {
	fenced := m == x.last && x.fence != nil
	if fenced {
		if err := x.fence.reread(ctx); err != nil {
			return ack, err
		}
	}
	s.publish.Lock()
	if err := ctx.Err(); err != nil { // the lock was long in coming, and nobody waits for the answer any more
		s.publish.Unlock()
		return ack, err
	}
	if x.obsolete != nil && x.obsolete() {
		s.publish.Unlock()
		return ack, backoff.Permanent(ErrLost)
	}
	var opts []jetstream.PublishOpt
	if fenced {
		opts = x.fence.expect()
	}
	future, err := s.publishOnce(m, opts...)
	s.publish.Unlock()
	if err != nil {
		return ack, err
	}
	return stored(ctx, future)
}

func isWrongSequence(err error) bool {
	api, ok := errors.AsType[*jetstream.APIError](err)
	return ok && api.ErrorCode == jetstream.JSErrCodeStreamWrongLastSequence
}

// warn says now and then that storing fails: an outage fails thousands at once.
func (s *settler) warn(x *entry, err error) {
	if x.fence != nil && isWrongSequence(err) {
		return // its record has run out, or is newer: no trouble
	}
	now := time.Now().UnixNano()
	last := s.warned.Load()
	if x.ctx.Err() != nil || now-last < int64(warnEvery) || !s.warned.CompareAndSwap(last, now) {
		return
	}
	// Not its subject, which may name a player.
	s.log.Warn("how a job ended, or what is known of a key, can't be stored now; it is tried again", "error", err)
}
