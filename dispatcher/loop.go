package dispatcher

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/invitedhq/invited/dispatcher/plan"
	"github.com/invitedhq/invited/queue"
	"github.com/invitedhq/invited/xbl"
)

// loop is the state of a running worker. Only Run's goroutine touches it.
type loop struct {
	*Dispatcher
	plan     *plan.Planner
	held     map[message]*held
	owned    map[int]*atomic.Bool // partitions, those being given away in order among them, and whether each was lost since
	leaving  map[int]*leaving     // partitions
	settled  recent               // their endings are stored
	counted  recent               // too late for their partition: they may come back
	kept     kept
	storing  int            // endings and progress on their way
	saves    int            // progress among them
	unstored map[uint64]int // the other endings among them, by the call that their job was in last: a kill would repeat it
	saving   map[int]int    // states of keys on their way, by partition
	failures failureLog
	extended time.Time // when the leases of messages were last renewed

	answerBuf []answer
	storedBuf []stored

	outbox  *outbox
	calling context.Context // of calls: ends when the grace is over
	callers chan *plan.Call // to goroutines that have made a call, and wait for another
}

// held is a job this worker has a message's lease of.
type held struct {
	delivery *queue.Delivery
	again    *queue.Delivery // that came while the job of a lost partition was in a call; nil: none
	others   *queue.Progress // what others stored of it meanwhile; nil: nothing
	job      *plan.Job       // nil: it is none, or is not to be sent
	call     uint64          // that it was in last, while its ending is being stored; 0: none
	end      *queue.Ending   // which is being stored; nil: it has not ended
	saving   int             // records of progress on their way
	unsaved  bool            // one of them could not be stored: this worker is stopping
	leaving  bool            // its partition is given away, or its campaign withdrawn
	lost     bool            // or was taken
	done     bool            // and nothing of the job is in a call any more

	planned plan.Job // what job points to: one allocation for both
}

// Run works until ctx ends. Then it stops making calls, waits for the answers
// to those in flight and for what is being stored, for Grace at the most, gives
// back all other jobs and returns nil; an error says what was cut off.
func (d *Dispatcher) Run(ctx context.Context) error {
	defer close(d.ended)
	calling, cut := context.WithCancel(context.WithoutCancel(ctx))
	defer cut()
	storing, giveUp := context.WithCancel(context.WithoutCancel(ctx))
	l := &loop{
		Dispatcher: d, plan: plan.New(d.cfg.Plan), held: make(map[message]*held),
		owned: make(map[int]*atomic.Bool), leaving: make(map[int]*leaving),
		calling: calling, callers: make(chan *plan.Call), outbox: newOutbox(),
		saving: make(map[int]int), unstored: make(map[uint64]int), extended: time.Now(),
		failures: failureLog{noSenders: d.cfg.ServerAudience},
	}
	left := make(chan struct{})
	go l.outbox.run(storing, d, left)
	defer func() { giveUp(); close(l.callers); close(left); <-l.outbox.done }()

	wake := time.NewTimer(0)
	defer wake.Stop()
	look := time.NewTicker(lookEvery)
	defer look.Stop()
	stop, graceOver, storeOver := ctx.Done(), (<-chan time.Time)(nil), (<-chan time.Time)(nil)
	for {
		select {
		case x := <-d.inbox:
			l.deliver(x)
		case <-d.answers.arrived:
		case <-d.stored.arrived:
		case ask := <-d.asks:
			ask(l)
		case <-look.C:
			l.keepLeases(time.Now())
		case <-wake.C:
		case <-stop:
			stop = nil
			close(d.stopped)
			d.releaseInbox()
			l.plan.Stop()
			graceOver = time.After(d.cfg.Grace)
		case <-graceOver:
			cut() // calls in flight answer at once, as unknown
			graceOver, storeOver = nil, time.After(leaveFor)
		case <-storeOver:
			giveUp() // what is not stored by now comes again
			storeOver = nil
		}
		l.drain()
		if next := l.step(); !next.IsZero() {
			wake.Reset(time.Until(next))
		}
		if stop == nil && l.plan.InFlight() == 0 && l.storing == 0 && len(l.saving) == 0 {
			return l.leave(ctx, calling.Err() != nil)
		}
	}
}

