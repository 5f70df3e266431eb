package queue

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// LetterFilter selects dead letters. Its zero value selects all.
type LetterFilter struct {
	Filter
	Until time.Time // stored before it; zero: whenever
	JobID string    // what the letter calls its job; empty: any
}

// exact says whether a letter is selected by its subject alone.
func (f LetterFilter) exact() bool {
	return f.Campaign == "" && f.Since.IsZero() && f.Until.IsZero() && f.JobID == ""
}

// Counted says whether Backlog.Letters is how many letters it selects, so that nobody has to look at them.
func (f LetterFilter) Counted() bool { return f.exact() }

func (f LetterFilter) selects(l DeadLetter) bool {
	return (f.Campaign == "" || l.Address.Campaign == f.Campaign) && (f.JobID == "" || l.JobID == f.JobID) &&
		(f.Until.IsZero() || l.StoredAt.Before(f.Until))
}

func (f LetterFilter) subject() string {
	return deadPrefix + titleToken(f.TitleID) + "." + or(string(f.Reason), "*")
}

// LetterPage is some dead letters, the newest first.
type LetterPage struct {
	Letters []DeadLetter
	// Before is where the next page begins; 0: there are no more.
	Before uint64
	// Looked is how many letters were looked at. Where a page has fewer letters than were asked for, and more may follow, it was enough.
	Looked int
	Oldest time.Time // when the last one of those was stored; zero: none was
}

// LetterPage reads up to n of the dead letters before a sequence, the newest
// first; 0: from the end. It looks at no more than most of them, and makes some
// requests for each, without a consumer: a page of a million letters costs as
// much as one of a hundred. Title and reason are looked for by the server;
// whatever else the filter has is compared here. Where letters are large a page
// has fewer of them: their bodies are some 16 MiB at most.
func (r *Reader) LetterPage(ctx context.Context, f LetterFilter, before uint64, n, most int) (LetterPage, error) {
	var page LetterPage
	info, err := r.info(ctx, DeadStream)
	if err != nil {
		return page, err
	}
	if end := info.State.LastSeq + 1; before == 0 || before > end {
		before = end
	}
	s, err := r.stream(ctx, DeadStream)
	if err != nil {
		return page, err
	}
	w := &walker{js: r.js, stream: s, subject: f.subject(), before: before, gets: most * getsPerLook}
	if !f.Until.IsZero() {
		if w.before, err = w.until(ctx, info.State.FirstSeq, f.Until); err != nil {
			return page, endOfWalk(err)
		}
	}
	bodies := 0
	for page.Before = w.before; ; page.Before = w.before {
		found, err := w.next(ctx)
		if errors.Is(err, errWalkOver) {
			page.Before = w.before
			return page, nil
		}
		if err != nil {
			return LetterPage{}, err
		}
		if len(found) == 0 {
			page.Before = 0
			return page, nil
		}
		for _, m := range found {
			if m.Time.Before(f.Since) {
				page.Before = 0
				return page, nil
			}
			l := letterOf(m.Header, m.Data)
			l.Sequence, l.StoredAt = m.Sequence, m.Time
			page.Looked++
			page.Oldest, page.Before = m.Time, m.Sequence
			if f.selects(l) {
				page.Letters = append(page.Letters, l)
				bodies += len(l.Body)
			}
			if len(page.Letters) == n || page.Looked >= most || bodies >= maxPageBytes {
				return page, nil
			}
		}
	}
}

// maxPageBytes bounds the bodies of a page: a letter may be a megabyte, and a page a thousand letters.
const maxPageBytes = 16 << 20

// getsPerLook is how many requests may be made for each message that may be looked at: sparse ones take a few tries each.
const getsPerLook = 8

func endOfWalk(err error) error {
	if errors.Is(err, errWalkOver) {
		return fmt.Errorf("reading %s: there are more gaps in it than can be looked over", DeadStream)
	}
	return err
}

// until is the first sequence, at or below where the walker is, of a message stored at a time or later.
func (w *walker) until(ctx context.Context, first uint64, at time.Time) (uint64, error) {
	low, high := first, w.before
	for low < high {
		middle := low + (high-low)/2
		m, err := w.get(ctx, middle)
		if err != nil {
			return 0, err
		}
		if m == nil || m.Sequence >= high || !m.Time.Before(at) {
			high = middle
		} else {
			low = m.Sequence + 1
		}
	}
	return low, nil
}

// ErrNoLetter means that there is no dead letter of this sequence, or none any more.
var ErrNoLetter = errors.New("there is no such dead letter: it was replayed, dropped, or kept for as long as letters are")

// DeadLetter reads one dead letter. The error may be ErrNoLetter.
func (r *Reader) DeadLetter(ctx context.Context, sequence uint64) (DeadLetter, error) {
	s, err := r.stream(ctx, DeadStream)
	if err != nil {
		return DeadLetter{}, err
	}
	m, err := getMsg(ctx, r.js, s, sequence, "")
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return DeadLetter{}, ErrNoLetter
	}
	if err != nil {
		return DeadLetter{}, fmt.Errorf("reading %s: %w", DeadStream, explain(err))
	}
	l := letterOf(m.Header, m.Data)
	l.Sequence, l.StoredAt = m.Sequence, m.Time
	return l, nil
}
