package dispatcher

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"sync/atomic"
	"time"

	"github.com/invitedhq/invited/queue"
)

// Own implements queue.Worker.
func (d *Dispatcher) Own(partition int, keys []queue.KeyState) {
	d.do(func(l *loop) {
		l.owned[partition] = new(atomic.Bool)
		l.remember(time.Now(), keys)
	})
}

// Withdraw implements queue.Worker.
func (d *Dispatcher) Withdraw(campaign queue.Address) {
	d.do(func(l *loop) { l.withdraw(campaign) })
}

// Disown implements queue.Worker.
func (d *Dispatcher) Disown(ctx context.Context, partition int, lost bool) (clean bool) {
	done := make(chan struct{})
	d.do(func(l *loop) { l.disown(partition, lost, done) })
	select {
	case <-done:
		return true
	case <-d.ended: // Run has given back everything
		return d.clean.Load()
	case <-ctx.Done():
		return false
	}
}

// do has the loop do something. It returns at once when Run has returned.
func (d *Dispatcher) do(f func(*loop)) {
	done := make(chan struct{})
	select {
	case d.asks <- func(l *loop) { f(l); close(done) }:
		<-done
	case <-d.ended:
	}
}

// leaving is a partition that is being given away in order.
type leaving struct {
	done    chan struct{}
	forgot  bool // its keys are forgotten, and what was known of them is being stored
	waiting int  // jobs of it that are still held
}

// disown begins to give a partition away. Nothing of it is sent from now on.
func (l *loop) disown(partition int, lost bool, done chan struct{}) {
	l.drain() // what was delivered of it, too
	now := time.Now()
	for _, h := range l.inOrder() {
		if h.delivery.Partition != partition {
			continue
		}
		switch {
		case lost:
			h.lost, h.again = true, nil // its lease went with the partition
		case h.again != nil:
			l.takeBack(h)
		}
		if h.done && lost { // withdrawn, and what ended of it may not be stored any more
			l.letGo(h)
		}
		l.unplan(now, h)
	}
	if lost {
		if tenure := l.owned[partition]; tenure != nil {
			tenure.Store(true)
		}
		delete(l.owned, partition)
		l.plan.Lose(now, partition)
		close(done)
		return
	}
	for _, h := range l.takeKept(partition) {
		l.saveProgress(h)
	}
	l.leaving[partition] = &leaving{done: done, waiting: l.heldOf(partition)}
	l.left(now)
}

// takeKept holds the jobs again that were lost with a partition, and have not come back: its next owner is to know what this worker alone
// knows of them. If others had it meanwhile they are told that it is too late, and know that the job may have been sent.
func (l *loop) takeKept(partition int) []*held {
	all := l.kept.takeOf(partition)
	for _, h := range all {
		l.held[messageOf(h.delivery)] = h
	}
	return all
}

// withdraw gives a campaign's jobs back, but for what is in a call.
func (l *loop) withdraw(campaign queue.Address) {
	l.drain()
	now := time.Now()
	for _, h := range l.inOrder() {
		if h.delivery.Address != campaign || h.lost && h.again == nil {
			continue
		}
		if h.again != nil {
			l.takeBack(h)
		}
		l.unplan(now, h)
	}
}

// unplan ends the sending of a job. It is let go at once, or when its calls are answered.
func (l *loop) unplan(now time.Time, h *held) {
	h.leaving = true
	if h.job != nil && h.end == nil && !h.done && l.plan.Drop(now, h.job) {
		l.letGo(h)
	}
}

// takeBack makes a job that was lost, and has come back while it is in a call, this worker's again.
func (l *loop) takeBack(h *held) {
	h.others = h.again.Progress
	h.delivery, h.again, h.lost = h.again, nil, false
	if h.job != nil {
		h.job.MaybeDuplicate = true
	}
}

// inOrder are the jobs held, the oldest first: as they are given back they come again.
func (l *loop) inOrder() []*held {
	return slices.SortedFunc(maps.Values(l.held), func(a, b *held) int {
		return cmp.Or(a.delivery.PublishedAt.Compare(b.delivery.PublishedAt), cmp.Compare(a.delivery.Sequence, b.delivery.Sequence))
	})
}

