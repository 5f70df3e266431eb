package queue

import (
	"context"
	"errors"
	"strconv"
	"sync"
	"time"

	"github.com/cenkalti/backoff/v4"
)

// partition is one partition of INVITES, and the campaigns of its keys, as one
// worker sees it. docs/architecture.md draws its states; run walks through them.
type partition struct {
	n         int
	q         *Queue
	members   *members
	worker    Worker
	campaigns *campaigns
	poke      chan struct{} // holds one token when its owner's record was written

	mu      sync.Mutex
	epoch   int                     // lapses seen
	cancel  context.CancelCauseFunc // of the work going on; nil: none
	stopped chan struct{}           // closed when that work has ended

	// Only run's goroutine touches these.
	debt   *debt
	unsure bool // the record may be this worker's though it does not know
}

// debt is a record that still says this worker owns the partition, though it
// does not work on it any more: while that stands, nobody else can.
type debt struct {
	revision uint64
	record   ownerRecord // what has to be written over it
}

// Why work on a partition ends before this worker is told to stop.
var (
	errUnwanted = errors.New("another worker should own the partition")
	errLost     = errors.New("another worker has taken the partition")
	errLapsed   = errors.New("the worker's lease ran out")
)

// claimAgain is how often a partition that this worker should own, and another
// one has, is looked at without any sign from that one.
const claimAgain = time.Second

func newPartition(n int, m *members, worker Worker, campaigns *campaigns) *partition {
	return &partition{n: n, q: m.q, members: m, worker: worker, campaigns: campaigns, poke: make(chan struct{}, 1)}
}

// run works on the partition whenever it is this worker's, until ctx ends.
func (p *partition) run(ctx context.Context) {
	for {
		c, epoch, ok := p.claim(ctx)
		if !ok {
			if p.unsure { // a claim was cut off, and may have come through: its next owner is to know that nothing came of it
				p.makeSure(context.WithoutCancel(ctx))
			}
			return
		}
		p.work(ctx, c, epoch)
	}
}

// claim waits until the partition is this worker's; false: ctx has ended.
func (p *partition) claim(ctx context.Context) (c claim, epoch int, ok bool) {
	again := time.NewTimer(0)
	defer again.Stop()
	for {
		changed := p.members.changes()
		epoch = p.lapses()
		switch wanted := p.members.wants(p.n); {
		case ctx.Err() != nil:
		case wanted:
			c, ok, err := p.members.tryClaim(ctx, p.n)
			if ok {
				p.debt, p.unsure = nil, false
				return c, epoch, true
			}
			p.unsure = p.unsure || err != nil
			if err != nil && ctx.Err() == nil {
				p.q.trouble.warn(p.q.log, "a partition can't be claimed; it is tried again", "partition", p.n, "error", err)
			}
			again.Reset(claimAgain)
		case p.unsure:
			p.makeSure(ctx)
			again.Reset(claimAgain)
		case p.debt != nil:
			p.pay(ctx)
			again.Reset(claimAgain)
		}
		select {
		case <-changed:
		case <-p.poke:
		case <-again.C:
		case <-ctx.Done():
			return claim{}, 0, false
		}
	}
}

// work takes the partition's jobs until it is another worker's to.
func (p *partition) work(ctx context.Context, c claim, epoch int) {
	working, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	after := c.unclean() // nobody's: what was in hand is unknown to the next owner too
	if p.begin(cancel, epoch, c) {
		if keys, err := p.learn(working, c); err == nil {
			p.worker.Own(p.n, keys)
			known := p.consume(working, cancel, c)
			if known {
				p.members.inherited[p.n] = mine
			}
			// Told to stop, it may have lost its lease before it could.
			lost := isLost(context.Cause(working)) || p.members.tenures[p.n].Load() == 0
			clean := p.worker.Disown(context.WithoutCancel(ctx), p.n, lost)
			p.q.progress.disown(p.n)
			// Its lease may have run out while it stored: then the last of it was not.
			if known && clean && !lost && p.members.tenures[p.n].Load() != 0 {
				after = ownerRecord{Worker: p.members.me, Released: true, Gone: c.record.Gone, Doubt: p.inDoubt(c)}
			}
		}
		p.end()
	}
	switch why := context.Cause(working); {
	case errors.Is(why, errLost): // the record is another's, most likely
		p.unsure = true
	case errors.Is(why, errLapsed): // most likely it is claimed again before long
		p.debt = &debt{c.revision, after}
	default:
		p.debt = &debt{c.revision, after}
		p.pay(ctx)
	}
}

// inDoubt says whether a job may still come whose acknowledgement was lost: this worker's, or that of who had the partition before.
func (p *partition) inDoubt(c claim) bool {
	now, span := time.Now(), 2*p.q.opts.AckWait // in which it comes, unless its partition has a backlog in hand
	return p.q.doubt.within(now, span) || c.doubt && now.Sub(c.seen) < span
}

func isLost(why error) bool { return errors.Is(why, errLost) || errors.Is(why, errLapsed) }

func (p *partition) lapses() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.epoch
}

