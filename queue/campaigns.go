package queue

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

const (
	discoverEvery = 500 * time.Millisecond
	// campaignIdle is how long a campaign has no message before it is looked at
	// whether it is over.
	campaignIdle = 5 * time.Second
	// removalPause is far longer than a removal takes, and short enough if it is cut off.
	removalPause = 10 * time.Second
	// removeFor is how long removals go on before what is wanted of campaigns is
	// looked at again: with many campaigns, or a slow link, they take longer than a pause may.
	removeFor = 200 * time.Millisecond
	// withdrawWithin is how long a campaign's source may take to stop before its
	// jobs are given back all the same.
	withdrawWithin = 250 * time.Millisecond
)

// campaigns runs one source for each campaign, of a partition that is this
// worker's, that has jobs: a consumer of its own lets each go by its own terms,
// and no campaign fill another's window.
//
// One goroutine discovers, steers and removes, in turn, so that none can miss
// what the others do: after a removal everything is discovered anew.
type campaigns struct {
	q      *Queue
	stream jetstream.Stream
	worker Worker
	terms  *termsBook
	now    chan struct{} // holds one token when there is reason to look at once

	mu      sync.Mutex
	owned   map[int]ownedCampaigns // by partition
	running map[string]*campaign   // by subject
	seen    uint64                 // the stream's last sequence when its subjects were read
	current bool                   // whether seen counts
}

// ownedCampaigns are those of one partition.
type ownedCampaigns struct {
	ctx   context.Context // of their sources
	claim claim
	found bool // all that there were at the start
	// taken are the campaigns' subjects of which all is known that a former owner had in hand.
	taken map[string]bool
}

type campaign struct {
	*source
	stop    context.CancelFunc
	stopped chan struct{}
	left    chan struct{} // closed when its jobs are given back, as its terms have changed; nil: they have not
	checked time.Time
}

func newCampaigns(q *Queue, worker Worker) *campaigns {
	return &campaigns{
		q: q, stream: q.streams[CampaignsStream], worker: worker, terms: newTermsBook(q), now: make(chan struct{}, 1),
		owned: make(map[int]ownedCampaigns), running: make(map[string]*campaign),
	}
}

func (c *campaigns) run(ctx context.Context) {
	if listening, err := c.q.nc.Subscribe(termsPrefix+">", func(*nats.Msg) { signal(c.now) }); err == nil {
		defer func() { _ = listening.Unsubscribe() }()
	} // else terms are seen at the next tick
	tick := time.NewTicker(discoverEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-c.now:
		case <-ctx.Done():
			return
		}
		if err := c.terms.update(ctx); err != nil {
			if ctx.Err() == nil {
				c.q.trouble.warn(c.q.log, "what is wanted of campaigns can't be read: those under way go on as they are, others wait",
					"error", err)
			}
			continue
		}
		c.steer()
		if err := c.discover(ctx); err != nil && ctx.Err() == nil {
			c.q.log.Debug("campaigns could not be looked for", "error", err)
		}
		c.removeOver(ctx)
	}
}

// own begins with a partition's campaigns; their sources end with ctx.
func (c *campaigns) own(ctx context.Context, partition int, claim claim) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.owned[partition] = ownedCampaigns{ctx: ctx, claim: claim, taken: make(map[string]bool)}
	c.current = false
	signal(c.now)
}

// known says whether all that a former owner of a partition had in hand of
// campaigns has come to be known.
func (c *campaigns) known(partition int) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	o := c.owned[partition]
	known := o.found || o.claim.from == released
	for _, r := range c.running {
		known = known && (r.partition != partition || r.takenOver())
	}
	return known
}

// disown waits for the ends of a partition's sources, whose context has ended.
// It reports whether all that a former owner had in hand has come to be known.
func (c *campaigns) disown(partition int) bool {
	c.mu.Lock()
	known := c.owned[partition].found || c.owned[partition].claim.from == released
	delete(c.owned, partition)
	var ending []*campaign
	for subject, r := range c.running {
		if r.partition == partition {
			ending = append(ending, r)
			delete(c.running, subject)
		}
	}
	c.mu.Unlock()
	for _, r := range ending {
		<-r.stopped
		if r.left != nil {
			<-r.left
		}
		known = known && r.takenOver()
	}
	return known
}

