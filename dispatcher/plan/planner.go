package plan

import (
	"slices"
	"time"

	"github.com/invitedhq/invited/queue"
	"github.com/invitedhq/invited/xbl"
)

// Planner holds every job that was delivered to this worker and has not ended.
type Planner struct {
	cfg      Config
	keys     map[Key]*key
	titles   map[uint32]*title
	ready    list[key] // those that may send, in turn
	alarms   alarms
	inFlight int
	made     uint64 // calls
	jobs     int
	lease    time.Time
	unstored int
	changed  map[*key]struct{} // since Changed was last asked
	untold   map[Key]untold    // of keys that were lost
	waits    map[Key]bool      // since Waits was last asked

	step Step // what is to be told next
	told Step // what was told last: its room is used again
}

// Step is what a planner wants done. Its lists are the caller's until it calls Next again.
type Step struct {
	Calls      []*Call   // to be made now; each must come back by Answer
	Ended      []*Job    // nothing of them is open any more: store how they ended
	Progressed []*Job    // something of them ended, something is open: store what ended
	Dropped    []*Job    // dropped while in a call, which is answered; something is open. Forgotten
	Wake       time.Time // when to call Next again if nothing happens before; zero: never

	calls int // that Ended were in last
}

// Call is one call to be made. It is the caller's to read until it is answered.
type Call struct {
	Key              Key
	Lane             queue.Lane // of all its jobs
	ConnectionString string
	Platform         string
	InvitedUsers     []queue.XUID
	Attempt          int // 1 where nobody of it was in a call before, else one more than the calls of who was in most

	parcels []*parcel
	number  uint64 // among all of the planner's
	jobs    []*Job
	Started time.Time
	probe   bool // of its title's outage

	// room is for what a full call of one job needs, so that it needs nothing else.
	room struct {
		users   [xbl.MaxInvitedUsers]queue.XUID
		parcels [1]*parcel
		jobs    [1]*Job
	}
}

func newCall(now time.Time, id Key, first *parcel) *Call {
	j := first.job()
	c := &Call{Key: id, Lane: j.Lane, ConnectionString: j.ConnectionString, Platform: j.Platform, Started: now}
	c.InvitedUsers, c.parcels, c.jobs = c.room.users[:0], append(c.room.parcels[:0], first), c.room.jobs[:0]
	return c
}

// Jobs are the jobs with recipients in the call. The list is the call's own.
func (c *Call) Jobs() []*Job { return c.jobs }

// add puts a span's recipients in the call.
func (c *Call) add(s span) {
	c.InvitedUsers = append(c.InvitedUsers, s.recipients()...)
	if n := len(c.jobs); n == 0 || c.jobs[n-1] != s.job {
		c.jobs = append(c.jobs, s.job)
		s.job.inCall++
	}
}

// New returns a planner without jobs.
func New(cfg Config) *Planner {
	return &Planner{cfg: cfg, keys: make(map[Key]*key), titles: make(map[uint32]*title), changed: make(map[*key]struct{}),
		untold: make(map[Key]untold), waits: make(map[Key]bool)}
}

// Add parks a job. What had ended of it before (Ended, Sent, Dead, Attempts) is taken over.
func (p *Planner) Add(now time.Time, j *Job) {
	p.jobs++
	j.open, j.parcels = len(j.Recipients), j.room.parcels[:0]
	for _, ended := range j.Ended {
		if ended {
			j.open--
		}
	}
	if j.open == 0 {
		p.ended(j)
		return
	}
	k := p.key(j.Key, j.Partition)
	if j.Lane == queue.Interactive {
		k.lastInteractive = now
	}
	if j.MaybeSent {
		k.suspect(now)
	}
	k.setPace(j)
	if !j.ExpiresAt.IsZero() {
		p.setExpiry(now, j)
	}
	p.supply(now, k, j)
	p.refresh(now, k)
}

// supply puts the job's next parcel in line, or ends what can't be sent in time.
func (p *Planner) supply(now time.Time, k *key, j *Job) {
	for w := j.cut(); w != nil; w = j.cut() {
		why := k.tooLate(now, w)
		if why == "" {
			if p.park(now, w, back); w.line != nil {
				return
			}
			continue // it has expired already
		}
		p.bury(now, w, queue.Dead{Reason: queue.Expired, Detail: why})
	}
}

