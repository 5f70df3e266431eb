package queue

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cenkalti/backoff/v4"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

const (
	// ownerGroup is the one priority group of every consumer: its pinned client
	// is the owner, the only one that gets messages.
	ownerGroup = "owner"
	// pinnedTTL is how long an owner that asks for nothing keeps the pin: how
	// long a dead one is missed.
	pinnedTTL = 4 * time.Second
	// pullExpiry is shorter, because the pin's time counts from the last request:
	// else an idle owner would lose it.
	pullExpiry    = 3 * time.Second
	pullHeartbeat = time.Second
	prefetch      = 128
	// prefetchBytes of all consumers together stay below what a NATS server
	// lets wait for a client before it cuts it off, 64 MiB.
	prefetchBytes = 2 << 20
	drainTimeout  = 2 * time.Second
	headerPin     = "Nats-Pin-Id"
)

// source is one consumer that this worker, as its owner, pulls from.
type source struct {
	q         *Queue
	stream    jetstream.Stream
	cfg       jetstream.ConsumerConfig
	partition int
	steer     steer // of a campaign
	worker    Worker
	over      func() bool // see tenureOver: a source is of one tenure

	in        *intake
	inHand    *inHand
	swallowed chan *message // by the library: see findSwallowed
	looked    uint64        // the last sequence that was looked at for them
	floor     uint64        // all up to this sequence were acknowledged at the last look

	pin      atomic.Pointer[string] // that the last message came with
	active   atomic.Int64           // when the last message came, in Unix nanoseconds
	takeover takeover
}

type sourceConfig struct {
	stream, name, subject string
	window                int // unacknowledged jobs
	partition             int
	claim                 claim
	steer                 steer
}

func (q *Queue) newSource(c sourceConfig, worker Worker) *source {
	window, most, oneKey := c.window, q.opts.CampaignMaxInHand, c.stream == CampaignsStream
	if !oneKey {
		window, most = window*asideFactor, q.opts.MaxInHand*asideFactor
	}
	s := &source{
		q: q, stream: q.streams[c.stream], partition: c.partition, steer: c.steer, worker: worker,
		over: q.tenureOver(c.partition), inHand: newInHand(c.window, oneKey),
		takeover: takeover{claim: c.claim, window: most}, // an owner of fewer campaigns had more of each in hand
		cfg: jetstream.ConsumerConfig{
			Durable:       c.name,
			Description:   c.subject,
			FilterSubject: c.subject,
			AckPolicy:     jetstream.AckExplicitPolicy,
			AckWait:       q.opts.AckWait,
			MaxDeliver:    -1, // a job ends by a decision, never by a count
			MaxAckPending: window,
			// The message is the durable record; consumers on disk cost a file write each, ten times a second.
			MemoryStorage:  true,
			PriorityPolicy: jetstream.PriorityPolicyPinned,
			PriorityGroups: []string{ownerGroup},
			PinnedTTL:      pinnedTTL,
		},
	}
	if !s.steer.held { // there may be many thousand that are
		s.swallowed = make(chan *message, lookedAt)
	}
	s.touch()
	return s
}

func (s *source) touch() { s.active.Store(time.Now().UnixNano()) }

// idle is how long no message has come.
func (s *source) idle() time.Duration { return time.Since(time.Unix(0, s.active.Load())) }

// run hands over messages until ctx ends; then it gives back what it did not
// hand over, and the pin.
func (s *source) run(ctx context.Context) {
	s.in = newIntake(ctx)
	var handing sync.WaitGroup
	handing.Go(func() { s.handOver(ctx) })
	b := backoff.NewExponentialBackOff(backoff.WithInitialInterval(100*time.Millisecond),
		backoff.WithMaxInterval(2*time.Second), backoff.WithMaxElapsedTime(0))
	for ctx.Err() == nil && !s.q.nc.IsClosed() {
		began := time.Now()
		err := s.pull(ctx)
		if err == nil {
			break
		}
		s.q.trouble.warn(s.q.log, "a consumer can't be used; it is tried again", "consumer", s.cfg.Durable, "error", err)
		if time.Since(began) > time.Minute || errors.Is(err, errSwallowed) {
			b.Reset()
		}
		wait(ctx, b.NextBackOff())
	}
	s.unpin(ctx)
	s.in.close()
	handing.Wait()
	s.inHand.giveBack()
}