// discover starts a source for each subject that has jobs and no source. The
// subjects are read only after something new was published.
func (c *campaigns) discover(ctx context.Context) error {
	info, err := infoOf(ctx, c.stream)
	if err != nil {
		return err
	}
	// Read before the subjects: what comes in between is found again, not missed.
	last := info.State.LastSeq
	c.mu.Lock()
	same := c.current && last == c.seen || len(c.owned) == 0
	c.seen, c.current = last, true // unless a partition comes meanwhile
	c.mu.Unlock()
	if same {
		return nil
	}
	info, err = infoOf(ctx, c.stream, jetstream.WithSubjectFilter(campaignsPrefix+">"))
	c.mu.Lock()
	defer c.mu.Unlock()
	if err != nil {
		c.current = false
		return err
	}
	for subject := range info.State.Subjects {
		c.start(subject)
	}
	for n, o := range c.owned {
		o.found = o.found || c.current
		c.owned[n] = o
	}
	return nil
}

// start starts the source of a campaign whose partition is this worker's. c.mu is held.
func (c *campaigns) start(subject string) {
	n := partitionOfCampaign(subject, c.q.partitions)
	o, owned := c.owned[n]
	if !owned || c.running[subject] != nil {
		return
	}
	claim := o.claim
	if o.taken[subject] {
		// What comes again was given back by this worker. A consumer that was made
		// anew would not know the acknowledgement of what is in a call.
		claim.from = released
	}
	ctx, stop := context.WithCancel(o.ctx)
	r := &campaign{
		source: c.q.newSource(sourceConfig{
			stream: CampaignsStream, name: campaignConsumer(subject), subject: subject,
			window: c.window(), partition: n, claim: claim,
			steer: c.terms.at(subject, c.q.clock.toServer(time.Now())),
		}, c.worker),
		stop: stop, stopped: make(chan struct{}),
	}
	c.running[subject] = r
	go func() {
		defer close(r.stopped)
		defer stop()
		r.run(ctx)
	}()
}

// leastOfCampaign jobs of a campaign fill two calls, if each has one recipient.
const leastOfCampaign = 32

// window is how many jobs of a campaign that starts now may be in hand: of a thousand that wait for their quota, as many each as of a
// single one would be gigabytes. c.mu is held.
func (c *campaigns) window() int {
	part := c.q.opts.CampaignsInHand / (len(c.running) + 1)
	return min(c.q.opts.CampaignMaxInHand, max(leastOfCampaign, part))
}

// steer has each campaign whose terms have changed go by them: its source ends,
// what the worker has in hand of it and is not in a call is given back, and then
// a new source begins. None waits for another one's to end.
func (c *campaigns) steer() {
	changed, left := c.changed()
	for _, r := range changed {
		r.stop()
		go c.letGo(r)
	}
	for _, r := range left {
		c.restart(r)
	}
}

// changed returns the campaigns whose terms have changed, and those whose jobs are given back.
func (c *campaigns) changed() (changed, left []*campaign) {
	now := c.q.clock.toServer(time.Now())
	c.mu.Lock()
	defer c.mu.Unlock()
	for subject, r := range c.running {
		switch {
		case r.left == nil && r.steer != c.terms.at(subject, now):
			r.left = make(chan struct{})
			changed = append(changed, r)
		case r.left != nil && isClosed(r.left):
			left = append(left, r)
		}
	}
	return changed, left
}

func isClosed(ch <-chan struct{}) bool {
	select {
	case <-ch:
		return true
	default:
		return false
	}
}

// letGo gives a campaign's jobs back once its source has ended: before, they
// would come here again. But the end may take seconds, as it asks the server, and
// no call is to be made for that long.
func (c *campaigns) letGo(r *campaign) {
	defer signal(c.now)
	defer close(r.left)
	late := time.NewTimer(withdrawWithin)
	defer late.Stop()
	select {
	case <-r.stopped:
	case <-late.C:
		c.withdraw(r)
		<-r.stopped
	}
	c.withdraw(r)
}

