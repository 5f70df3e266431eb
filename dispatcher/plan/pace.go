package plan

import (
	"math"
	"time"
)

// pace spreads a campaign's calls so that no more of its recipients are asked
// for in a second than somebody wants. It is a further limit beside the quota.
type pace struct {
	rate float64   // recipients per second
	next time.Time // when the next call may be made
}

// called takes note of a call. A call that was made late, by a timer or by the
// quota, makes the next one come sooner, but by one call's time at the most:
// over any time t no more than rate·t recipients and two calls' are sent.
func (p *pace) called(now time.Time, recipients int) {
	seconds := math.Min(float64(recipients)/p.rate, maxPause.Seconds())
	took := time.Duration(seconds * float64(time.Second))
	due := now
	if !p.next.IsZero() {
		due = later(p.next, now.Add(-took))
	}
	p.next = due.Add(took)
}

// maxPause is far beyond what the lowest rate makes of a call of 16.
const maxPause = 1000 * time.Hour

// paceOf is a campaign's pace; nil: there is no limit.
func (k *key) paceOf(c *campaign) *pace { return k.paces[c.name] }

// setPace takes note of the rate that a campaign's jobs came with last. A new
// one begins anew: what the old one made the next call wait for may be hours.
func (k *key) setPace(j *Job) {
	switch p := k.paces[j.Campaign]; {
	case j.Campaign == "":
	case j.Rate <= 0:
		delete(k.paces, j.Campaign)
	case p == nil || p.rate != j.Rate:
		if k.paces == nil {
			k.paces = make(map[string]*pace)
		}
		k.paces[j.Campaign] = &pace{rate: j.Rate}
	}
}

// inTurn is the line that the key's next call is made from: players first, then
// the campaigns in turn, but for those that a pace holds back. nil: all are, and
// from when on one is not.
func (k *key) inTurn(now time.Time) (*line, time.Time) {
	if !k.interactive.empty() {
		return &k.interactive, time.Time{}
	}
	var at time.Time
	for _, c := range k.campaigns {
		p := k.paceOf(c)
		if p == nil || !now.Before(p.next) {
			return &c.line, time.Time{}
		}
		if at.IsZero() || p.next.Before(at) {
			at = p.next
		}
	}
	return nil, at
}

// paced takes note of a call made from a line.
func (k *key) paced(now time.Time, served *line, recipients int) {
	for _, c := range k.campaigns {
		if p := k.paceOf(c); p != nil && &c.line == served {
			p.called(now, recipients)
		}
	}
}

// dropPaces forgets those that hold nothing back any more.
func (k *key) dropPaces(now time.Time) {
	for name, p := range k.paces {
		if k.campaign(name) == nil && !now.Before(p.next) {
			delete(k.paces, name)
		}
	}
}

// paceEnds is when the last pace holds nothing back any more.
func (k *key) paceEnds() (at time.Time) {
	for _, p := range k.paces {
		at = later(at, p.next)
	}
	return at
}
