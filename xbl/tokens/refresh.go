package tokens

import (
	"context"
	"time"

	"github.com/invitedhq/invited/xbl"
)

// pump begins the fetches that may begin, and has itself called again when more may. It is called with the lock.
func (c *Cache) pump(now time.Time) {
	c.wakeAt = time.Time{}
	for !c.closed {
		cost := c.fetcher.Cost()
		e, wake := c.backlog.next(now, cost)
		if e == nil {
			c.sleep(now, wake)
			return
		}
		if e.abandoned(now) {
			c.backlog.dropped(cost)
			continue
		}
		e.running = true
		c.fetches.Go(func() { c.fetch(e, cost) })
	}
}

// enter puts somebody in line. Thousands ask each second while the line is held back: only who comes first in it can
// change when it goes on. It is called with the lock.
func (c *Cache) enter(now time.Time, e *entry, in class, deadline time.Time) {
	c.backlog.add(e, in, deadline)
	if e.want.place == 0 || !now.Before(c.wakeAt) {
		c.pump(now)
	}
}

// sleep is for as long as the backlog has to wait for a time.
func (c *Cache) sleep(now, until time.Time) {
	c.wakeAt = until
	if until.IsZero() {
		return
	}
	if c.wake == nil {
		c.wake = time.AfterFunc(until.Sub(now), func() {
			c.mu.Lock()
			defer c.mu.Unlock()
			c.pump(time.Now())
		})
		return
	}
	c.wake.Reset(until.Sub(now))
}

// fetch makes one fetch, apart from the calls that wait for it: one that gives up does not spoil it for the others.
func (c *Cache) fetch(e *entry, cost int) {
	ctx, cancel := context.WithTimeout(c.context, c.options.Timeout)
	defer cancel()
	grant, err := c.fetcher.Fetch(ctx, e.sender, cost)
	c.options.Refreshed(c.settle(e, cost, grant, err))
}

// settle takes note of how a fetch ended, and returns the problem; nil: there is a new token.
func (c *Cache) settle(e *entry, cost int, grant Grant, err error) *xbl.TokenError {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	c.backlog.ended(now, cost)
	var problem *xbl.TokenError
	if err == nil {
		err = Usable(now, grant.Token)
	}
	if err == nil {
		c.backlog.answered()
		problem = e.granted(now, grant.Token, c.options.Random())
	} else {
		problem = problemOf(e.sender, err)
		c.note(now, problem)
		e.fail(now, problem, c.options.Random())
	}
	e.ended()
	c.pump(now)
	return problem
}

// Usable says why a token that a [Fetcher] gave is of no use at a time, as an [*xbl.TokenError]; nil: it is of use.
func Usable(now time.Time, t xbl.Token) error {
	const (
		least = 5 * time.Second // else it would be got again without end
		late  = time.Minute
	)
	end := "one was given that ends at " + t.NotAfter.UTC().Format(time.RFC3339)
	switch left := t.NotAfter.Sub(now); {
	case t.IsZero():
		return &xbl.TokenError{Kind: xbl.TokenInvalid, Detail: "an empty one was given"}
	case left < -late:
		return &xbl.TokenError{Kind: xbl.TokenInvalid, Detail: end + ", which is past"}
	case left < least: // whoever makes them keeps each until its end, and has another then
		return &xbl.TokenError{Kind: xbl.TokenUnavailable, RetryAt: now.Add(least), Detail: end + ", which is now"}
	}
	return nil
}

// note holds back the backlog where a failure is not the sender's.
func (c *Cache) note(now time.Time, problem *xbl.TokenError) {
	switch problem.Kind {
	case xbl.TokenThrottled:
		until := problem.RetryAt
		if until.IsZero() {
			until = now.Add(15 * time.Second)
		}
		if least := now.Add(time.Second); until.Before(least) { // it would be asked again and again else
			until = least
		}
		// Those of other workers come at the same time otherwise.
		c.backlog.throttled(until.Add(time.Duration(0.2 * c.options.Random() * float64(until.Sub(now)))))
		problem.RetryAt = until
	case xbl.TokenUnavailable:
		c.backlog.unanswered(now)
	case xbl.TokenMissing, xbl.TokenInvalid, xbl.TokenRefused, xbl.TokenDenied:
		c.backlog.answered()
	}
}
