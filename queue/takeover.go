package queue

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// takeover has a consumer deliver again at once what a former owner had in
// hand, and knows which jobs that may have been.
//
// The consumer is made anew, because JetStream would wait for the end of each
// lease. What the former owner had in hand was delivered, in order, and not
// acknowledged: so it is among the first jobs that are still in the queue, as
// many as may be delivered and not acknowledged, and not beyond the last one
// that was delivered. A campaign is one key, so what of it was set aside came
// after all that was in hand, and was not sent.
type takeover struct {
	claim claim
	done  atomic.Bool

	window int           // as many may have been in a gone owner's hand
	upTo   atomic.Uint64 // no job beyond this sequence was in a gone owner's hand; 0: none was
	first  int           // jobs that came for the first time since

	given  uint64        // no job beyond this sequence was given out by consumers that were there before
	handed atomic.Uint64 // nor beyond this one by this source
}

// metadataSuspects is kept with the consumer for the owner after this one, and
// for the source after a held one.
const metadataSuspects = "invited-maybe-sent-up-to"

// metadataGiven is for the next owner alone: how far a consumer had come when its owner, who lives, made it anew. He knows what he has in
// calls; but until that has come again, the new consumer does not show it.
const metadataGiven = "invited-given-up-to"

// takeOver resets the consumer once, unless it was handed over in order and is
// still there, and learns how the jobs ended that it may deliver again: those,
// and the ones whose acknowledgements were lost.
func (s *source) takeOver(ctx context.Context) error {
	t := &s.takeover
	if t.done.Load() {
		return nil
	}
	again, err := s.reset(ctx)
	if err == nil && (again || t.claim.doubt) {
		err = s.q.endings.learn(ctx)
	}
	if err == nil && s.steer.held && t.upTo.Load() > 0 {
		_, err = s.ensure(ctx) // which keeps it: this source delivers nothing
	}
	if err != nil {
		return fmt.Errorf("taking over consumer %s: %w", s.cfg.Durable, err)
	}
	t.done.Store(true)
	return nil
}

func (s *source) takenOver() bool {
	t := &s.takeover
	return t.claim.from == released && !t.claim.doubt || t.done.Load()
}

// reset reports whether jobs may come that have ended.
func (s *source) reset(ctx context.Context) (again bool, err error) {
	// Not cut off between its two steps: a pause would be lost with the consumer.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), tryTimeout)
	defer cancel()
	t := &s.takeover
	found, err := s.stream.Consumer(ctx, s.cfg.Durable)
	if errors.Is(err, jetstream.ErrConsumerNotFound) {
		return s.resetMissing(ctx)
	}
	if err != nil {
		return false, err
	}
	info := found.CachedInfo()
	t.read(info.Config.Metadata)
	if t.claim.from == released { // who found what had ended gave it up before all of that came, as when its campaign is paused
		return info.AckFloor.Stream < max(t.upTo.Load(), t.given), nil
	}
	t.given = max(t.given, info.Delivered.Stream)
	if t.claim.from != mine { // who had them itself knows what it did
		t.raise(t.given)
	}
	if s.over() { // it may be the next owner's by now, who has made it anew
		return false, ErrLost
	}
	s.cfg.PauseUntil = info.Config.PauseUntil // until it is made again, by whichever try
	if err := s.stream.DeleteConsumer(ctx, s.cfg.Durable); err != nil && !errors.Is(err, jetstream.ErrConsumerNotFound) {
		return false, err
	}
	cfg := s.cfg
	cfg.Metadata = t.note()
	if _, err = s.stream.CreateConsumer(ctx, cfg); err == nil {
		s.cfg.PauseUntil = nil
	}
	return true, err
}

// resetMissing is for a consumer that pull has to make: of a new campaign, or
// one that was kept in memory by a server that was restarted, and took the last
// acknowledgements with it.
func (s *source) resetMissing(ctx context.Context) (again bool, err error) {
	first, err := getMsg(ctx, s.q.js, s.stream, 1, s.cfg.FilterSubject)
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return false, nil
	}
	claim := s.takeover.claim
	if err != nil || first.Time.After(claim.at) {
		return false, err // it was published to nobody but this owner
	}
	inHand := claim.left.IsZero() || !first.Time.After(claim.left) // or he had left before any of them was published
	if claim.from == abandoned && inHand {
		info, err := s.stream.Info(ctx)
		if err != nil {
			return false, err
		}
		s.takeover.raise(info.State.LastSeq)
	}
	return true, nil
}

// note is what the consumer keeps of it.
func (t *takeover) note() map[string]string {
	note := make(map[string]string, 2)
	if upTo := t.upTo.Load(); upTo != 0 {
		note[metadataSuspects] = strconv.FormatUint(upTo, 10)
	}
	if given := max(t.given, t.handed.Load()); given != 0 {
		note[metadataGiven] = strconv.FormatUint(given, 10)
	}
	return note
}

func (t *takeover) read(metadata map[string]string) {
	if n, err := strconv.ParseUint(metadata[metadataSuspects], 10, 64); err == nil {
		t.raise(n)
	}
	if n, err := strconv.ParseUint(metadata[metadataGiven], 10, 64); err == nil {
		t.given = max(t.given, n)
	}
}

// raise is called by the source's pulling goroutine only.
func (t *takeover) raise(n uint64) { t.upTo.Store(max(t.upTo.Load(), n)) }

// suspects says whether a gone owner may have sent the job.
func (t *takeover) suspects(d *Delivery) bool {
	if d.Sequence > t.upTo.Load() {
		return false
	}
	if !d.Redelivered {
		t.first++
	}
	return d.Redelivered || t.first <= t.window
}

// cameLate says whether the result of a job is that of one before an owner who is gone: it ended before he had claimed
// the partition, and was stored when he had. The one before was cut off, and nobody else is left who could say what the gone one did.
func (t *takeover) cameLate(r Result, stored time.Time) bool {
	return slices.ContainsFunc(t.claim.gone, func(since int64) bool {
		claimed := time.Unix(0, since)
		return r.EndedAt.Before(claimed) && !stored.Before(claimed)
	})
}