// wait waits for d or the end of ctx.
func wait(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// pull fetches into the intake. It returns nil when ctx has ended, and an error
// when the consumer is not there any more.
func (s *source) pull(ctx context.Context) error {
	if err := s.takeOver(ctx); err != nil {
		return err
	}
	if s.steer.held { // what a gone owner had in hand is known all the same: the owner after this one could not find out
		<-ctx.Done()
		return nil
	}
	consumer, err := s.ensure(ctx)
	if err != nil {
		return err
	}
	s.unpinFormer(ctx, consumer)
	trouble := make(chan error, 1)
	consuming, err := consumer.Consume(s.receive,
		jetstream.PullMaxMessagesWithBytesLimit(prefetch, prefetchBytes),
		jetstream.PullExpiry(pullExpiry), jetstream.PullHeartbeat(pullHeartbeat),
		jetstream.PullPriorityGroup(ownerGroup),
		jetstream.ConsumeErrHandler(func(_ jetstream.ConsumeContext, err error) {
			select {
			case trouble <- err:
			default:
			}
		}))
	if err != nil {
		return err
	}
	err = s.watch(ctx, consumer, trouble)
	// Drain, not Stop: what is on its way still comes. It is given back only when
	// nothing is asked for any more; else the server would send it here again.
	consuming.Drain()
	select {
	case <-consuming.Closed():
	case <-time.After(drainTimeout): // no connection to drain
	}
	return err
}

// watch waits until ctx ends or the consumer is lost, and keeps the leases of
// what waits in the intake.
func (s *source) watch(ctx context.Context, consumer jetstream.Consumer, trouble <-chan error) error {
	leases := time.NewTicker(s.cfg.AckWait / 3)
	defer leases.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-leases.C:
			s.in.extend(s.cfg.AckWait / 4)
			s.inHand.extend(time.Now())
			s.findSwallowed(ctx, consumer, false)
		case err := <-trouble:
			if losesAcks(err) {
				s.q.doubt.raise(time.Now())
			}
			if lost(err) {
				if s.findSwallowed(ctx, consumer, true) > 0 {
					return fmt.Errorf("%w: %w", errSwallowed, err)
				}
				return err
			}
			if !errors.Is(err, jetstream.ErrNoHeartbeat) {
				continue // the library copes
			}
			// A consumer that is gone is silent too: servers may be replaced under a live connection.
			if _, err := consumer.Info(ctx); errors.Is(err, jetstream.ErrConsumerNotFound) {
				return err
			}
		}
	}
}

// lost says whether the consumer has to be created again.
func lost(err error) bool {
	return errors.Is(err, jetstream.ErrConsumerDeleted) || errors.Is(err, jetstream.ErrConsumerNotFound) ||
		errors.Is(err, nats.ErrNoResponders) || errors.Is(err, jetstream.ErrBadRequest) ||
		errors.Is(err, nats.ErrConnectionClosed) || errors.Is(err, jetstream.ErrConnectionClosed)
}

// losesAcks says whether acknowledgements that were sent just before the error may be lost.
func losesAcks(err error) bool {
	return lost(err) || errors.Is(err, jetstream.ErrConsumerLeadershipChanged) || errors.Is(err, jetstream.ErrServerShutdown) ||
		errors.Is(err, jetstream.ErrNoHeartbeat)
}

