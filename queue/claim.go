package queue

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/nats-io/nats.go/jetstream"
)

// ownerRecord says whose a partition is. It is written only over the record
// that was read before, so that of two who claim at once one fails.
type ownerRecord struct {
	Worker   string `json:"worker"`
	Released bool   `json:"released,omitempty"` // it has handed over in order
	Over     uint64 `json:"over,omitempty"`     // sequence of the record that it was written over
	Doubt    bool   `json:"doubt,omitempty"`    // of who has handed over: acknowledgements of his may have been lost

	// In Unix nanoseconds, by the server's clock.
	Since int64   `json:"since,omitempty"` // when he had claimed it first, where it is not this record that says so
	Gone  []int64 `json:"gone,omitempty"`  // when those before him had who left it, but not in order, the oldest first
}

// mostGone owners are remembered: as many would have to be gone before anybody looks at a job that the first of them had. How long ago
// they came does not matter: one may have sent a job today that he has had for days, as of a campaign that was paused.
const mostGone = 16

// goneWith is Gone with one more.
func (r ownerRecord) goneWith(since int64) []int64 {
	gone := slices.Concat(r.Gone, []int64{since})
	return gone[max(len(gone)-mostGone, 0):]
}

// claim is a partition that has become this worker's.
type claim struct {
	revision uint64
	at       time.Time // when, by the server's clock
	seen     time.Time // and by this worker's
	from     handover
	doubt    bool      // of released: acknowledgements of its owner may have been lost
	left     time.Time // of abandoned: when its owner wrote down that he had left, by the server's clock; zero: he did not
	record   ownerRecord

	// gone is when owners had claimed it, by the server's clock, who can't be asked any more what they did: those that left not in
	// order, and of mine this worker itself. In Unix nanoseconds, the oldest first.
	gone []int64
}

// unclean is what is to be written over it, if it is not left in order: it is nobody's then.
func (c claim) unclean() ownerRecord {
	return ownerRecord{Since: c.since(), Gone: c.record.Gone}
}

// since is when this worker claimed it first, and nobody else has since. In Unix nanoseconds, by the server's clock.
func (c claim) since() int64 { return or(c.record.Since, c.at.UnixNano()) }

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
	record, written, err := m.owner(ctx, partition)
	if err != nil {
		return c, false, err
	}
	c.revision = written.Sequence
	c.record = ownerRecord{Worker: m.me, Gone: record.Gone}
	c.gone = record.Gone
	since := record.Since
	if since == 0 && record.Worker != "" {
		since = written.Time.UnixNano()
	}
	switch {
	case c.revision == 0:
		c.from = unknown
	case record.Released:
		c.from, c.doubt = released, record.Doubt
	case record.Worker == m.me:
		c.from, c.record.Since, c.gone = mine, since, record.goneWith(since)
		if before := m.inherited[partition]; before == unknown || before == abandoned {
			c.from = before // the answer to that claim was lost, or its lease ran out too soon
		}
	default:
		gone, err := m.isGone(ctx, record.Worker)
		if err != nil || !gone {
			return c, false, err
		}
		c.from = abandoned
		if record.Worker == "" && record.Over != 0 { // a worker wrote that he had left; else its owner may not know it yet
			c.left = written.Time
		}
		if since != 0 {
			c.gone = record.goneWith(since)
		}
		c.record.Gone = c.gone
	}
	if over(m.lease(), time.Now()) {
		return c, false, errNoLease
	}
	m.inherited[partition] = c.from
	if c.revision, err = m.writeOwner(ctx, partition, c.revision, c.record); err != nil {
		return c, false, err
	}
	m.claimed(partition, c.revision)
	stored, err := m.at(ctx, c.revision)
	if err != nil {
		return c, false, err // the next try finds it its own, and how it came to it in inherited
	}
	c.at, c.seen = stored.Time, time.Now()
	return c, true, nil
}

// owner reads whose a partition is, and how that is written; sequence 0: nobody ever wrote it down.
func (m *members) owner(ctx context.Context, partition int) (r ownerRecord, written *jetstream.RawStreamMsg, err error) {
	written, err = m.last(ctx, ownerSubject(partition))
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return r, &jetstream.RawStreamMsg{}, nil
	}
	if err != nil {
		return r, nil, err
	}
	r, ok := readOwner(written.Data)
	if !ok {
		m.q.trouble.warn(m.q.log, "the record of who owns a partition can't be read; whoever should own it claims it anew",
			"partition", partition)
	}
	return r, written, nil
}

// readOwner reads an owner's record. One that no worker wrote is nobody's, so
// that it can be written over: else the partition would wait for a person.
func readOwner(data []byte) (r ownerRecord, ok bool) {
	if json.Unmarshal(data, &r) != nil {
		return ownerRecord{}, false
	}
	return r, true
}

// isGone says whether a partition's owner is. One that was not heard of may
// only not have been heard: the server knows.
func (m *members) isGone(ctx context.Context, id string) (bool, error) {
	if id == "" {
		return true, nil // it was left, but not in order
	}
	if m.alive(id) {
		return false, nil
	}
	age, err := m.age(ctx, id)
	if err != nil {
		return false, err
	}
	if age < expireAfter {
		m.heard(id, memberRecord{}, time.Now().Add(-age))
		return false, nil
	}
	return true, nil
}

func (m *members) writeOwner(ctx context.Context, partition int, over uint64, r ownerRecord) (uint64, error) {
	ctx, cancel := context.WithTimeout(ctx, tryTimeout)
	defer cancel()
	r.Over = over
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
