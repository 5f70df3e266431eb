package dispatcher

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/invitedhq/invited/queue"
)

// settle has a job's ending stored. Until that is done the job stays held.
func (l *loop) settle(h *held, e queue.Ending) {
	h.end = &e
	if h.again != nil {
		h.delivery = h.again // its lease is the one that counts
	}
	l.storing++
	if h.job != nil && h.job.Call != 0 {
		h.call = h.job.Call
		l.unstored[h.call]++
	}
	l.outbox.letters.put(letter{held: h, delivery: h.delivery, ending: e})
}

// cancelled is the ending of a job whose campaign was cancelled: what ended of
// it before, and the rest is dropped. One that a gone owner may have sent says so.
func cancelled(x *queue.Delivery, now time.Time) queue.Ending {
	e := queue.Ending{MaybeDuplicate: x.MaybeSent, EndedAt: now, Cancelled: len(x.Job.InvitedUsers)}
	if p := x.Progress; p != nil {
		e.Sent, e.Dead, e.Attempts, e.MaybeDuplicate = p.Sent, p.Dead, p.Attempts, p.MaybeDuplicate || x.MaybeSent
		e.Cancelled -= endedOfAll(*p)
	}
	return e
}

// saveProgress has what ended of a job stored, so that a crash repeats nothing of it.
func (l *loop) saveProgress(h *held) {
	l.storing++
	l.saves++
	h.saving++
	p := progressOf(h)
	p.Ended, p.Dead = slices.Clone(p.Ended), slices.Clone(p.Dead) // the plan goes on writing to its own
	l.outbox.letters.put(letter{held: h, delivery: h.delivery, progress: &p})
}

func progressOf(h *held) queue.Progress {
	j := h.job
	p := queue.Progress{Ended: j.Ended, Sent: j.Sent, Dead: j.Dead, Attempts: j.Attempts, MaybeDuplicate: j.MaybeDuplicate}
	if h.others != nil {
		p = merged(h.delivery.Job.InvitedUsers, p, *h.others)
	}
	return p
}

// noted takes note of what is stored now. The store retries by itself until
// its context ends, so an ending that is not stored means that this worker is
// stopping; or, with ErrLost, that it came too late. The job then stays
// unacknowledged and comes again.
func (l *loop) noted(s stored) {
	h := s.held
	if h == nil {
		l.keySaved(s)
		return
	}
	l.storing--
	switch {
	case !s.ending:
		l.saves--
	case h.call != 0:
		if l.unstored[h.call]--; l.unstored[h.call] == 0 {
			delete(l.unstored, h.call)
		}
	}
	if s.err != nil && !errors.Is(s.err, queue.ErrLost) {
		l.log.Warn("not stored; the job will be delivered again", "job", h.delivery.ID(),
			"title", h.delivery.Address.TitleID, "ending", s.ending, "error", s.err)
	}
	if !s.ending {
		lost := errors.Is(s.err, queue.ErrLost)
		h.unsaved = h.unsaved || s.err != nil && !lost
		h.saving--
		switch {
		case h.saving > 0 || !h.done || l.held[messageOf(h.delivery)] != h:
		case lost:
			l.keep(h)
		case !h.unsaved: // else leave tries once more
			l.giveBack(h)
		}
		return
	}
	if s.err != nil {
		if errors.Is(s.err, queue.ErrLost) {
			l.endedTooLate(h)
		}
		return
	}
	if h.again != nil && h.again != h.delivery { // it came when its ending was on its way
		if err := h.again.Ack(); err != nil {
			l.log.Debug("a settled job could not be acknowledged again", "job", h.delivery.ID(), "error", err)
		}
	}
	l.drop(h)
	m := messageOf(h.delivery)
	l.settled.add(m)
	if !l.counted.has(m) {
		l.tellEnded(h)
	}
}

func (l *loop) tellEnded(h *held) {
	l.observer.JobEnded(endedOf(h))
	l.logEnded(h)
}

// endedTooLate is for a job whose ending was stored when its partition was not this worker's any more: it is not acknowledged, and its
// next owner may have sent it again. If that is this worker, it knows what ended, and that it was counted.
func (l *loop) endedTooLate(h *held) {
	l.counted.add(messageOf(h.delivery))
	l.tellEnded(h)
	if h.job != nil {
		l.keep(h)
	} else {
		l.drop(h)
	}
	if h.again != nil && h.again != h.delivery {
		l.deliver(h.again)
	}
}

func endedOf(h *held) JobEnded {
	e := JobEnded{
		TitleID: h.delivery.Address.TitleID, Lane: h.delivery.Lane, Sent: h.end.Sent, Cancelled: h.end.Cancelled,
		Traceparent: h.delivery.Traceparent,
	}
	for _, dead := range h.end.Dead {
		e.Dead = append(e.Dead, DeadLetter{Reason: dead.Reason, Recipients: len(dead.Recipients)})
	}
	if h.end.Sent > 0 && h.job != nil && !h.job.SentAt.IsZero() {
		e.Took = h.job.SentAt.Sub(h.delivery.Published)
	}
	return e
}

// leaveFor is how long a stopping worker takes, when its grace is over, to
// write down how the calls that were cut off ended, and which of its jobs may
// have been sent.
const leaveFor = 2 * time.Second

// leave gives back what is left. Of a job that has ended, or of which some
// have, and could not be stored, and of one whose call was cut off and may have
// been sent, the next owner must know: what can't be told makes the stop one that was not in order.
func (l *loop) leave(ctx context.Context, cut bool) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), leaveFor)
	defer cancel()
	var saving sync.WaitGroup
	var untold atomic.Bool
	for partition := range l.owned {
		for _, h := range l.takeKept(partition) {
			h.unsaved = true
		}
	}
	for _, h := range l.inOrder() {
		switch owned := l.owned[h.delivery.Partition] != nil; {
		case h.lost && !owned:
		case h.job == nil || !h.job.MaybeDuplicate && h.end == nil && !h.unsaved:
			l.giveBack(h)
		default:
			saving.Add(1)
			l.store.SaveProgress(ctx, h.delivery, progressOf(h), func(err error) {
				if err != nil && !(h.lost && errors.Is(err, queue.ErrLost)) { // else others had it, and know
					untold.Store(true)
				}
				if !h.lost {
					l.release(h.delivery)
				}
				saving.Done()
			})
		}
	}
	saving.Wait()
	l.clean.Store(!untold.Load())
	if cut {
		return ErrGraceOver
	}
	return nil
}

// ErrGraceOver says that a stop took longer than its grace.
var ErrGraceOver = errors.New("calls or endings were cut off at the end of dispatch.shutdown_grace: " +
	"some invites may be sent twice; a grace longer than xbl.timeout avoids that")
