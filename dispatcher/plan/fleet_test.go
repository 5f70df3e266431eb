package plan

import (
	"container/heap"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/invitedhq/invited/queue"
	"github.com/invitedhq/invited/xbl"
)

// fleet is many planners, the workers, that share one service in one simulated
// time: world's oracle, and around the planners what the queue does. Partitions
// belong to workers by the real rendezvous hashing; each is a window of jobs that
// its owner holds; workers crash and join; what is known of keys is stored and
// read as INVITE_KEYS is.
type fleet struct {
	t       *testing.T
	cfg     Config
	now     time.Time
	began   time.Time
	todo    todo
	chance  *rand.Rand
	service *service
	parts   []*part
	workers map[string]*worker
	names   []string // of the live workers
	named   int
	left    int // jobs that have not ended

	figures
}

// figures are what a run is made for.
type figures struct {
	calls, recipients, jobs int
	crashes, moved          int
	inFlightLost            int // calls in flight, or not recorded, when their worker crashed
	twice                   int // recipients sent more than once
	untold, missed, dead    int // of them those of whom no result says so; recipients of ended jobs who got nothing, or died
	took                    time.Duration
}

// worker is one planner, and what the dispatcher around it holds.
type worker struct {
	name    string
	planner *Planner
	held    map[*part]map[*Job]bool
	storing int
	wake    time.Time
	dead    bool
}

// part is a partition with the consumers of its keys' jobs.
type part struct {
	n        int
	holder   *worker // whose jobs in hand are; nil: it waits to be claimed
	leaving  bool    // holder gives it away
	backlogs []*backlog
	known    map[Key]State
}

// backlog is one consumer: what it delivers, in order, and no more than window at once.
type backlog struct {
	part   *part
	window int
	inHand int
	again  []*task
	next   func() *task // nil at the end
}

// task is a job as it is in the queue, whoever holds it.
type task struct {
	from       *backlog
	key        Key
	lane       queue.Lane
	campaign   string
	recipients []queue.XUID
	expires    time.Time
	maybeSent  bool
}

// How long things take. A crash is noticed 3 s after the last renewal was
// stored, which was up to a second before the crash; owners look every 250 ms.
const (
	saveTakes  = 2 * time.Millisecond
	storeTakes = 3 * time.Millisecond
	missedFrom = 2 * time.Second
	missedTo   = 3500 * time.Millisecond
)

func newFleet(t *testing.T, workers, partitions int) *fleet {
	t.Helper()
	f := &fleet{
		t: t, now: time.Unix(1_700_000_000, 0), chance: rand.New(rand.NewPCG(1, uint64(workers))),
		cfg:     Config{Limits: Limits{Windows: published, Reserve: 0.1}},
		workers: make(map[string]*worker),
		service: &service{windows: published, offset: -1},
	}
	f.began = f.now
	latency := func() time.Duration {
		return 20*time.Millisecond + time.Duration(f.chance.Int64N(int64(60*time.Millisecond)))
	}
	f.service.latency = func() (time.Duration, time.Duration) { return latency(), latency() }
	f.service.begin(f.now)
	for n := range partitions {
		f.parts = append(f.parts, &part{n: n, known: make(map[Key]State)})
	}
	for range workers {
		f.hire()
	}
	return f
}

func (f *fleet) at(d time.Duration, do func()) {
	heap.Push(&f.todo, &event{at: f.now.Add(d), do: do, n: f.todo.count()})
}

func (f *fleet) hire() *worker {
	f.named++
	w := &worker{
		name:    fmt.Sprintf("invited-%d-%08x", f.named, f.chance.Uint32()),
		planner: newWorld(f.t, f.cfg, &service{}).planner,
		held:    make(map[*part]map[*Job]bool),
	}
	f.workers[w.name] = w
	f.names = append(f.names, w.name)
	return w
}

// run begins with every partition owned, and ends when every job has ended. Each
// time that every is over one worker crashes and one joins; zero: never.
func (f *fleet) run(every time.Duration) {
	for _, p := range f.parts {
		f.claim(p)
	}
	var change func()
	change = func() {
		f.crash(f.workers[f.names[f.chance.IntN(len(f.names))]])
		f.join()
		f.at(every, change)
	}
	if every > 0 {
		f.at(every/2, change)
	}
	for f.left > 0 {
		e := f.todo.first()
		if e == nil {
			break // requireKept fails
		}
		heap.Pop(&f.todo)
		f.now = later(f.now, e.at)
		e.do()
	}
	f.took = f.now.Sub(f.began)
}

