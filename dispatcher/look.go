package dispatcher

import (
	"context"
	"fmt"
	"time"

	"github.com/invitedhq/invited/dispatcher/plan"
	"github.com/invitedhq/invited/queue"
)

// ask has the running loop do something. It fails when the loop does not take it before ctx ends, as before and after Run.
func (d *Dispatcher) ask(ctx context.Context, do func(*loop)) error {
	done := make(chan struct{})
	select {
	case d.asks <- func(l *loop) { defer close(done); do(l) }:
		<-done
		return nil
	case <-ctx.Done():
		return fmt.Errorf("the dispatcher's loop does not answer: %w", ctx.Err())
	}
}

// Closeup asks the running loop how its keys stand: see plan.Planner.Closeup,
// which looks at each of them. It fails as Snapshot does.
func (d *Dispatcher) Closeup(ctx context.Context, most int) (c plan.Closeup, err error) {
	err = d.ask(ctx, func(l *loop) { c = l.plan.Closeup(time.Now(), most) })
	return c, err
}

// Owned asks the running loop which partitions' jobs are this worker's to send, in no order.
func (d *Dispatcher) Owned(ctx context.Context) (partitions []int, err error) {
	err = d.ask(ctx, func(l *loop) {
		for n := range l.owned {
			partitions = append(partitions, n)
		}
	})
	return partitions, err
}

// JobInHand is a job that was delivered to this worker and has not ended.
type JobInHand struct {
	ID          string
	Stream      string
	Sequence    uint64
	Address     queue.Address
	PublishedAt time.Time // by the server's clock
	State       JobState
	Recipients  int
	Sent        int
	Dead        int
	Attempts    int // calls
}

// JobState is what a job in hand waits for. The set is closed.
type JobState string

// The states.
const (
	JobParked  JobState = "waiting"      // for its turn, for quota, for a token or for the end of a wait
	JobInCall  JobState = "in flight"    // in a call that is not answered
	JobStoring JobState = "being stored" // it has ended, and that is on its way into the streams
)

// Find asks the running loop for a job by its id, or by "<stream>:<sequence>". It looks at each job in
// hand. Nil: this worker has none such in hand. It fails as Snapshot does.
func (d *Dispatcher) Find(ctx context.Context, id string) (found *JobInHand, err error) {
	err = d.ask(ctx, func(l *loop) {
		for _, h := range l.held {
			x := h.delivery
			if x.ID() == id || fmt.Sprintf("%s:%d", x.Stream, x.Sequence) == id {
				found = h.describe()
				return
			}
		}
	})
	return found, err
}

func (h *held) describe() *JobInHand {
	x := h.delivery
	j := &JobInHand{
		ID: x.ID(), Stream: x.Stream, Sequence: x.Sequence, Address: x.Address, PublishedAt: x.PublishedAt,
		State: JobParked, Recipients: len(x.Job.InvitedUsers),
	}
	var dead []queue.Dead
	switch {
	case h.end != nil:
		j.State, j.Sent, j.Attempts, dead = JobStoring, h.end.Sent, h.end.Attempts, h.end.Dead
	case h.job != nil:
		j.Sent, j.Attempts, dead = h.job.Sent, h.job.Attempts, h.job.Dead
		if h.job.InCall() {
			j.State = JobInCall
		}
	}
	for _, d := range dead {
		j.Dead += len(d.Recipients)
	}
	return j
}
