package dispatcher

import (
	"context"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/invitedhq/invited/dispatcher/plan"
	"github.com/invitedhq/invited/queue"
	"github.com/invitedhq/invited/xbl"
)

// Caller makes one call to the API. *xbl.Client is one. An error is an *xbl.Error.
type Caller interface {
	SendInvites(ctx context.Context, call xbl.Invite) error
}

// Store keeps how jobs end, and what is known of keys. *queue.Queue is one. Its
// methods return before anything is stored, and call done once it is, or once
// ctx has ended.
type Store interface {
	// Settle stores the job's dead letters and its result, then acknowledges it.
	Settle(ctx context.Context, d *queue.Delivery, e queue.Ending, done func(error))
	// SaveProgress stores what ended of a job that goes on.
	SaveProgress(ctx context.Context, d *queue.Delivery, p queue.Progress, done func(error))
	// SaveKey stores what is known of a key's quota, for its next owner.
	SaveKey(ctx context.Context, s queue.KeyState, done func(error))
}

// Tenure says until when this worker may send. *queue.Queue does.
type Tenure interface {
	Lease() time.Time
}

// Observer is told what happens, for metrics. It is called from the loop: it must not block.
type Observer interface {
	JobDelivered(lane queue.Lane, redelivered bool)
	CallEnded(CallEnded)
	JobEnded(JobEnded)
}

// CallEnded is one call that was made.
type CallEnded struct {
	TitleID    uint32
	Lane       queue.Lane
	Recipients int
	Jobs       int           // that its recipients are of
	Attempt    int           // see plan.Call
	Kind       xbl.Kind      // zero: sent
	Status     int           // of an answer that is an error; 0: it was sent, or there was no answer
	RetryAfter time.Duration // that a throttle asked for
	Started    time.Time
	Took       time.Duration
	Blocked    time.Duration // by how much its answer extended the key's Retry-After
	// Traceparents are those of its jobs that have one, as their producers sent them, in no order; nil: none has.
	Traceparents []string
}

// JobEnded is one job whose ending is stored and acknowledged.
type JobEnded struct {
	TitleID uint32
	Lane    queue.Lane
	Sent    int          // recipients
	Dead    []DeadLetter // one for each that was stored
	// Cancelled is how many recipients were dropped.
	Cancelled int
	Took      time.Duration // from publish to the last 204; zero where nothing was sent
	// Traceparent is the job's, as its producer sent it; empty: none.
	Traceparent string
}

// DeadLetter is one stored dead letter. What is no job has no recipients.
type DeadLetter struct {
	Reason     queue.Reason
	Recipients int
}

// Config says how a worker behaves. Every field is required but ServerAudience.
type Config struct {
	Plan plan.Config
	// InteractiveTTL is how long after its publication an interactive job
	// without expiresAt may still be sent.
	InteractiveTTL time.Duration
	// ServerAudience is true where senders are XUIDs: a job of any other sender is invalid.
	ServerAudience bool
	// AckWait is how long the queue waits for an acknowledgement. It is renewed three times in it.
	AckWait time.Duration
	// Grace is how long calls in flight and endings may take once Run is told to stop.
	Grace  time.Duration
	Logger *slog.Logger
}

// Dispatcher is one worker. Run is to be called once; all other methods may be
// called at any time, by several goroutines. It is the queue's Worker.
type Dispatcher struct {
	cfg      Config
	caller   Caller
	store    Store
	tenure   Tenure
	observer Observer
	log      *slog.Logger

	inbox   chan *queue.Delivery
	answers *mailbox[answer]
	stored  *mailbox[stored]
	asks    chan func(*loop)
	waiting waiting
	stopped chan struct{} // closed when the loop takes no more deliveries
	ended   chan struct{} // closed when Run has returned
	clean   atomic.Bool   // it left nothing that the next owner would not know of
}

var _ queue.Worker = (*Dispatcher)(nil)

// answer is a call that ended.
type answer struct {
	call *plan.Call
	err  *xbl.Error
	at   time.Time
}

// stored is an ending, or progress, or where held is nil a key's state, that is
// in the queue's streams, or could not be put there.
type stored struct {
	held   *held
	ending bool        // or progress
	state  *plan.State // a key's
	err    error
}

// inboxSize lets deliveries run a little ahead of the loop, so that a burst is
// parked before the first call is composed and single recipients share calls.
const inboxSize = 256

// New returns a dispatcher that has not started.
func New(cfg Config, caller Caller, store Store, tenure Tenure, observer Observer) *Dispatcher {
	return &Dispatcher{
		cfg: cfg, caller: caller, store: store, tenure: tenure, observer: observer, log: cfg.Logger,
		inbox:   make(chan *queue.Delivery, inboxSize),
		answers: newMailbox[answer](),
		stored:  newMailbox[stored](),
		asks:    make(chan func(*loop)),
		stopped: make(chan struct{}),
		ended:   make(chan struct{}),
	}
}

// Deliver hands over a job. It blocks while the loop is busy, which is the
// backpressure on the queue. Once Run has been told to stop, the job is given
// back at once. It is safe for concurrent use.
func (d *Dispatcher) Deliver(x *queue.Delivery) {
	select {
	case <-d.stopped:
		d.release(x)
		return
	default:
	}
	select {
	case d.inbox <- x:
	case <-d.stopped:
		d.release(x)
		return
	}
	select {
	case <-d.stopped: // both were possible, and nobody may be there any more to take it out
		d.releaseInbox()
	default:
	}
}

// releaseInbox gives back what was delivered and not taken by the loop.
func (d *Dispatcher) releaseInbox() {
	for {
		select {
		case x := <-d.inbox:
			d.release(x)
		default:
			return
		}
	}
}

// Reconfigure puts other limits in force: see plan.Planner.Reconfigure. It returns once that is done, or Run has returned.
func (d *Dispatcher) Reconfigure(limits plan.Limits, titles map[uint32]plan.Limits) {
	d.do(func(l *loop) { l.plan.Reconfigure(time.Now(), limits, titles) })
}

// Snapshot is what a running worker holds right now.
type Snapshot struct {
	Jobs       int // delivered and not ended
	InFlight   int // calls
	Partitions int // owned
	plan.Held
}

// Snapshot asks the running loop. It fails when the loop does not take the
// question before ctx ends, as before and after Run.
func (d *Dispatcher) Snapshot(ctx context.Context) (Snapshot, error) {
	answer := make(chan Snapshot, 1)
	ask := func(l *loop) {
		answer <- Snapshot{Jobs: l.plan.Jobs(), InFlight: l.plan.InFlight(), Partitions: len(l.owned), Held: l.plan.Held(time.Now())}
	}
	select {
	case d.asks <- ask:
		return <-answer, nil
	case <-ctx.Done():
		return Snapshot{}, fmt.Errorf("the dispatcher's loop does not answer: %w", ctx.Err())
	}
}

func (d *Dispatcher) release(x *queue.Delivery) {
	if err := x.Release(0); err != nil {
		d.log.Debug("a job could not be given back; its lease will run out", "job", x.ID(), "error", err)
	}
}