// begin registers the work, so that a lapse can end it. It reports false where
// one has come since the claim. A tenure goes on if nobody else had the partition meanwhile.
func (p *partition) begin(cancel context.CancelCauseFunc, epoch int, c claim) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.epoch != epoch {
		return false
	}
	p.cancel, p.stopped = cancel, make(chan struct{})
	p.members.tenures[p.n].Store(c.since())
	return true
}

func (p *partition) end() {
	p.mu.Lock()
	defer p.mu.Unlock()
	close(p.stopped)
	p.cancel = nil
}

// lapse ends the work going on, and any that was claimed under the old lease.
// It returns a channel that is closed when that is done.
func (p *partition) lapse() <-chan struct{} {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.epoch++
	p.members.tenures[p.n].Store(0)
	if p.cancel == nil {
		done := make(chan struct{})
		close(done)
		return done
	}
	p.cancel(errLapsed)
	return p.stopped
}

// ownerChanged takes note of a new owner's record.
func (p *partition) ownerChanged(r ownerRecord) {
	signal(p.poke)
	if r.Worker == p.members.me || r.Released {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cancel != nil {
		p.members.tenures[p.n].Store(0)
		p.cancel(errLost)
	}
}

// learn reads what a new owner must know of the keys, as often as it takes.
func (p *partition) learn(ctx context.Context, c claim) (keys []KeyState, err error) {
	b := backoff.NewExponentialBackOff(backoff.WithInitialInterval(50*time.Millisecond),
		backoff.WithMaxInterval(2*time.Second), backoff.WithMaxElapsedTime(0))
	return backoff.RetryNotifyWithData(func() ([]KeyState, error) {
		ctx, cancel := context.WithTimeout(ctx, apiTimeout)
		defer cancel()
		return p.q.loadKeys(ctx, p.n, c)
	}, backoff.WithContext(b, ctx), func(err error, _ time.Duration) {
		p.q.trouble.warn(p.q.log, "jobs wait: what is known of their keys can't be read", "partition", p.n, "error", err)
	})
}

// consume hands over the partition's jobs, and its campaigns', until ctx ends
// or another worker should do that. Then nothing of them comes any more. It
// reports whether it came to know all that a gone owner had in hand.
func (p *partition) consume(ctx context.Context, cancel context.CancelCauseFunc, c claim) bool {
	s := p.q.newSource(sourceConfig{
		stream: JobsStream, name: "partition-" + strconv.Itoa(p.n), subject: partPrefix + strconv.Itoa(p.n) + ".*.*",
		window: p.q.opts.MaxInHand, partition: p.n, claim: c,
	}, p.worker)
	var pulling sync.WaitGroup
	pulling.Go(func() { s.run(ctx) })
	p.campaigns.own(ctx, p.n, c)
	known := func() bool { return s.takenOver() && p.campaigns.known(p.n) }
	if p.unwanted(ctx, known) {
		cancel(errUnwanted)
	}
	<-ctx.Done()
	all := p.campaigns.disown(p.n)
	pulling.Wait()
	return all && s.takenOver()
}

const (
	knowWithin = 2 * time.Second
	lookAgain  = 20 * time.Millisecond
)

// unwanted waits until another worker should have the partition; false: ctx has
// ended. It does not give up in the middle of taking over: the next owner would
// have to take for sent what was not.
func (p *partition) unwanted(ctx context.Context, known func() bool) bool {
	began := time.Now()
	for {
		changed := p.members.changes()
		var again <-chan time.Time
		if !p.members.wants(p.n) {
			if known() || time.Since(began) >= knowWithin {
				return true
			}
			again = time.After(lookAgain)
		}
		select {
		case <-changed:
		case <-again:
		case <-ctx.Done():
			return false
		}
	}
}

// makeSure looks whether the record says that the partition is this worker's,
// which does not want it: a claim whose answer was lost. While that stands
// nobody else can have it.
func (p *partition) makeSure(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, payWithin)
	defer cancel()
	record, written, err := p.members.owner(ctx, p.n)
	if err != nil {
		return // asked again soon
	}
	p.unsure = false
	if record.Worker == p.members.me && !record.Released {
		p.debt = &debt{written.Sequence, claim{at: written.Time, record: record}.unclean()}
		p.pay(ctx)
	}
}

// payWithin bounds the tries of one go.
const payWithin = 2 * time.Second

// pay says that the partition is not this worker's any more. Released, the next
// owner need not wait for the end of a lease, nor look for what may have been
// sent. Acknowledgements went before it on the same connection.
func (p *partition) pay(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), payWithin)
	defer cancel()
	b := backoff.NewExponentialBackOff(backoff.WithInitialInterval(50*time.Millisecond), backoff.WithMaxElapsedTime(0))
	err := backoff.Retry(func() error {
		_, err := p.members.writeOwner(ctx, p.n, p.debt.revision, p.debt.record)
		if isWrongSequence(err) {
			return nil // it was written all the same, or another worker has taken over
		}
		return err
	}, backoff.WithContext(b, ctx))
	if err != nil {
		p.q.trouble.warn(p.q.log, "a partition can't be released; it is tried again", "partition", p.n, "error", err)
		return
	}
	p.debt = nil
}