func (c *campaigns) withdraw(r *campaign) {
	if address, err := ParseSubject(r.cfg.FilterSubject); err == nil && !r.steer.held {
		c.worker.Withdraw(address)
	}
}

// restart begins a campaign anew whose source has ended, unless its partition was given away.
func (c *campaigns) restart(r *campaign) {
	c.mu.Lock()
	defer c.mu.Unlock()
	subject := r.cfg.FilterSubject
	if c.running[subject] != r {
		return
	}
	delete(c.running, subject)
	c.owned[r.partition].taken[subject] = r.takenOver()
	c.start(subject)
}

// removeOver removes sources, and their consumers, of campaigns that are over.
func (c *campaigns) removeOver(ctx context.Context) {
	began := time.Now()
	for _, r := range c.idle() {
		if len(c.now) > 0 || time.Since(began) >= removeFor {
			return
		}
		r.checked = time.Now()
		if !c.over(ctx, r) || !c.remove(r) {
			continue
		}
		r.stop()
		<-r.stopped
		c.removeConsumer(ctx, r.cfg.Durable)
		c.mu.Lock()
		c.current = false // a job that came in between is discovered at once
		c.mu.Unlock()
	}
}

// idle are those to look at, the one that was looked at longest ago first.
func (c *campaigns) idle() (idle []*campaign) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, r := range c.running {
		if !r.steer.held && r.left == nil && r.idle() >= campaignIdle && time.Since(r.checked) >= campaignIdle {
			idle = append(idle, r)
		}
	}
	slices.SortFunc(idle, func(a, b *campaign) int { return a.checked.Compare(b.checked) })
	return idle
}

// remove takes a campaign off the list, unless its partition was given away.
func (c *campaigns) remove(r *campaign) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.running[r.cfg.FilterSubject] != r {
		return false
	}
	delete(c.running, r.cfg.FilterSubject)
	return true
}

// removeConsumer deletes a consumer, unless something has come since it was
// looked at. It is paused first: a job that was delivered by a consumer that is
// deleted could not be acknowledged, and would be delivered again, to anyone.
// What goes wrong here heals: the pause ends, and the consumer of an empty
// subject does no harm.
func (c *campaigns) removeConsumer(ctx context.Context, name string) {
	ctx, cancel := context.WithTimeout(ctx, tryTimeout)
	defer cancel()
	if _, err := c.stream.PauseConsumer(ctx, name, time.Now().Add(removalPause)); err != nil {
		return
	}
	consumer, err := c.stream.Consumer(ctx, name)
	if err != nil {
		return
	}
	if info := consumer.CachedInfo(); info.NumPending > 0 || info.NumAckPending > 0 {
		_, _ = c.stream.ResumeConsumer(ctx, name)
		return
	}
	_ = c.stream.DeleteConsumer(ctx, name)
}

// over says whether nothing waits or is in hand. A campaign whose consumer an
// operator has paused is never over: that pause would be lost with it.
func (c *campaigns) over(ctx context.Context, r *campaign) bool {
	ctx, cancel := context.WithTimeout(ctx, tryTimeout)
	defer cancel()
	consumer, err := c.stream.Consumer(ctx, r.cfg.Durable)
	if errors.Is(err, jetstream.ErrConsumerNotFound) {
		return true // another worker found it over; if it is not, it is discovered again
	}
	if err != nil {
		return false
	}
	info := consumer.CachedInfo()
	return info.NumPending == 0 && info.NumAckPending == 0 && !info.Paused
}

// campaignConsumer names a campaign's consumer. A subject can't be a name:
// it has dots, and a producer chose it. A digest is one name for one subject.
func campaignConsumer(subject string) string {
	sum := sha256.Sum256([]byte(subject))
	return "campaign-" + hex.EncodeToString(sum[:8])
}
