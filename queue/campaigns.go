package queue

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

const (
	discoverEvery = 500 * time.Millisecond
	// campaignIdle is how long a campaign has no message before it is looked at
	// whether it is over.
	campaignIdle = 5 * time.Second
	// removalPause is far longer than a removal takes, and short enough if it is cut off.
	removalPause = 10 * time.Second
)

// campaigns runs one source for each campaign that has jobs: a consumer of its
// own lets an operator pause it, and no campaign fill another's window.
//
// One goroutine discovers and removes, in turn, so that neither can miss what
// the other does: after a removal everything is discovered anew.
type campaigns struct {
	q      *Queue
	stream jetstream.Stream
	handle func(*Delivery)

	running map[string]*campaign // by subject
	seen    uint64               // the stream's last sequence when its subjects were read
	known   bool                 // whether seen counts
	wait    sync.WaitGroup
}

type campaign struct {
	*source
	stop    context.CancelFunc
	stopped chan struct{}
	checked time.Time
}

func newCampaigns(q *Queue, handle func(*Delivery)) *campaigns {
	return &campaigns{q: q, stream: q.streams[CampaignsStream], handle: handle, running: make(map[string]*campaign)}
}

func (c *campaigns) run(ctx context.Context) {
	defer c.wait.Wait()
	tick := time.NewTicker(discoverEvery)
	defer tick.Stop()
	for {
		if err := c.discover(ctx); err != nil && ctx.Err() == nil {
			c.q.log.Debug("campaigns could not be looked for", "error", err)
		}
		c.removeOver(ctx)
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// discover starts a source for each subject that has jobs and no source. The
// subjects are read only after something new was published.
func (c *campaigns) discover(ctx context.Context) error {
	asking, cancel := context.WithTimeout(ctx, apiTimeout)
	defer cancel()
	info, err := c.stream.Info(asking)
	if err != nil {
		return err
	}
	// Read before the subjects: what comes in between is found again, not missed.
	last := info.State.LastSeq
	if c.known && last == c.seen {
		return nil
	}
	info, err = c.stream.Info(asking, jetstream.WithSubjectFilter(campaignsPrefix+">"))
	if err != nil {
		return err
	}
	for subject := range info.State.Subjects {
		if c.running[subject] == nil {
			c.start(ctx, subject)
		}
	}
	c.seen, c.known = last, true
	return nil
}

func (c *campaigns) start(ctx context.Context, subject string) {
	ctx, stop := context.WithCancel(ctx)
	r := &campaign{
		source: c.q.newSource(CampaignsStream, campaignConsumer(subject), subject, c.q.opts.CampaignMaxAckPending, c.handle),
		stop:   stop, stopped: make(chan struct{}),
	}
	c.running[subject] = r
	c.wait.Go(func() {
		defer close(r.stopped)
		r.run(ctx)
	})
}

// removeOver removes sources, and their consumers, of campaigns that are over.
func (c *campaigns) removeOver(ctx context.Context) {
	for subject, r := range c.running {
		if r.idle() < campaignIdle || time.Since(r.checked) < campaignIdle {
			continue
		}
		r.checked = time.Now()
		if !c.over(ctx, r) {
			continue
		}
		r.stop()
		<-r.stopped
		delete(c.running, subject)
		c.known = false // a job that came in between is discovered at once
		c.removeConsumer(ctx, r.cfg.Durable)
	}
}

// removeConsumer deletes a consumer, unless something has come since it was
// looked at. It is paused first: a job that was delivered by a consumer that is
// deleted could not be acknowledged, and would be delivered again, to anyone.
// What goes wrong here heals: the pause ends, and the consumer of an empty
// subject does no harm.
func (c *campaigns) removeConsumer(ctx context.Context, name string) {
	ctx, cancel := context.WithTimeout(ctx, apiTimeout)
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

// over says whether nothing waits or is in hand. A paused campaign is never
// over: its pause is in the consumer, and it may be waiting for its jobs.
func (c *campaigns) over(ctx context.Context, r *campaign) bool {
	ctx, cancel := context.WithTimeout(ctx, apiTimeout)
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
