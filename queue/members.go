package queue

import (
	"context"
	"crypto/rand"
	"errors"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// Times of a worker's lease. It is what makes an owner the only one: a worker
// sends only while its lease is valid, and nobody takes its partitions before
// the lease has ended by the server's clock, which counts from a later moment
// and to a later one. No two clocks have to agree; they only have to run.
const (
	renewEvery = time.Second
	// renewWithin is how long a renewal may take: what is stored later is of no use.
	renewWithin = 2 * time.Second
	// leaseFor counts from when the renewal was sent.
	leaseFor = 2500 * time.Millisecond
	// expireAfter counts from when the server stored it. What it is longer than
	// leaseFor is for the moment between a worker's look at its lease and its call.
	expireAfter = 3 * time.Second
	lookEvery   = 250 * time.Millisecond
)

// memberRecord is what a worker says of itself, under its own subject.
type memberRecord struct {
	Leaving bool  `json:"leaving,omitempty"` // it works on what it has, and takes nothing new
	Left    bool  `json:"left,omitempty"`
	For     int64 `json:"forMs,omitempty"` // how long it has been there: a moment would be by a clock of its own

	Activity jsontext.Value `json:"activity,omitzero"` // an Activity, read by who looks at it
}

// members is this worker among the live ones.
type members struct {
	q      *Queue
	stream jetstream.Stream
	me     string
	began  time.Time
	lapse  func() // ends all work under the old lease; it returns when that is done

	tenures []atomic.Int64 // by partition: see claim.since; 0: none goes on
	// inherited is, by partition, how it came to this worker, until all is known that
	// a gone owner had in hand. Only the partition's goroutine touches its own.
	inherited []handover

	mu      sync.Mutex
	others  map[string]*member
	shares  *shares   // among those that take something new
	claims  []uint64  // by partition: the sequence of this worker's last one
	until   time.Time // the end of this worker's lease; zero: none yet
	steady  time.Time // since when renewals succeed without a gap; zero: the last one failed
	leaving bool
	said    spoken        // that was stored last
	changed chan struct{} // closed, and made anew, at each change: see changes
}

// member is another worker as it was heard of last.
type member struct {
	heard   time.Time
	leaving bool
	said    spoken
}

// workerName is new for each process: a worker that comes back does not have
// what its former self had.
func workerName() string {
	host, err := os.Hostname()
	if err != nil {
		host = "worker"
	}
	host = strings.Map(func(r rune) rune {
		if r < 0x80 && nameByte(byte(r)) {
			return r
		}
		return '-'
	}, host)
	return host[:min(len(host), 40)] + "-" + strings.ToLower(rand.Text()[:8])
}

func newMembers(q *Queue) *members {
	me := workerName()
	m := &members{
		q: q, stream: q.streams[WorkersStream], me: me, began: time.Now(), lapse: func() {},
		others: make(map[string]*member), changed: make(chan struct{}),
		shares: newShares(me, q.partitions), claims: make([]uint64, q.partitions),
		tenures: make([]atomic.Int64, q.partitions), inherited: make([]handover, q.partitions),
	}
	m.shares.set(me, true)
	return m
}

// begin makes this worker known and reads who else is there. It listens first,
// so that nothing is missed in between. end undoes it.
func (m *members) begin(ctx context.Context, partitions []*partition) (end func(), err error) {
	sub, err := m.q.nc.Subscribe(workersPrefix+">", func(msg *nats.Msg) { m.receive(msg, partitions) })
	if err != nil {
		return nil, err
	}
	m.lapse = func() {
		var ending []<-chan struct{}
		for _, p := range partitions {
			ending = append(ending, p.lapse())
		}
		for _, ended := range ending {
			<-ended
		}
	}
	if err := m.join(ctx); err != nil {
		_ = sub.Unsubscribe()
		return nil, err
	}
	return func() {
		_ = sub.Unsubscribe()
		m.left(context.WithoutCancel(ctx))
	}, nil
}

// receive takes note of what a worker wrote, about itself or about a partition.
func (m *members) receive(msg *nats.Msg, partitions []*partition) {
	if id, ok := strings.CutPrefix(msg.Subject, alivePrefix); ok {
		var r memberRecord
		if json.Unmarshal(msg.Data, &r) == nil {
			m.heard(id, r, time.Now())
		}
		return
	}
	n, err := strconv.Atoi(strings.TrimPrefix(msg.Subject, ownerPrefix))
	if err != nil || n < 0 || n >= len(partitions) {
		return
	}
	if r, ok := readOwner(msg.Data); !ok || !m.late(n, r) {
		partitions[n].ownerChanged(r)
	}
}

// late says whether an owner's record is from before this worker's own claim:
// what is heard and what is read need not come in the order it was written.
func (m *members) late(partition int, r ownerRecord) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return r.Over < m.claims[partition]
}