// step carries out what a worker's planner wants done.
func (f *fleet) step(w *worker) {
	w.planner.Unstored(w.storing)
	step := w.planner.Next(f.now)
	for _, s := range w.planner.Changed(f.now) {
		f.at(saveTakes, func() {
			if !w.dead {
				f.parts[s.Partition].known[s.Key] = s
				w.planner.Recorded(f.now, s)
				f.step(w)
			}
		})
	}
	for _, c := range step.Calls {
		f.call(w, c)
	}
	for _, j := range step.Ended {
		w.storing++
		f.at(storeTakes, func() { f.stored(w, j) })
	}
	for _, j := range step.Dropped {
		f.giveBack(w, j)
	}
	if step.Wake.IsZero() || step.Wake.Equal(w.wake) {
		return
	}
	w.wake = step.Wake
	f.at(step.Wake.Sub(f.now), func() {
		if !w.dead && w.wake.Equal(step.Wake) {
			w.wake = time.Time{}
			f.step(w)
		}
	})
}

func (f *fleet) call(w *worker, c *Call) {
	f.calls++
	f.recipients += len(c.InvitedUsers)
	arrives, decide, back := f.service.call(f.now, c)
	if k := f.service.keys[c.Key]; len(k.calls) >= 200 { // no window has more
		k.calls = append(k.calls[:0], k.calls[100:]...)
	}
	f.at(arrives.Sub(f.now), func() {
		err := decide()
		f.at(back, func() {
			if err = f.service.answered(f.now, c, err); !w.dead {
				w.planner.Answer(f.now, c, err)
				f.step(w)
			}
		})
	})
}

// stored is the end of a job: its result is stored and it is acknowledged.
func (f *fleet) stored(w *worker, j *Job) {
	if w.dead {
		return
	}
	w.storing--
	task := j.Ref.(*task)
	f.dead += len(j.Dead)
	for _, u := range j.Recipients {
		switch n := f.service.sent[u]; {
		case n == 0:
			f.missed++
		case n > 1:
			f.twice += n - 1
			if !j.MaybeDuplicate {
				f.untold++
			}
		}
		delete(f.service.sent, u)
	}
	f.left--
	f.letGo(w, j)
	task.from.inHand--
	f.feed(task.from)
	f.step(w)
}

// letGo takes a job out of the worker's hands, and hands over the partition if
// that was the last one.
func (f *fleet) letGo(w *worker, j *Job) {
	p := j.Ref.(*task).from.part
	delete(w.held[p], j)
	if p.leaving && len(w.held[p]) == 0 {
		for _, s := range w.planner.Forget(f.now, p.n) {
			p.known[s.Key] = s
		}
		p.leaving = false
		f.claim(p)
	}
}

func (f *fleet) giveBack(w *worker, j *Job) {
	task := j.Ref.(*task)
	task.from.again = append(task.from.again, task)
	task.from.inHand--
	f.letGo(w, j)
}

// claim makes a partition the one's who should own it.
func (f *fleet) claim(p *part) {
	w := f.workers[queue.Preferred(p.n, f.names)]
	p.holder = w
	w.held[p] = make(map[*Job]bool)
	for id, s := range p.known {
		if s.Until.After(f.now) {
			w.planner.Remember(f.now, s)
		} else {
			delete(p.known, id)
		}
	}
	for _, b := range p.backlogs {
		f.feed(b)
	}
	f.step(w)
}

// feed delivers what the window has room for.
func (f *fleet) feed(b *backlog) {
	w := b.part.holder
	if w == nil || b.part.leaving {
		return
	}
	for b.inHand < b.window {
		var t *task
		if len(b.again) > 0 {
			t, b.again = b.again[0], b.again[1:]
		} else if t = b.next(); t == nil {
			return
		}
		b.inHand++
		f.jobs++
		j := &Job{
			Key: t.key, Partition: b.part.n, Lane: t.lane, Campaign: t.campaign, Recipients: t.recipients,
			ExpiresAt: t.expires, MaybeDuplicate: t.maybeSent, Ref: t,
		}
		w.held[b.part][j] = true
		w.planner.Add(f.now, j)
	}
}

