package tokens

import (
	"context"
	"errors"
	"hash/maphash"
	"sync"
	"time"

	"github.com/invitedhq/invited/xbl"
)

// Options are what a [Cache] is made of beside its fetcher.
type Options struct {
	// Windows are the limits of whoever makes tokens. None: only its own refusals count.
	Windows []Window
	// AtOnce is how many fetches are made at once. Default: 16.
	AtOnce int
	// Timeout bounds a fetch. Default: 10 s.
	Timeout time.Duration
	// Patience is how long a call waits for a fetch that goes on, before it is told that there is no token yet. Default: 1 s.
	Patience time.Duration
	// Senders is how many are remembered, about. Default: 16384. A sender that is forgotten costs a fetch.
	Senders int
	// Shared has all senders use one token: the service's own.
	Shared bool
	// Refreshed is told of each attempt, as [xbl.OnRefresh] says.
	Refreshed func(*xbl.TokenError)
	// Random is from 0 to 1, different each time. It is called by one goroutine at a time. Required.
	Random func() float64
}

func (o Options) withDefaults() Options {
	if o.AtOnce <= 0 {
		o.AtOnce = 16
	}
	if o.Timeout <= 0 {
		o.Timeout = 10 * time.Second
	}
	if o.Patience <= 0 {
		o.Patience = time.Second
	}
	if o.Senders <= 0 {
		o.Senders = 16384
	}
	if o.Refreshed == nil {
		o.Refreshed = func(*xbl.TokenError) {}
	}
	return o
}

// Cache is an [xbl.PrioritySource] that keeps what a [Fetcher] gets. It may be used by many goroutines at once.
type Cache struct {
	fetcher Fetcher
	options Options
	table   table
	context context.Context // of the fetches
	end     context.CancelFunc
	fetches sync.WaitGroup

	mu      sync.Mutex
	closed  bool
	backlog backlog
	wake    *time.Timer // for the backlog; nil: it waits for no time
	wakeAt  time.Time
	waiting int // calls that wait for a fetch
}

var _ xbl.PrioritySource = (*Cache)(nil)

// NewCache asks for nothing before it is asked. Close it when it is not needed any more.
func NewCache(f Fetcher, o Options) *Cache {
	o = o.withDefaults()
	ctx, end := context.WithCancel(context.Background())
	return &Cache{
		fetcher: f, options: o, context: ctx, end: end,
		table:   table{seed: maphash.MakeSeed(), most: max(o.Senders/shards, 1)},
		backlog: backlog{limit: limiter{windows: o.Windows}, most: o.AtOnce},
	}
}

// Close ends the fetches that go on, and waits for them. The cache gives what it has, and gets nothing any more.
func (c *Cache) Close() {
	c.mu.Lock()
	c.closed = true
	if c.wake != nil {
		c.wake.Stop()
	}
	c.mu.Unlock()
	c.end()
	c.fetches.Wait()
}

// Token implements [xbl.TokenSource]. While the sender's token is not due for a refresh it takes no lock that others hold.
func (c *Cache) Token(ctx context.Context, sender string) (xbl.Token, error) {
	return c.token(ctx, sender, false)
}

// UrgentToken implements [xbl.PrioritySource].
func (c *Cache) UrgentToken(ctx context.Context, sender string) (xbl.Token, error) {
	return c.token(ctx, sender, true)
}

func (c *Cache) token(ctx context.Context, sender string, hurry bool) (xbl.Token, error) {
	now := time.Now()
	whose := c.whose(sender)
	if e := c.table.find(whose); e != nil {
		e.touch(now)
		if s := e.serving.Load(); s != nil && now.Before(s.recheck) {
			return s.token, nil
		}
	}
	token, problem := c.get(ctx, now, whose, hurry)
	if problem != nil {
		if c.options.Shared {
			problem = problemOf(sender, problem)
		}
		c.options.Refreshed(problem)
		return xbl.Token{}, problem
	}
	return token, nil
}

// whose is the sender whose token it is.
func (c *Cache) whose(sender string) string {
	if c.options.Shared {
		return ""
	}
	return sender
}

// get is token where something is to be done.
func (c *Cache) get(ctx context.Context, now time.Time, sender string, hurry bool) (xbl.Token, *xbl.TokenError) {
	impossible := c.fetcher.Check(sender)
	c.mu.Lock()
	e, gone := c.table.add(sender)
	if gone != nil {
		c.backlog.remove(gone)
	}
	e.touch(now)
	if s := e.serving.Load(); s.valid(now) {
		c.refreshAhead(now, e, s, impossible)
		c.mu.Unlock()
		return s.token, nil
	}
	if impossible != nil {
		c.mu.Unlock()
		return xbl.Token{}, impossible
	}
	if e.failure != nil && now.Before(e.retryAt) {
		failure := e.failure
		c.mu.Unlock()
		return xbl.Token{}, failure
	}
	if !e.running && !c.closed {
		c.enter(now, e, e.class(hurry), time.Time{})
	}
	return c.await(ctx, now, e)
}