// Next says what to do now. Call it after every Add and Answer, when endings are
// stored, and at Wake.
func (p *Planner) Next(now time.Time) Step {
	for a := p.alarms.due(now); a != nil; a = p.alarms.due(now) {
		a.of.wake(p, now)
	}
	for now.Before(p.lease) && p.inFlight+p.unstored+p.step.calls < p.cfg.MaxInFlight && p.ready.len > 0 {
		k := p.ready.first.of
		p.ready.take(&k.inReady)
		k.ready = false
		if held, _ := k.hold(now); held == nothing && k.waiting() {
			p.step.Calls = append(p.step.Calls, p.compose(now, k))
		}
		p.refresh(now, k)
	}
	step := p.step
	step.Wake = p.alarms.next()
	step.Progressed = slices.DeleteFunc(step.Progressed, func(j *Job) bool {
		j.progress = false
		return j.open == 0
	})
	p.step, p.told = p.told.emptied(), step
	return step
}

// emptied is a step with nothing in it, and with the room of this one.
func (s Step) emptied() Step {
	clear(s.Calls)
	clear(s.Ended)
	clear(s.Progressed)
	clear(s.Dropped)
	return Step{Calls: s.Calls[:0], Ended: s.Ended[:0], Progressed: s.Progressed[:0], Dropped: s.Dropped[:0]}
}

// Lease says until when calls may be made. Without one, as at the beginning,
// none are; jobs expire all the same.
func (p *Planner) Lease(until time.Time) { p.lease = until }

// Unstored says of how many calls that were answered something is not stored yet: an ending, or progress. They take places of
// calls in flight: what a crash makes happen twice is what was sent and not recorded.
func (p *Planner) Unstored(n int) { p.unstored = n }

// InFlight is how many calls have not been answered.
func (p *Planner) InFlight() int { return p.inFlight }

// Jobs is how many jobs were added and have not ended.
func (p *Planner) Jobs() int { return p.jobs }

func (p *Planner) key(id Key, partition int) *key {
	if k := p.keys[id]; k != nil {
		return k
	}
	t := p.titles[id.TitleID]
	if t == nil {
		t = &title{id: id.TitleID, keys: make(map[*key]struct{})}
		p.titles[id.TitleID] = t
	}
	limits := p.cfg.limits(id.TitleID)
	k := &key{
		id: id, partition: partition, title: t, limits: limits, atOnce: limits.MaxInFlight,
		log: callLog{windows: limits.Windows, unknown: len(limits.Windows) == 0},
	}
	t.tell(k)
	p.recall(k)
	p.keys[id], t.keys[k] = k, struct{}{}
	return k
}

// forget drops an idle key, and its title with the last of its keys. The key may
// still be in the list of those that may send, and come up there when another
// one has its name: so it only takes away itself.
func (p *Planner) forget(k *key) {
	p.alarms.clear(&k.alarm)
	p.wait(k, false)
	delete(p.changed, k) // else it could be told after what its successor under the same name has to tell
	if p.keys[k.id] == k {
		delete(p.keys, k.id)
	}
	delete(k.title.keys, k)
	if len(k.title.keys) == 0 && p.titles[k.title.id] == k.title && (len(k.title.stated) == 0 || len(p.titles) > maxTitles) {
		delete(p.titles, k.title.id)
	}
}

// refresh puts a key where it belongs after anything happened to it: among
// those that may send, or under the alarm of when it may.
func (p *Planner) refresh(now time.Time, k *key) {
	if k.ready {
		return // it is looked at again when its turn comes
	}
	p.alarms.clear(&k.alarm)
	if !k.waiting() {
		p.wait(k, false)
		p.rest(now, k)
		return
	}
	switch held, at := k.hold(now); held {
	case nothing:
		p.wait(k, false)
		k.ready = true
		p.ready.put(&k.inReady, k, back)
	case until:
		p.wait(k, at.Sub(now) >= longWait)
		p.alarms.set(&k.alarm, at, k)
	case outage, inFlight: // Answer refreshes it
	}
}