// join adds a worker, which gets its partitions from their owners in order.
func (f *fleet) join() {
	w := f.hire()
	for _, p := range f.parts {
		from := p.holder
		if from == nil || p.leaving || queue.Preferred(p.n, []string{from.name, w.name}) != w.name {
			continue
		}
		f.moved++
		p.leaving = true
		held := make([]*Job, 0, len(from.held[p]))
		for j := range from.held[p] {
			held = append(held, j)
		}
		slices.SortFunc(held, func(a, b *Job) int { return int(a.Recipients[0]) - int(b.Recipients[0]) })
		if len(held) == 0 {
			p.leaving = false
			f.claim(p)
		}
		for _, j := range held {
			if j.open > 0 && from.planner.Drop(f.now, j) {
				f.giveBack(from, j)
			}
		}
		f.step(from)
	}
}

// crash ends a worker without a word. Others miss it after a while.
func (f *fleet) crash(w *worker) {
	w.dead = true
	f.crashes++
	f.inFlightLost += w.planner.InFlight() + w.storing
	w.planner = nil // what is to come of it still knows the worker
	delete(f.workers, w.name)
	f.names = slices.DeleteFunc(f.names, func(n string) bool { return n == w.name })
	missed := missedFrom + time.Duration(f.chance.Int64N(int64(missedTo-missedFrom)))
	for _, p := range f.parts {
		if p.holder != w {
			continue
		}
		f.moved++
		p.holder, p.leaving = nil, false
		var lost []*task
		for j := range w.held[p] {
			lost = append(lost, j.Ref.(*task))
		}
		slices.SortFunc(lost, func(a, b *task) int { return int(a.recipients[0]) - int(b.recipients[0]) })
		for _, t := range lost {
			t.maybeSent = true
			t.from.inHand--
			t.from.again = append(t.from.again, t)
		}
		f.at(missed, func() { f.claim(p) })
	}
}

// campaign queues one campaign of a key, in jobs of full calls, as invitectl uploads it.
func (f *fleet) campaign(key Key, recipients int) {
	p := f.parts[queue.PartitionOf(queue.Address{TitleID: key.TitleID, Sender: key.Sender}, len(f.parts))]
	b := &backlog{part: p, window: 256}
	b.next = func() *task {
		n := min(recipients, xbl.MaxInvitedUsers)
		if n == 0 {
			return nil
		}
		recipients -= n
		return &task{from: b, key: key, lane: queue.Bulk, campaign: "cup", recipients: someone(n)}
	}
	f.left += (recipients + xbl.MaxInvitedUsers - 1) / xbl.MaxInvitedUsers
	p.backlogs = append(p.backlogs, b)
}

// players queues one interactive job for each of many senders.
func (f *fleet) players(senders, recipients int) {
	name := func(i int) string { return fmt.Sprint("player-", i) }
	waiting := make([][]int, len(f.parts))
	for i := range senders {
		n := queue.PartitionOf(queue.Address{TitleID: 730, Sender: name(i)}, len(f.parts))
		waiting[n] = append(waiting[n], i)
	}
	for n, p := range f.parts {
		b := &backlog{part: p, window: 4096}
		b.next = func() *task {
			if len(waiting[n]) == 0 {
				return nil
			}
			i := waiting[n][0]
			waiting[n] = waiting[n][1:]
			return &task{
				from: b, key: Key{name(i), 730}, lane: queue.Interactive, recipients: someone(recipients),
				expires: f.began.Add(5 * time.Minute),
			}
		}
		p.backlogs = append(p.backlogs, b)
	}
	f.left += senders
}

// requireKept checks what a fleet promises, whatever crashed.
func (f *fleet) requireKept() {
	f.t.Helper()
	assert.Zero(f.t, f.left, "every job ends")
	assert.Zero(f.t, f.missed, "everybody got an invite")
	assert.Zero(f.t, f.dead, "and nobody died")
	assert.Empty(f.t, f.service.sent, "nobody was sent to who is in no job")
	assert.Zero(f.t, f.untold, "of who got two the result says so")
	assert.LessOrEqual(f.t, f.twice, f.inFlightLost*xbl.MaxInvitedUsers, "sent twice: what was in a call, or not recorded, at a crash")
	assert.Zero(f.t, f.service.inBlock, "no call inside a Retry-After")
}
