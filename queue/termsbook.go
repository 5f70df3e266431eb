package queue

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// termsBook is what a worker knows of the terms of all campaigns: the last word
// of each, up to a sequence of INVITE_CONTROL. One goroutine uses it.
type termsBook struct {
	q       *Queue
	control jetstream.Stream
	loaded  bool
	created time.Time        // the stream
	updated time.Time        // the book, by the wall: a machine that slept does not count it otherwise
	through uint64           // all terms up to this sequence are in the book
	terms   map[string]steer // by the campaign's subject in INVITE_CAMPAIGNS
	lost    map[string]steer // that were in the book when the stream was made anew, and are to be stored again
}

// steer is what a campaign's terms come to at some moment: what its source goes by.
type steer struct {
	held      bool // nothing of it is fetched
	cancelled bool // what is fetched is dropped
	rate      float64
	startAt   time.Time
}

func newTermsBook(q *Queue) *termsBook {
	return &termsBook{q: q, control: q.streams[ControlStream], terms: make(map[string]steer)}
}

// at says how a campaign is to be treated now, by the server's clock.
func (b *termsBook) at(subject string, now time.Time) steer {
	s := b.terms[subject]
	s.held = !s.cancelled && (s.held || now.Before(s.startAt))
	s.startAt = time.Time{}
	return s
}

// update reads what is new. It costs one request where nothing is.
func (b *termsBook) update(ctx context.Context) error {
	info, err := infoOf(ctx, b.control)
	if err != nil {
		return err
	}
	last, now := info.State.LastSeq, time.Now().Round(0)
	switch {
	case !b.loaded:
	case now.Sub(b.updated) > termsFade/2: // some may have been emptied and removed meanwhile
		b.loaded, b.through, b.terms = false, 0, make(map[string]steer)
	case last < b.through || !info.Created.Equal(b.created): // the stream was made anew
		b.loaded, b.through, b.lost, b.terms = false, 0, b.terms, make(map[string]steer)
	}
	switch {
	case !b.loaded:
		if err = b.readAll(ctx); err == nil {
			err = b.storeAgain(ctx)
		}
	case last > b.through:
		err = b.readOn(ctx)
	}
	if err == nil {
		b.loaded, b.created, b.updated, b.through = true, info.Created, now, max(b.through, last)
	}
	return err
}

// storeAgain stores terms that were deleted with their stream, but for those that
// somebody has written since: a campaign that somebody wanted to be stopped must
// not be sent because of that.
func (b *termsBook) storeAgain(ctx context.Context) error {
	if len(b.lost) > 0 {
		b.q.log.Error("what is wanted of campaigns was deleted; it is stored again as this worker knows it", "campaigns", len(b.lost))
	}
	for campaign, s := range b.lost {
		terms := CampaignTerms{Paused: s.held, Cancelled: s.cancelled, Rate: s.rate, StartAt: s.startAt}
		_, err := putRecord(ctx, b.q.js, termsPrefix+strings.TrimPrefix(campaign, campaignsPrefix), 0, terms)
		switch {
		case err == nil:
			b.terms[campaign] = s
		case !isWrongSequence(err):
			return explain(err)
		}
		delete(b.lost, campaign)
	}
	return nil
}

// readAll reads the terms of all campaigns at once.
func (b *termsBook) readAll(ctx context.Context) error {
	filter := jetstream.ConsumerConfig{FilterSubject: termsPrefix + "*.*.*"}
	return readAll(ctx, b.control, filter, func(m jetstream.Msg) error {
		meta, err := m.Metadata()
		if err == nil {
			b.note(m.Subject(), m.Data(), meta.Sequence.Stream)
		}
		return err
	})
}

// readOn reads those that changed since, one by one: they are few.
func (b *termsBook) readOn(ctx context.Context) error {
	for {
		asking, cancel := context.WithTimeout(ctx, tryTimeout)
		m, err := getMsg(asking, b.q.js, b.control, b.through+1, termsPrefix+"*.*.*")
		cancel()
		if errors.Is(err, jetstream.ErrMsgNotFound) {
			return nil
		}
		if err != nil {
			return explain(err)
		}
		b.note(m.Subject, m.Data, m.Sequence)
	}
}

// note takes a record into the book. One that can't be read holds its campaign:
// somebody wanted something of it, and to send can't be undone.
func (b *termsBook) note(subject string, data []byte, sequence uint64) {
	b.through = max(b.through, sequence)
	campaign := campaignsPrefix + strings.TrimPrefix(subject, termsPrefix)
	t, err := decodeTerms(data)
	switch {
	case err != nil:
		b.terms[campaign] = steer{held: true}
		b.q.log.Error("what is wanted of a campaign can't be read; it waits until it is resumed (invitectl campaign resume)",
			"subject", subject, "error", err)
	case t == CampaignTerms{}:
		delete(b.terms, campaign)
	default:
		b.terms[campaign] = steer{held: t.Paused, cancelled: t.Cancelled, rate: t.Rate, startAt: t.StartAt}
	}
}