func (m *members) claimed(partition int, revision uint64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.claims[partition] = revision
}

func (m *members) heard(id string, r memberRecord, at time.Time) {
	if id == m.me {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	known := m.others[id]
	switch {
	case r.Left:
		if known == nil {
			return
		}
		delete(m.others, id)
	case known == nil:
		m.others[id] = &member{heard: at, leaving: r.Leaving, said: spoken{r, at}}
	default:
		known.heard = at
		if r.For > 0 { // else it is no word of its own: see endSilent
			known.said = spoken{r, at}
		}
		if known.leaving == r.Leaving {
			return
		}
		known.leaving = r.Leaving
	}
	// Of a thousand that come most concern somebody else.
	if concerned := m.shares.set(id, !r.Left && !r.Leaving); concerned || r.Left {
		m.tell()
	}
}

// tell wakes whoever waits for a change. m.mu is held.
func (m *members) tell() {
	close(m.changed)
	m.changed = make(chan struct{})
}

// changes is closed when next somebody is gone, or what should be this worker's changes.
func (m *members) changes() <-chan struct{} {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.changed
}

// wants says whether this worker should own a partition.
func (m *members) wants(partition int) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.shares.owners[partition] == m.me
}

// alive says whether another worker may still be sending.
func (m *members) alive(id string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.others[id] != nil
}

// lease is until when this worker may send.
func (m *members) lease() time.Time {
	m.mu.Lock()
	defer m.mu.Unlock()
	if over(m.until, time.Now()) {
		return m.until.Round(0) // a time that has passed for whoever compares it, by whichever clock
	}
	return m.until
}

// over says whether a time has passed by either clock. The monotonic one stands
// still while a machine is suspended, and other workers have not waited for it.
func over(until, now time.Time) bool {
	return now.After(until) || now.Round(0).After(until.Round(0))
}

// tenureOver returns what says whether the partition is not this worker's, or
// was another's meanwhile: what was to be stored of it may be older by
// now than what its next owner has stored. It is over as soon as the lease has
// run out or another worker has claimed, which is before the worker is told; and
// it goes on when this one has the partition again, and nobody else had.
func (q *Queue) tenureOver(partition int) func() bool {
	m := q.members.Load()
	if m == nil { // nobody consumes: the caller knows what it does
		return func() bool { return false }
	}
	tenure := &m.tenures[partition]
	now := tenure.Load()
	return func() bool { return now == 0 || tenure.Load() != now }
}

// lostSince is tenureOver of a delivery, since it came: what is to be stored of it may have waited for its turn until the partition
// was lost and had come back.
func (q *Queue) lostSince(d *Delivery) func() bool {
	if d.over != nil {
		return d.over
	}
	return q.tenureOver(d.Partition)
}

// join makes this worker known and reads who else is there.
func (m *members) join(ctx context.Context) error {
	r, err := m.renew(ctx)
	if err == nil {
		err = m.lookAtClock(ctx, r) // before the first job comes: one that seems to be late is dead
	}
	if err != nil {
		return err
	}
	now := time.Now()
	return readAll(ctx, m.stream, jetstream.ConsumerConfig{FilterSubject: alivePrefix + "*"}, func(msg jetstream.Msg) error {
		var r memberRecord
		if json.Unmarshal(msg.Data(), &r) == nil {
			m.heard(strings.TrimPrefix(msg.Subject(), alivePrefix), r, now) // may be long gone: see silent
		}
		return nil
	})
}

// run keeps the lease, and notices who is silent, until ctx ends. No other
// request delays a renewal: on a slow network two take longer than a lease.
func (m *members) run(ctx context.Context) {
	var beside sync.WaitGroup
	defer beside.Wait()
	beside.Go(func() { every(ctx, lookEvery, func() { m.endSilent(ctx) }) })
	renewed := time.Now()
	var looking atomic.Bool
	every(ctx, lookEvery, func() {
		if time.Since(renewed) < renewEvery {
			return
		}
		renewed = time.Now()
		r, err := m.renew(ctx)
		if err != nil && ctx.Err() == nil {
			m.q.trouble.warn(m.q.log, "this worker's lease can't be renewed; without one it makes no calls", "error", err)
		}
		if err != nil || !m.q.clock.due(r.acknowledged) || !looking.CompareAndSwap(false, true) {
			return
		}
		beside.Go(func() {
			defer looking.Store(false)
			if err := m.lookAtClock(ctx, r); err != nil && ctx.Err() == nil {
				m.q.trouble.warn(m.q.log, "the server's clock can't be looked at", "error", err)
			}
		})
	})
}

// every calls f again and again until ctx ends.
func every(ctx context.Context, d time.Duration, f func()) {
	tick := time.NewTicker(d)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			f()
		case <-ctx.Done():
			return
		}
	}
}