// ensure returns the consumer, created if it is missing. An existing one keeps
// what an operator set on it: a pause above all.
func (s *source) ensure(ctx context.Context) (jetstream.Consumer, error) {
	// Not cut off in the middle: a consumer that is created after its campaign
	// was found to be over would stay.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), tryTimeout)
	defer cancel()
	found, err := s.stream.Consumer(ctx, s.cfg.Durable)
	if errors.Is(err, jetstream.ErrConsumerNotFound) {
		cfg := s.cfg
		cfg.Metadata = s.takeover.note()
		found, err = s.stream.CreateConsumer(ctx, cfg)
		if errors.Is(err, jetstream.ErrConsumerExists) { // another worker was faster, with other settings
			found, err = s.stream.Consumer(ctx, s.cfg.Durable)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("consumer %s: %w", s.cfg.Durable, explain(err))
	}
	s.takeover.read(found.CachedInfo().Config.Metadata)
	now, want := found.CachedInfo().Config, s.cfg
	if now.AckWait == want.AckWait && now.MaxAckPending == want.MaxAckPending && now.PinnedTTL == want.PinnedTTL &&
		now.PriorityPolicy == want.PriorityPolicy && now.MaxDeliver == want.MaxDeliver && len(now.BackOff) == 0 {
		return found, nil
	}
	want.PauseUntil, want.Metadata = now.PauseUntil, now.Metadata
	want.MemoryStorage, want.Replicas = now.MemoryStorage, now.Replicas
	found, err = s.stream.UpdateConsumer(ctx, want)
	if err != nil {
		return nil, fmt.Errorf("consumer %s differs and can't be changed (delete it, its jobs stay: nats consumer rm %s %s): %w",
			s.cfg.Durable, s.stream.CachedInfo().Config.Name, s.cfg.Durable, err)
	}
	return found, nil
}

func (s *source) receive(m jetstream.Msg) {
	s.touch()
	if !s.in.put(m) {
		_ = m.Nak()
	}
}

// handOver is the only goroutine that delivers.
func (s *source) handOver(ctx context.Context) {
	for ctx.Err() == nil {
		aside := s.inHand.next(time.Now(), fetchAtOnce)
		s.fetch(ctx, aside)
		m, fresh := s.in.pop()
		if fresh {
			s.admit(ctx, m)
		}
		if len(aside) > 0 || fresh {
			continue
		}
		select {
		case m := <-s.swallowed:
			s.deliver(ctx, newDelivery(*m))
		case <-s.in.arrived:
		case <-s.inHand.room:
		case <-ctx.Done():
		}
	}
}

// admit hands a job over, or sets it aside.
func (s *source) admit(ctx context.Context, msg jetstream.Msg) {
	m, err := messageOf(s.q.nc, msg)
	if err != nil {
		s.q.log.Warn("a message without JetStream's metadata was ignored", "subject", msg.Subject(), "error", err)
		return
	}
	if pin, known := msg.Headers().Get(headerPin), s.pin.Load(); known == nil || *known != pin {
		s.pin.Store(&pin)
	}
	d := newDelivery(m)
	l := loadOf(len(m.data), len(d.Job.InvitedUsers))
	for began := time.Now(); ; {
		now := time.Now()
		switch s.inHand.admit(now, now.Sub(began), m, l) {
		case take:
			s.deliver(ctx, d)
			return
		case setAside:
			return
		case waitFor:
			if s.worker.Waits(d.Address) {
				s.inHand.setAside(now, m, l)
				return
			}
		}
		late := time.NewTimer(stalledAfter)
		select {
		case <-s.inHand.room:
			late.Stop()
		case <-late.C:
		case <-ctx.Done():
			late.Stop()
			_ = m.lease.release(0)
			return
		}
	}
}

// fetchAtOnce is how many jobs that were set aside are fetched at once: one by one, a key that gets on again after its jobs were set
// aside would be held up by the way to the server and back, and all that comes for it meanwhile be set aside, too.
const fetchAtOnce = 64

// fetch hands over jobs that were set aside, in order.
func (s *source) fetch(ctx context.Context, refs []ref) {
	fetched := make([]*jetstream.RawStreamMsg, len(refs))
	var fetching sync.WaitGroup
	for i, r := range refs {
		fetching.Go(func() { fetched[i] = s.stored(ctx, r) })
	}
	fetching.Wait()
	for i, r := range refs {
		lease := r.lease
		lease.hand = s.inHand
		m := fetched[i]
		if m == nil {
			_ = lease.release(time.Second)
			continue
		}
		s.deliver(ctx, newDelivery(message{
			subject: m.Subject, header: m.Header, data: m.Data, stream: s.stream.CachedInfo().Config.Name,
			sequence: m.Sequence, stored: m.Time, delivered: r.delivered, lease: lease,
		}))
	}
}

// stored reads a job that was set aside. nil: it was purged, or ctx has ended; if it only seems so, it comes again.
func (s *source) stored(ctx context.Context, r ref) *jetstream.RawStreamMsg {
	b := backoff.NewExponentialBackOff(backoff.WithInitialInterval(50*time.Millisecond),
		backoff.WithMaxInterval(2*time.Second), backoff.WithMaxElapsedTime(0))
	m, err := backoff.RetryWithData(func() (*jetstream.RawStreamMsg, error) {
		ctx, cancel := context.WithTimeout(ctx, tryTimeout)
		defer cancel()
		m, err := getMsg(ctx, s.q.js, s.stream, r.sequence, "")
		if errors.Is(err, jetstream.ErrMsgNotFound) {
			return nil, backoff.Permanent(err)
		}
		return m, err
	}, backoff.WithContext(b, ctx))
	if err != nil {
		return nil
	}
	return m
}

func (s *source) deliver(ctx context.Context, d *Delivery) {
	d.lease.hand = s.inHand
	s.takeover.handed.Store(max(s.takeover.handed.Load(), d.Sequence)) // there is no other writer
	d.over, d.claimed = s.over, s.takeover.claim.at
	d.Partition, d.MaybeSent = s.partition, s.takeover.suspects(d)
	d.Cancelled, d.Rate = s.steer.cancelled, s.steer.rate
	d.Published, d.Expires = s.q.clock.toHere(d.PublishedAt), s.q.clock.toHere(d.Job.ExpiresAt)
	if !s.prepare(ctx, d) {
		_ = d.Release(0)
		return
	}
	if result, ended := s.q.endings.settled.find(d.key()); ended {
		s.conclude(ctx, d, result)
		return
	}
	s.touch()
	s.worker.Deliver(d)
}

// conclude acknowledges a job whose result is stored. The result may be of a worker that was cut off, and have come when the next
// owner had sent some of the job again. If he gave it back, the job's progress says so; if he is gone, or lost it, nothing does. The
// result has to.
func (s *source) conclude(ctx context.Context, d *Delivery, result uint64) {
	again := d.Progress != nil && d.Progress.MaybeDuplicate
	if again || len(s.takeover.claim.gone) > 0 {
		said := s.untilDone(ctx, "what is known of a job can't be added to its result", func(ctx context.Context) error {
			return s.q.sayDuplicate(ctx, result, func(r Result, stored time.Time) bool { return again || s.takeover.cameLate(r, stored) })
		})
		if !said {
			_ = d.Release(0)
			return
		}
	}
	if err := d.Ack(); err != nil {
		_ = d.Release(0)
	}
}

// prepare looks up the progress of a job that an earlier owner may have begun.
// It tries until it knows, or reports false when ctx ends: a job that is handed
// over without that could be sent twice.
func (s *source) prepare(ctx context.Context, d *Delivery) bool {
	if s.q.progress.none(d) {
		return true
	}
	return s.untilDone(ctx, "jobs wait: what became of earlier ones can't be read",
		func(ctx context.Context) error { return s.q.progress.attach(ctx, d) })
}

// untilDone tries until it works, or reports false when ctx ends.
func (s *source) untilDone(ctx context.Context, otherwise string, try func(context.Context) error) bool {
	b := backoff.NewExponentialBackOff(backoff.WithInitialInterval(50*time.Millisecond),
		backoff.WithMaxInterval(2*time.Second), backoff.WithMaxElapsedTime(0))
	err := backoff.RetryNotify(func() error {
		ctx, cancel := context.WithTimeout(ctx, tryTimeout)
		defer cancel()
		return try(ctx)
	}, backoff.WithContext(b, ctx), func(err error, _ time.Duration) {
		s.q.trouble.warn(s.q.log, otherwise, "consumer", s.cfg.Durable, "error", err)
	})
	return err == nil
}

// unpinFormer ends a pin that was there before this owner asked for anything. When a job comes while nobody asks, the server may pin
// a client that has left already, and deliver nothing to anybody else for pinnedTTL.
func (s *source) unpinFormer(ctx context.Context, consumer jetstream.Consumer) {
	for _, group := range consumer.CachedInfo().PriorityGroups {
		if group.PinnedClientID != "" {
			_ = s.stream.UnpinConsumer(ctx, s.cfg.Durable, ownerGroup) // else it ends by itself
		}
	}
}

// unpin hands over at once to another worker that waits, if this one is the
// owner. Without it the other would wait for pinnedTTL.
func (s *source) unpin(ctx context.Context) {
	pin := s.pin.Load()
	if pin == nil || *pin == "" || !s.q.nc.IsConnected() {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), drainTimeout)
	defer cancel()
	consumer, err := s.stream.Consumer(ctx, s.cfg.Durable)
	if err != nil {
		return
	}
	for _, group := range consumer.CachedInfo().PriorityGroups {
		if group.PinnedClientID == *pin {
			_ = s.stream.UnpinConsumer(ctx, s.cfg.Durable, ownerGroup)
		}
	}
}
