package queue

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/nats-io/nats.go/jetstream"
)

// ownerRecord says whose a partition is. It is written only over the record
// that was read before, so that of two who claim at once one fails.
type ownerRecord struct {
	Worker   string `json:"worker"`
	Released bool   `json:"released,omitempty"` // it has handed over in order
}

// claim is a partition that has become this worker's.
type claim struct {
	revision uint64
	at       time.Time // when, by the server's clock
	seen     time.Time // and by this worker's
	from     handover
}

// handover is how a partition came to its owner.
type handover uint8

const (
	released  handover = iota // its owner finished, stored and gave back everything
	mine                      // it was this worker's before its lease ran out, and nobody's since
	unknown                   // nobody wrote down that he had it
	abandoned                 // its owner is gone: what it had in hand may have been sent
)

// tryClaim makes a partition this worker's, unless its owner is alive and has
// not released it.
func (m *members) tryClaim(ctx context.Context, partition int) (c claim, ok bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, apiTimeout)
	defer cancel()
	var record ownerRecord
	subject := ownerSubject(partition)
	last, err := m.stream.GetLastMsgForSubject(ctx, subject)
	switch {
	case errors.Is(err, jetstream.ErrMsgNotFound):
		c.from = unknown
	case err != nil:
		return c, false, err
	default:
		c.revision = last.Sequence
		if err := json.Unmarshal(last.Data, &record); err != nil {
			return c, false, fmt.Errorf("the record of who owns partition %d: %w", partition, err)
		}
		switch {
		case record.Released:
			c.from = released
		case record.Worker == m.me:
			c.from = mine
		case m.alive(record.Worker):
			return c, false, nil
		default:
			c.from = abandoned
		}
	}
	if time.Now().After(m.lease()) {
		return c, false, errNoLease
	}
	if c.revision, err = m.writeOwner(ctx, partition, c.revision, ownerRecord{Worker: m.me}); err != nil {
		return c, false, err
	}
	stored, err := m.stream.GetMsg(ctx, c.revision)
	if err != nil {
		return c, false, err // the next try finds it mine
	}
	c.at, c.seen = stored.Time, time.Now()
	return c, true, nil
}

func (m *members) writeOwner(ctx context.Context, partition int, over uint64, r ownerRecord) (uint64, error) {
	data, err := json.Marshal(r)
	if err != nil {
		return 0, err
	}
	ack, err := m.q.js.Publish(ctx, ownerSubject(partition), data,
		jetstream.WithExpectLastSequencePerSubject(over), jetstream.WithRetryAttempts(0))
	if err != nil {
		return 0, err
	}
	return ack.Sequence, nil
}