func (l *loop) heldOf(partition int) (n int) {
	for _, h := range l.held {
		if h.delivery.Partition == partition {
			n++
		}
	}
	return n
}

// letGo is for a job of a partition that is given away, once nothing of it is
// in a call: its next owner is to know what ended of it, and what may have been sent.
func (l *loop) letGo(h *held) {
	h.done = true
	known := h.job.MaybeDuplicate || len(h.job.Ended) > 0
	switch {
	case h.lost && l.leaving[h.delivery.Partition] == nil:
		if known {
			l.keep(h)
		} else {
			l.drop(h)
		}
		if h.again != nil { // the partition has come back meanwhile
			l.deliver(h.again)
		}
	case known:
		l.saveProgress(h)
	default:
		l.giveBack(h)
	}
}

// keep remembers a job in case it comes back.
func (l *loop) keep(h *held) {
	l.drop(h)
	h.done = true
	l.kept.keep(h)
}

// recall adds what was kept to a job that has come back. It reports whether
// there is something that only this worker knows.
func (l *loop) recall(m message, x *queue.Delivery) bool {
	h, inDoubt := l.kept.take(m)
	x.MaybeSent = x.MaybeSent || inDoubt
	if h == nil {
		return false
	}
	p := progressOf(h)
	if x.Progress != nil {
		if endedOfAll(*x.Progress) >= endedOfAll(p) { // others went on with it
			x.MaybeSent = true
		}
		p = merged(x.Job.InvitedUsers, p, *x.Progress)
	}
	x.Progress = &p
	return true
}

// merged is what two owners know of one job, in a progress of its own. Who was
// sent by one and is dead to the other is sent.
func merged(users []queue.XUID, a, b queue.Progress) queue.Progress {
	m := queue.Progress{
		Ended: make([]bool, len(users)), Attempts: max(a.Attempts, b.Attempts), MaybeDuplicate: a.MaybeDuplicate || b.MaybeDuplicate,
	}
	decided := make(map[queue.XUID]bool) // sent, or in m.Dead
	for _, p := range []queue.Progress{a, b} {
		dead := make(map[queue.XUID]bool)
		for _, d := range p.Dead {
			for _, x := range d.Recipients {
				dead[x] = true
			}
		}
		for i, ended := range p.Ended {
			m.Ended[i] = m.Ended[i] || ended
			decided[users[i]] = decided[users[i]] || ended && !dead[users[i]]
		}
	}
	for _, sent := range decided {
		if sent {
			m.Sent++
		}
	}
	for _, d := range slices.Concat(a.Dead, b.Dead) {
		d.Recipients = slices.DeleteFunc(slices.Clone(d.Recipients), func(x queue.XUID) bool { return decided[x] })
		for _, x := range d.Recipients {
			decided[x] = true
		}
		if len(d.Recipients) > 0 {
			m.Dead = append(m.Dead, d)
		}
	}
	return m
}

func endedOfAll(p queue.Progress) (n int) {
	for _, ended := range p.Ended {
		if ended {
			n++
		}
	}
	return n
}

// giveBack lets another worker have the job at once. A lease that was lost is
// of no use: the job may be delivered, or ended, under another one.
func (l *loop) giveBack(h *held) {
	if !h.lost {
		l.release(h.delivery)
	}
	l.drop(h)
}

func (l *loop) drop(h *held) {
	delete(l.held, messageOf(h.delivery))
	if p := l.leaving[h.delivery.Partition]; p != nil {
		p.waiting--
	}
}

// left finishes what can be finished of partitions that are being given away.
func (l *loop) left(now time.Time) {
	for n, p := range l.leaving {
		if p.waiting == 0 && !p.forgot {
			p.forgot = true
			l.saveKeys(l.plan.Forget(now, n))
		}
		if p.forgot && l.saving[n] == 0 {
			delete(l.leaving, n)
			delete(l.owned, n)
			close(p.done)
		}
	}
}