// drain takes what else has come in, so that one step sees it all: what came
// together can share calls.
func (l *loop) drain() {
	l.answerBuf = l.answers.take(l.answerBuf)
	for _, a := range l.answerBuf {
		l.answered(a)
	}
	clear(l.answerBuf)
	l.storedBuf = l.stored.take(l.storedBuf)
	for _, s := range l.storedBuf {
		l.noted(s)
	}
	clear(l.storedBuf)
	for range inboxSize {
		select {
		case x := <-l.inbox:
			l.deliver(x)
		default:
			return
		}
	}
}

// step does what the plan wants done and says when to ask it again.
func (l *loop) step() time.Time {
	l.plan.Unstored(len(l.unstored) + l.saves)
	lease := l.tenure.Lease()
	l.plan.Lease(lease)
	now := time.Now()
	step := l.plan.Next(now)
	l.plan.Waits(l.waiting.set)
	l.saveKeys(l.plan.Changed(now)) // calls about to be made among them
	for _, c := range step.Calls {
		l.start(c)
	}
	for _, j := range step.Progressed {
		if h := j.Ref.(*held); !h.leaving { // else letGo does
			l.saveProgress(h)
		}
	}
	for _, j := range step.Ended {
		h := j.Ref.(*held)
		h.lost = h.lost || !now.Before(lease) // then its partition is as good as lost, though nobody has said so yet
		if (h.lost || h.others != nil) && len(j.Dead) > 0 {
			l.letGo(h) // its next owner decides who is dead: two of us might write two letters, or others have sent what is dead to us
			continue
		}
		l.settle(h, queue.Ending{
			Sent: j.Sent, Dead: j.Dead, Attempts: j.Attempts, MaybeDuplicate: j.MaybeDuplicate || h.lost, EndedAt: now,
		})
	}
	for _, j := range step.Dropped {
		l.letGo(j.Ref.(*held))
	}
	l.left(now)
	return step.Wake
}

// deliver parks a job, or ends it at once if it is none.
func (l *loop) deliver(x *queue.Delivery) {
	if _, owned := l.owned[x.Partition]; !owned { // it was given away a moment ago
		l.release(x)
		return
	}
	l.observer.JobDelivered(x.Lane, x.Redelivered || x.MaybeSent)
	m := messageOf(x)
	if l.settled.has(m) { // its acknowledgement was lost
		if err := x.Ack(); err != nil {
			l.log.Debug("a settled job could not be acknowledged again", "job", x.ID(), "error", err)
		}
		return
	}
	now := time.Now()
	if h := l.held[m]; h != nil { // this delivery carries the new lease
		if h.lost {
			h.again = x
		} else {
			h.delivery = x
		}
		return
	}
	recalled := l.recall(m, x)
	h := &held{delivery: x}
	l.held[m] = h
	if err := l.invalid(x); err != nil {
		dead := queue.Dead{Reason: queue.Invalid, Detail: err.Error(), Recipients: x.Job.InvitedUsers}
		l.settle(h, queue.Ending{Dead: []queue.Dead{dead}, EndedAt: now})
		return
	}
	if x.Cancelled {
		l.settle(h, cancelled(x, now))
		return
	}
	h.planned = l.jobOf(x, h)
	h.job = &h.planned
	l.plan.Add(now, h.job)
	if recalled {
		l.saveProgress(h) // the next owner is to know, too
	}
}

var errSenderIsNoXUID = errors.New(
	"the sender in the subject is not a XUID; with xbl.audience: server it is the inviting user's XUID, a decimal number above 0")

