package queue

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// fence keeps a record from being replaced by an older one. A worker that was
// cut off may have written one that arrives only when the next owner has
// written its own. So each is stored only over the one its writer knows.
type fence struct {
	stream  jetstream.Stream
	subject string
	last    uint64 // sequence of the record known; 0: none
}

// expect is nil-safe, for entries without a fence.
func (f *fence) expect() []jetstream.PublishOpt {
	if f == nil {
		return nil
	}
	return []jetstream.PublishOpt{jetstream.WithExpectLastSequencePerSubject(f.last)}
}

// stored takes note of what was stored; 0: nothing was.
func (f *fence) stored(sequence uint64) {
	if f != nil && sequence != 0 {
		f.last = sequence
	}
}

// reread is for when it was not as known: a record that has run out of its time,
// or one of a former owner that came late. Whoever owns the job or the key
// replaces it, knowing of it now; whoever does not any more has no reason to: see entry.obsolete.
func (f *fence) reread(ctx context.Context) error {
	m, err := f.stream.GetLastMsgForSubject(ctx, f.subject)
	switch {
	case errors.Is(err, jetstream.ErrMsgNotFound):
		f.last = 0
	case err != nil:
		return err
	default:
		f.last = m.Sequence
	}
	return nil
}

// records stores the latest of what changes often. Of each there is one on its
// way at a time, because the next one's fence is its sequence; what is given
// meanwhile replaces what waits.
type records struct {
	settler *settler

	mu    sync.Mutex
	slots map[string]*slot // by subject
	sweep int              // how many there may be before old ones are looked for
}

type slot struct {
	fence fence
	busy  bool
	next  *entry
	until time.Time // the fence is of no use any more; zero: when it is forgotten
}

// minSweep keeps few slots from being looked through at all.
const minSweep = 4096

func newRecords(s *settler) *records {
	return &records{settler: s, slots: make(map[string]*slot), sweep: minSweep}
}

// put stores x.last, in its turn. x.done is called when it, or what replaced it, is stored.
func (r *records) put(stream jetstream.Stream, until time.Time, x *entry) {
	r.mu.Lock()
	subject := x.last.Subject
	s := r.slots[subject]
	if s == nil {
		r.forgetOld(time.Now())
		s = &slot{fence: fence{stream: stream, subject: subject}}
		r.slots[subject] = s
	}
	if !s.busy && !s.until.IsZero() && time.Now().After(s.until) {
		s.fence.last = 0 // the record has run out
	}
	s.until = until
	if s.busy {
		if replaced := s.next; replaced != nil {
			done := x.done
			x.done = func(err error) { done(err); replaced.done(err) }
		}
		s.next = x
		r.mu.Unlock()
		return
	}
	s.busy = true
	r.mu.Unlock()
	r.start(s, x)
}

func (r *records) start(s *slot, x *entry) {
	done := x.done
	x.fence = &s.fence
	x.done = func(err error) {
		r.mu.Lock()
		next := s.next
		s.next, s.busy = nil, next != nil
		r.mu.Unlock()
		done(err)
		if next != nil {
			go r.start(s, next) // the settler may have no room, and this is one of its stages
		}
	}
	if x.obsolete != nil && x.obsolete() { // while it waited for its turn
		go x.done(ErrLost)
		return
	}
	r.settler.submit(x)
}

// known notes that a record was read.
func (r *records) known(stream jetstream.Stream, subject string, sequence uint64, until time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if s := r.slots[subject]; s != nil && s.busy {
		return // what is on its way finds out
	}
	r.slots[subject] = &slot{fence: fence{stream: stream, subject: subject, last: sequence}, until: until}
}

func (r *records) forget(subject string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch s := r.slots[subject]; {
	case s == nil:
	case s.busy:
		s.until = time.Now()
	default:
		delete(r.slots, subject)
	}
}

// forgetOld bounds the memory of records that run out by themselves. r.mu is held.
func (r *records) forgetOld(now time.Time) {
	if len(r.slots) < r.sweep {
		return
	}
	for subject, s := range r.slots {
		if !s.busy && !s.until.IsZero() && now.After(s.until) {
			delete(r.slots, subject)
		}
	}
	r.sweep = max(minSweep, 2*len(r.slots))
}
