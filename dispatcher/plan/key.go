package plan

import (
	"time"

	"github.com/invitedhq/invited/queue"
)

// key is one key's waiting parcels and what holds them back.
type key struct {
	id        Key
	partition int
	title     *title
	limits    Limits

	interactive line
	campaigns   []*campaign      // those with waiting parcels, the next in turn first
	paces       map[string]*pace // of campaigns with a rate; nil: none
	backingOff  int              // parcels whose alarm will put them back in line

	lastInteractive time.Time // when an interactive job was last added; zero: never

	log       callLog
	learnt    []learnt  // windows that refusals told of, beside the configured ones; nil: none
	composed  uint64    // calls made
	recorded  uint64    // of them, those that the next owner will know of
	suspected bool      // a call that a gone owner may not have recorded is counted
	atOnce    int       // calls at once: the configured limit, or fewer while the service wants fewer
	sentSince int       // calls sent since atOnce was last changed
	blocked   time.Time // end of the Retry-After it was given
	noToken   time.Time // when to ask for a token again
	tokenless time.Time // since when there is none that the API takes; zero: there is one, as far as is known
	refused   int       // tokens the API refused in a row
	probing   bool      // the next call shows whether a block, or a want of tokens, is over: one at a time

	hopeless   refusal // the request last refused as a whole, and when
	hopelessAt time.Time

	ready bool // in the planner's list of keys that may send
	alarm alarm
}

// campaign is the line of one campaign's parcels.
type campaign struct {
	name string
	line line
}

// lineFor is where a job's parcels wait. It is made for one that is put there now:
// a campaign on the list has something in line.
func (k *key) lineFor(j *Job) *line {
	if l := k.findLine(j); l != nil {
		return l
	}
	c := &campaign{name: j.Campaign}
	k.campaigns = append(k.campaigns, c)
	return &c.line
}

// findLine is lineFor, or nil where nothing waits there.
func (k *key) findLine(j *Job) *line {
	if j.Lane == queue.Interactive {
		return &k.interactive
	}
	if c := k.campaign(j.Campaign); c != nil {
		return &c.line
	}
	return nil
}

// campaign is one with waiting parcels; nil: there is none of this name.
func (k *key) campaign(name string) *campaign {
	for _, c := range k.campaigns {
		if c.name == name {
			return c
		}
	}
	return nil
}

// waiting reports whether any parcel is in line.
func (k *key) waiting() bool {
	return !k.interactive.empty() || len(k.campaigns) > 0
}

// lines are all lines with parcels: the interactive one first, then the campaigns in turn.
func (k *key) lines() []*line {
	all := make([]*line, 0, 1+len(k.campaigns))
	if !k.interactive.empty() {
		all = append(all, &k.interactive)
	}
	for _, c := range k.campaigns {
		all = append(all, &c.line)
	}
	return all
}

// turn ends the turn of the first campaign, and forgets campaigns with nothing in line.
func (k *key) turn(served *line) {
	kept := k.campaigns[:0]
	var last *campaign
	for _, c := range k.campaigns {
		switch {
		case c.line.empty():
		case &c.line == served:
			last = c
		default:
			kept = append(kept, c)
		}
	}
	if last != nil {
		kept = append(kept, last)
	}
	clear(k.campaigns[len(kept):])
	k.campaigns = kept
}

// hold is what keeps a key from sending.
type hold uint8

const (
	nothing  hold = iota // it may send now
	inFlight             // it waits for the answer to a call of its own, or for its record
	outage               // it waits for the answer to its title's probe
	until                // it waits for a time
)

// hold says what keeps the key from sending and, for until, when that ends.
func (k *key) hold(now time.Time) (hold, time.Time) {
	if len(k.log.windows) > 0 && k.recorded < k.composed {
		return inFlight, time.Time{} // a crash now must not make more than one call that nobody knows of
	}
	if k.log.inFlight >= k.atOnce || k.probing && k.log.inFlight > 0 {
		return inFlight, time.Time{}
	}
	if now.Before(k.blocked) {
		return until, k.blocked
	}
	if now.Before(k.noToken) {
		return until, k.noToken
	}
	if k.title.outage() {
		if k.title.probing {
			return outage, time.Time{}
		}
		if at := k.title.probeAt(k); now.Before(at) {
			return until, at
		}
	}
	windows := k.log.windows
	if k.probing { // the service has said when to call: what was learnt may not hold that up
		windows = k.limits.Windows
	}
	free, at := k.log.freeIn(now, windows, k.reserve(now))
	if free {
		_, at = k.inTurn(now)
	} else if at.IsZero() {
		return inFlight, time.Time{}
	}
	if at.IsZero() {
		return nothing, time.Time{}
	}
	return until, at
}

// reserveFor is how long after an interactive job a key's bulk calls leave the
// reserve free: players come in waves, and the first of a wave is not to wait.
const reserveFor = 15 * time.Minute

// reserve is the share of its windows that the key's next call must leave free.
func (k *key) reserve(now time.Time) float64 {
	if !k.interactive.empty() || k.lastInteractive.IsZero() || now.Sub(k.lastInteractive) >= reserveFor {
		return 0
	}
	return k.limits.Reserve
}

// idleAt is when nothing of the key needs to be remembered any more.
func (k *key) idleAt() time.Time {
	at := k.log.emptyAt()
	at = later(later(at, k.blocked), k.paceEnds())
	if learnt := k.lastLearnt(); !learnt.IsZero() {
		at = later(at, learnt.Add(learntFor))
	}
	if !k.hopelessAt.IsZero() && k.hopelessAt.Add(hopelessFor).After(at) {
		at = k.hopelessAt.Add(hopelessFor)
	}
	return at
}

// learntFor is how long an idle key remembers what was cut for it alone. What
// the service stated is its title's to remember.
const learntFor = time.Hour

// hopelessFor is how long a request that was refused as a whole is taken to be
// refused still, so that less is spent on finding it out again.
const hopelessFor = 5 * time.Minute

func (k *key) justRefused(now time.Time, why refusal) bool {
	return k.hopeless == why && !k.hopelessAt.IsZero() && now.Sub(k.hopelessAt) < hopelessFor
}

// block holds the key until then, and says by how much that is longer than
// before. A block is never shortened.
func (k *key) block(now, until time.Time) time.Duration {
	from := now
	if k.blocked.After(now) {
		from = k.blocked
	}
	if !until.After(from) {
		return 0
	}
	k.blocked = until
	return until.Sub(from)
}

func (k *key) wake(p *Planner, now time.Time) { p.refresh(now, k) }