func (l *loop) invalid(x *queue.Delivery) error {
	if x.Invalid != nil {
		return x.Invalid
	}
	if l.cfg.ServerAudience {
		if _, err := queue.ParseXUID(x.Address.Sender); err != nil {
			return errSenderIsNoXUID
		}
	}
	return nil
}

func (l *loop) jobOf(x *queue.Delivery, h *held) plan.Job {
	j := plan.Job{
		Key:              plan.Key{Sender: x.Address.Sender, TitleID: x.Address.TitleID},
		Partition:        x.Partition,
		Lane:             x.Lane,
		Campaign:         x.Address.Campaign,
		ConnectionString: x.Job.ConnectionString,
		Platform:         x.Job.Platform,
		Recipients:       x.Job.InvitedUsers,
		ExpiresAt:        x.Expires,
		Expiry:           x.Job.ExpiresAt,
		MaybeSent:        x.MaybeSent,
		MaybeDuplicate:   x.MaybeSent,
		Rate:             x.Rate,
		Ref:              h,
	}
	if j.ExpiresAt.IsZero() && x.Lane == queue.Interactive {
		j.ExpiresAt, j.Expiry = x.Published.Add(l.cfg.InteractiveTTL), x.PublishedAt.Add(l.cfg.InteractiveTTL)
	}
	if p := x.Progress; p != nil {
		j.Ended, j.Sent, j.Dead = p.Ended, p.Sent, p.Dead
		j.Attempts, j.MaybeDuplicate = p.Attempts, p.MaybeDuplicate || x.MaybeSent
	}
	return j
}

// start has a call made by a goroutine that waits for one, or by a new one: there are as many as calls were in flight at once. A
// goroutine for each call would grow its stack anew each time.
func (l *loop) start(c *plan.Call) {
	select {
	case l.callers <- c:
	default:
		go func() {
			l.call(l.calling, c)
			for c := range l.callers {
				l.call(l.calling, c)
			}
		}()
	}
}

// call makes one call and reports its answer.
func (l *loop) call(ctx context.Context, c *plan.Call) {
	users := make([]uint64, len(c.InvitedUsers))
	for i, u := range c.InvitedUsers {
		users[i] = uint64(u)
	}
	err := l.caller.SendInvites(ctx, xbl.Invite{
		TitleID: c.Key.TitleID, Sender: c.Key.Sender, InvitedUsers: users, Urgent: c.Lane == queue.Interactive,
		ConnectionString: c.ConnectionString, Platform: c.Platform,
	})
	failed, known := errors.AsType[*xbl.Error](err)
	if err != nil && !known {
		failed = &xbl.Error{Kind: xbl.Ambiguous, Written: true, Detail: err.Error(), Err: err}
	}
	l.answers.put(answer{call: c, err: failed, at: time.Now()})
}

func (l *loop) answered(a answer) {
	// The loop's own time, not the answer's: it is never earlier than a time
	// the plan was told before, and a window that is held a little longer is safe.
	jobs, traced := len(a.call.Jobs()), traceparentsOf(a.call) // now: the answer may part the call's jobs
	blocked := l.plan.Answer(time.Now(), a.call, a.err)
	ended := CallEnded{
		TitleID: a.call.Key.TitleID, Lane: a.call.Lane, Recipients: len(a.call.InvitedUsers), Jobs: jobs, Attempt: a.call.Attempt,
		Started: a.call.Started, Took: a.at.Sub(a.call.Started), Blocked: blocked, Traceparents: traced,
	}
	if a.err != nil {
		ended.Kind, ended.Status, ended.RetryAfter = a.err.Kind, a.err.Status, a.err.RetryAfter
		l.failures.log(l.calling, l.log, a)
		if a.err.Kind == xbl.Unauthorized && !a.err.Written {
			return // for want of a token no call was made
		}
	}
	l.observer.CallEnded(ended)
}

func traceparentsOf(c *plan.Call) (all []string) {
	for _, j := range c.Jobs() {
		if v := j.Ref.(*held).delivery.Traceparent; v != "" {
			all = append(all, v)
		}
	}
	return all
}
