package dispatcher

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/invitedhq/invited/queue"
)

// settle has a job's ending stored. Until that is done the job stays held.
func (l *loop) settle(h *held, e queue.Ending) {
	h.ending = true
	h.end = e
	l.storing++
	delivery := h.delivery
	l.outbox.letters.put(func(ctx context.Context) {
		l.store.Settle(ctx, delivery, e, func(err error) { l.Dispatcher.stored.put(stored{h, true, err}) })
	})
}

// saveProgress has what ended of a job stored, so that a crash repeats nothing of it.
func (l *loop) saveProgress(h *held) {
	l.storing++
	delivery, p := h.delivery, progressOf(h)
	p.Ended, p.Dead = slices.Clone(p.Ended), slices.Clone(p.Dead) // the plan goes on writing to its own
	l.outbox.letters.put(func(ctx context.Context) {
		l.store.SaveProgress(ctx, delivery, p, func(err error) { l.Dispatcher.stored.put(stored{h, false, err}) })
	})
}

func progressOf(h *held) queue.Progress {
	j := h.job
	return queue.Progress{Ended: j.Ended, Sent: j.Sent, Dead: j.Dead, Attempts: j.Attempts, MaybeDuplicate: j.MaybeDuplicate}
}

// noted takes note of what is stored now. The store retries by itself until
// its context ends, so an ending that is not stored means that this worker is
// stopping: the job stays unacknowledged and comes again.
func (l *loop) noted(s stored) {
	l.storing--
	h := s.held
	if h == nil { // the state of keys
		if s.err != nil {
			l.log.Warn("the calls made lately are not stored; after a restart some may be refused", "error", s.err)
		}
		return
	}
	if s.err != nil {
		l.log.Warn("not stored; the job will be delivered again", "job", h.delivery.ID(),
			"title", h.delivery.Address.TitleID, "ending", s.ending, "error", s.err)
		return
	}
	if !s.ending {
		return
	}
	m := messageOf(h.delivery)
	delete(l.held, m)
	l.settled.add(m)
	l.observer.JobEnded(endedOf(h))
	l.logEnded(h)
}

func endedOf(h *held) JobEnded {
	e := JobEnded{TitleID: h.delivery.Address.TitleID, Lane: h.delivery.Lane, Sent: h.end.Sent}
	for _, dead := range h.end.Dead {
		e.Dead = append(e.Dead, DeadLetter{Reason: dead.Reason, Recipients: len(dead.Recipients)})
	}
	if h.end.Sent > 0 {
		e.Took = h.job.SentAt.Sub(h.delivery.PublishedAt)
	}
	return e
}

// leaveFor is how long a stopping worker takes, when its grace is over, to
// write down how the calls that were cut off ended, and which of its jobs may
// have been sent.
const leaveFor = 2 * time.Second

// leave gives back what has not ended. A job whose call was cut off may have
// been sent: that must be known to whoever sends it again.
func (l *loop) leave(ctx context.Context, cut bool) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), leaveFor)
	defer cancel()
	var saving sync.WaitGroup
	for _, h := range l.held {
		if h.job == nil || !h.job.MaybeDuplicate || h.ending {
			l.release(h.delivery)
			continue
		}
		saving.Add(1)
		l.store.SaveProgress(ctx, h.delivery, progressOf(h), func(error) {
			l.release(h.delivery)
			saving.Done()
		})
	}
	saving.Wait()
	if cut {
		return ErrGraceOver
	}
	return nil
}

// ErrGraceOver says that a stop took longer than its grace.
var ErrGraceOver = errors.New("calls or endings were cut off at the end of dispatch.shutdown_grace: " +
	"some invites may be sent twice; a grace longer than xbl.timeout avoids that")