// renewal is a word of this worker's that was stored.
type renewal struct {
	sequence           uint64
	sent, acknowledged time.Time
}

// renew stores that this worker is alive. A renewal that comes too late does
// not bring back what may be another's by now: that work is ended first.
func (m *members) renew(ctx context.Context) (renewal, error) {
	ctx, cancel := context.WithTimeout(ctx, renewWithin)
	defer cancel()
	sent := time.Now()
	m.mu.Lock()
	r := memberRecord{Leaving: m.leaving}
	m.mu.Unlock()
	r.Activity = m.activity()
	r.For = m.running()
	sequence, err := m.say(ctx, r)
	now := time.Now()
	if until := m.lease(); !until.IsZero() && over(until, now) {
		m.q.log.Warn("this worker's lease ran out; it begins anew")
		m.lapse()
		m.set(time.Time{}, time.Time{})
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if err != nil {
		m.steady = time.Time{}
		return renewal{}, err
	}
	m.until = sent.Add(leaseFor)
	m.said = spoken{r, now}
	if m.steady.IsZero() {
		m.steady = now
	}
	return renewal{sequence, sent, now}, nil
}

func (m *members) set(until, steady time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.until, m.steady = until, steady
}

// running is for how many milliseconds this worker has been there; 0 is none.
func (m *members) running() int64 { return time.Since(m.began).Milliseconds() + 1 }

func (m *members) say(ctx context.Context, r memberRecord) (sequence uint64, err error) {
	data, err := json.Marshal(r)
	if err != nil {
		return 0, err
	}
	ack, err := m.q.js.Publish(ctx, alivePrefix+m.me, data, jetstream.WithRetryAttempts(0))
	if err != nil {
		return 0, err
	}
	return ack.Sequence, nil
}

// endSilent forgets workers whose lease has ended. Only a worker that has been
// in touch with the server all that time may say so: after an outage of the
// server everybody was silent.
func (m *members) endSilent(ctx context.Context) {
	for _, id := range m.silent(time.Now()) {
		now := time.Now()
		age, err := m.age(ctx, id)
		switch {
		case err != nil:
			return // asked again soon
		case age < expireAfter:
			m.heard(id, memberRecord{}, now.Add(-age)) // we did not hear it; the server did
			continue
		}
		m.q.log.Warn("a worker is gone; its partitions are taken over", "worker", id)
		m.heard(id, memberRecord{Left: true}, now)
		m.forget(ctx, id)
	}
}

func (m *members) silent(now time.Time) (ids []string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.steady.IsZero() || now.Sub(m.steady) < expireAfter {
		return nil
	}
	for id, other := range m.others {
		if now.Sub(other.heard) >= expireAfter {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	return ids
}

// age is how long before this worker's own last renewal the server stored that
// of another: both times are the server's.
func (m *members) age(ctx context.Context, id string) (time.Duration, error) {
	mine, err := m.last(ctx, alivePrefix+m.me)
	if err != nil {
		return 0, err
	}
	theirs, err := m.last(ctx, alivePrefix+id)
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return expireAfter, nil
	}
	if err != nil {
		return 0, err
	}
	return mine.Time.Sub(theirs.Time), nil
}

// last reads the last word under a subject.
func (m *members) last(ctx context.Context, subject string) (*jetstream.RawStreamMsg, error) {
	ctx, cancel := context.WithTimeout(ctx, tryTimeout)
	defer cancel()
	return m.stream.GetLastMsgForSubject(ctx, subject)
}

// at reads a word by its sequence.
func (m *members) at(ctx context.Context, sequence uint64) (*jetstream.RawStreamMsg, error) {
	ctx, cancel := context.WithTimeout(ctx, tryTimeout)
	defer cancel()
	return m.stream.GetMsg(ctx, sequence)
}

func (m *members) forget(ctx context.Context, id string) {
	ctx, cancel := context.WithTimeout(ctx, tryTimeout)
	defer cancel()
	// One that stays is found silent again.
	_ = m.stream.Purge(ctx, jetstream.WithPurgeSubject(alivePrefix+id))
}

// leave says that this worker takes nothing new.
func (m *members) leave(ctx context.Context) {
	m.mu.Lock()
	m.leaving = true
	m.shares.set(m.me, false)
	m.tell()
	m.mu.Unlock()
	_, _ = m.renew(ctx) // else others see it at the next renewal
}

// left says that this worker is gone, so that nobody waits for its lease to end.
func (m *members) left(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, payWithin)
	defer cancel()
	m.set(time.Time{}, time.Time{})
	if _, err := m.say(ctx, memberRecord{Left: true, For: m.running()}); err == nil {
		m.forget(ctx, m.me)
	}
}

func ownerSubject(partition int) string { return ownerPrefix + strconv.Itoa(partition) }

var errNoLease = errors.New("this worker has no lease now")