// longWait is how long a key waits for a time before its worker is not to take in more of it where others would have to wait.
const longWait = 50 * time.Millisecond

func (p *Planner) wait(k *key, long bool) {
	if k.waits != long {
		k.waits = long
		p.waits[k.id] = long
	}
}

// Waits tells of each key that has begun to wait, or does not any more, since it was last asked: for its quota, the end of a block, a
// token, a rate or an outage. It is a hint: a key whose calls take long, or that is forgotten, does not wait.
func (p *Planner) Waits(tell func(k Key, waits bool)) {
	for id, waits := range p.waits {
		tell(id, waits)
	}
	clear(p.waits)
}

// rest lets go of a key with nothing to send, once nothing of it matters any more.
func (p *Planner) rest(now time.Time, k *key) {
	if k.log.inFlight > 0 || k.backingOff > 0 {
		return
	}
	k.dropPaces(now)
	if idle := k.idleAt(); idle.After(now) {
		p.alarms.set(&k.alarm, idle, k)
		return
	}
	p.forget(k)
}

// park puts a parcel in line; what has expired of it ends here instead, and
// what is dropped is left out.
func (p *Planner) park(now time.Time, w *parcel, at place) {
	k := p.keys[w.job().Key]
	if !w.prune(now, p.die) {
		if w.narrowing != nil {
			p.narrow(now, k, w.narrowing)
		}
		return
	}
	k.lineFor(w.job()).put(w, at)
	w.join()
}

// unpark takes a parcel out of its line, or out of its backoff.
func (p *Planner) unpark(w *parcel) {
	k := p.keys[w.job().Key]
	if w.line != nil {
		w.line.take(w)
		k.turn(nil)
	} else {
		p.alarms.clear(&w.trouble.alarm)
		k.backingOff--
	}
	w.leave()
}

// Stop ends the making of calls: from now on Next only says what ended.
func (p *Planner) Stop() { p.cfg.MaxInFlight = 0 }

// compose makes the key's next call: the parcel whose turn it is, and those
// that may travel with it. Only whole parcels, and nothing waits to fill a call.
func (p *Planner) compose(now time.Time, k *key) *Call {
	served, _ := k.inTurn(now)
	w := served.first()
	c := newCall(now, k.id, w)
	room := xbl.MaxInvitedUsers - w.n
	served.take(w)
	if !w.alone(p.cfg.MaxAttempts) {
		// From this line only: when a call is refused, what travelled together
		// is asked again together, and a campaign must not hold up a player.
		c.parcels = served.fitting(c.parcels, w.share(), room, p.cfg.MaxAttempts)
		for _, mate := range c.parcels[1:] {
			served.take(mate)
			room -= mate.n
		}
	}
	for _, w := range c.parcels {
		w.calls++
		c.Attempt = max(c.Attempt, w.calls)
		if w.fresh {
			w.fresh = false
			p.supply(now, k, w.job())
		}
	}
	k.paced(now, served, xbl.MaxInvitedUsers-room)
	k.turn(served)
	for _, w := range c.parcels {
		for _, s := range w.spans {
			c.add(s)
		}
		w.leave()
	}
	if k.title.outage() {
		k.title.probing, k.title.prober, c.probe = true, k, true
	}
	k.log.start()
	k.composed++
	p.made++
	c.number = p.made
	p.note(k)
	p.inFlight++
	return c
}

// die ends recipients as dead.
func (p *Planner) die(s span, why queue.Dead) {
	s.die(why)
	p.progressed(s.job)
}

// progressed notes that something of a job ended.
func (p *Planner) progressed(j *Job) {
	if j.open == 0 {
		p.ended(j)
		return
	}
	if !j.progress {
		j.progress = true
		p.step.Progressed = append(p.step.Progressed, j)
	}
}

func (p *Planner) ended(j *Job) {
	p.jobs--
	p.alarms.clear(&j.alarm)
	if j.Call != 0 && (len(p.step.Ended) == 0 || p.step.Ended[len(p.step.Ended)-1].Call != j.Call) {
		p.step.calls++
	}
	p.step.Ended = append(p.step.Ended, j)
}