const (
	// lookEvery is how often it is looked whether a token wants a refresh: with more senders, it wants it earlier.
	lookEvery = 5 * time.Minute
	// lineEvery is how often a sender in line says that it is still there.
	lineEvery = 15 * time.Second
)

// refreshAhead puts a sender in line whose token still serves, if it is time, and has its next calls pass for a while.
func (c *Cache) refreshAhead(now time.Time, e *entry, s *serving, impossible *xbl.TokenError) {
	if now.Before(s.recheck) || c.closed {
		return // somebody else has just done so
	}
	if at := s.refreshAt(c.table.kept, c.backlog.limit.each(ahead.share())); now.Before(at) {
		if soon := now.Add(lookEvery); at.After(soon) {
			at = soon
		}
		e.serving.Store(s.again(at))
		return
	}
	e.serving.Store(s.again(now.Add(lineEvery)))
	if impossible == nil && !e.running && !now.Before(e.retryAt) {
		c.enter(now, e, ahead, s.end)
	}
}

// maxWaiting calls wait for fetches at once: each holds a place among a worker's calls in flight, which those of other senders need.
const maxWaiting = 64

// await waits a little for the fetch of a sender that has no token. It is called with the lock, and gives it up.
func (c *Cache) await(ctx context.Context, now time.Time, e *entry) (xbl.Token, *xbl.TokenError) {
	held := !e.running && c.wakeAt.After(now.Add(c.options.Patience))
	if c.closed || held || c.waiting >= maxWaiting {
		defer c.mu.Unlock()
		return xbl.Token{}, notYet(e.sender, c.wakeAt)
	}
	if e.done == nil {
		e.done = make(chan struct{})
	}
	done := e.done
	c.waiting++
	c.mu.Unlock()
	patience := time.NewTimer(c.options.Patience)
	defer patience.Stop()
	select {
	case <-done:
	case <-patience.C:
	case <-ctx.Done():
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.waiting--
	if s := e.serving.Load(); s.valid(time.Now()) {
		return s.token, nil
	}
	if e.failure != nil {
		return xbl.Token{}, e.failure
	}
	return xbl.Token{}, notYet(e.sender, c.wakeAt)
}

// notYet is why there is no token while the sender stands in line. until is when the line goes on; zero: it does.
func notYet(sender string, until time.Time) *xbl.TokenError {
	if until.IsZero() {
		return &xbl.TokenError{Kind: xbl.TokenUnavailable, Sender: sender, Detail: "it was asked for, and has not come yet"}
	}
	return &xbl.TokenError{
		Kind: xbl.TokenThrottled, Sender: sender, RetryAt: until,
		Detail: "it is in line for its turn, as whoever makes tokens may be asked only so often",
	}
}

// Refused implements [xbl.TokenSource]. A token that is not the one in use any more is ignored.
func (c *Cache) Refused(sender string, t xbl.Token) {
	e := c.table.find(c.whose(sender))
	if e == nil || t.IsZero() {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if s := e.serving.Load(); s != nil && s.token.Equal(t) {
		e.refuse(time.Now(), s)
	}
}

// Retry has each sender that is without a token asked for again with its next call, instead of when its wait is over:
// somebody says that the reason is gone. What a service that answers asked for (429) is kept to all the same.
func (c *Cache) Retry() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.backlog.retry()
	c.table.each(func(e *entry) {
		if e.serving.Load() == nil {
			e.retryAt, e.denied = time.Time{}, false
		}
	})
	c.pump(time.Now())
}

// inUse is how long after a call a sender's token counts as being in use.
const inUse = 5 * time.Minute

// EarliestExpiry is when the first of the tokens ends that were asked for in the last five minutes; zero: there is none.
// It may be past, where no new one came.
func (c *Cache) EarliestExpiry() (first time.Time) {
	since := time.Now().Add(-inUse).Unix()
	c.table.each(func(e *entry) {
		s := e.serving.Load()
		if s == nil || e.used.Load() < since {
			return
		}
		if first.IsZero() || s.end.Before(first) {
			first = s.end
		}
	})
	return first
}

// problemOf makes what a fetch says an error of this sender.
func problemOf(sender string, err error) *xbl.TokenError {
	problem, ok := errors.AsType[*xbl.TokenError](err)
	if !ok {
		problem = &xbl.TokenError{Kind: xbl.TokenUnavailable, Detail: "it can't be got", Err: err}
	}
	own := *problem
	own.Sender = sender
	return &own
}
