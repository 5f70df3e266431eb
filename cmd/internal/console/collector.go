package console

import (
	"context"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/invitedhq/invited/dispatcher"
	"github.com/invitedhq/invited/dispatcher/plan"
	"github.com/invitedhq/invited/queue"
)

const (
	// lookEvery is how often all is looked at, and pages that are open are made anew.
	lookEvery = 2 * time.Second
	// boundFor is how long what waited for quota a moment ago still does: at its quota, a worker sends and waits in turns.
	boundFor = 10 * time.Second
	// restLeast is the least time between two looks.
	restLeast = 200 * time.Millisecond
	// restEvery is how often the queues are, for the curves, while nobody looks: three requests.
	restEvery = 5 * time.Second
	// keptFor is how far back curves go.
	keptFor = 15 * time.Minute
	// pointEvery is how far apart the points of a curve are.
	pointEvery = 5 * time.Second
	// cheapness is how much longer than a look at all keys of this worker took the next one is put off: with a million
	// senders a look takes a tenth of a second, in which no call is made.
	cheapness = 200
	// topKeys is how many senders are told of each sort.
	topKeys = 8
	// askLoop bounds what is waited for the dispatcher's loop.
	askLoop = time.Second
)

// sample is what was so at a moment: counters of all workers since this console began, and what waited then.
type sample struct {
	at      time.Time
	sent    uint64
	calls   map[string]uint64
	waiting [2]int           // jobs, by lane
	oldest  [2]time.Duration // by lane
	backlog bool             // the last two are known
}

// collector gathers what pages show, once for all of them, and keeps the last 15 minutes.
type collector struct {
	console *Console
	run     *running
	counter *queue.Reader
	began   time.Time

	mine      atomic.Pointer[ownWork] // what this worker's dispatcher said last; nil: nothing yet
	elsewhere atomic.Bool             // somebody watches at another worker

	mu      sync.Mutex
	samples []sample
	sum     sample                    // counters up to now
	seen    map[string]queue.Activity // what each worker had said
	bound   map[string]time.Time      // when each last waited for quota
	owned   map[int]time.Time         // when a worker last said that it owns a partition
	workers []queue.WorkerActivity
	backlog queue.Backlog
	// backlogAt is when that was read, by this worker's clock; zero: never.
	backlogAt  time.Time
	backlogErr error
}

// ownWork is what this worker's dispatcher said.
type ownWork struct {
	snapshot   dispatcher.Snapshot
	partitions []int
	closeup    plan.Closeup
}

func newCollector(c *Console, r *running, counter *queue.Reader) *collector {
	return &collector{
		console: c, run: r, counter: counter, began: time.Now(), seen: make(map[string]queue.Activity), owned: make(map[int]time.Time),
	}
}

// gather looks at all again and again, and has the pages that are open made anew, until ctx ends.
func (g *collector) gather(ctx context.Context) {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	var askAgain, queuesAgain time.Time
	for {
		watched := g.console.live.watched()
		if now := time.Now(); !now.Before(askAgain) {
			g.askOwn(ctx)
			askAgain = now.Add(cheapness * time.Since(now))
		}
		g.hear(time.Now())
		if now := time.Now(); watched || !now.Before(queuesAgain) {
			g.readBacklog(ctx)
			queuesAgain = now.Add(restEvery - lookEvery/2)
		}
		g.keep(time.Now())
		if watched {
			g.console.live.refresh(ctx)
		}
		if !g.rest(ctx, tick.C) {
			return
		}
	}
}

// rest waits for the next look, or until somebody opens a page, who should not have to; false: ctx has ended. It is never shorter
// than a moment: whoever opens pages as fast as that goes does not keep the worker busy.
func (g *collector) rest(ctx context.Context, next <-chan time.Time) bool {
	moment := time.NewTimer(restLeast)
	defer moment.Stop()
	select {
	case <-moment.C:
	case <-ctx.Done():
		return false
	}
	select {
	case <-next:
	case <-g.console.live.opened:
	case <-ctx.Done():
		return false
	}
	return true
}

// askOwn asks this worker's loop.
func (g *collector) askOwn(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, askLoop)
	defer cancel()
	d := g.run.Dispatcher
	snapshot, err := d.Snapshot(ctx)
	if err != nil {
		return // it is older next time, and a health check says why
	}
	own := &ownWork{snapshot: snapshot}
	if own.partitions, err = d.Owned(ctx); err != nil {
		return
	}
	slices.Sort(own.partitions)
	if own.closeup, err = d.Closeup(ctx, topKeys); err != nil {
		return
	}
	g.mine.Store(own)
}

// activity is what this worker tells the others. It is on the way to a renewal of its lease: it waits for nobody.
func (g *collector) activity() queue.Activity {
	a := queue.Activity{Watching: g.console.live.watched()}
	g.console.counts.activity(&a)
	own := g.mine.Load()
	if own == nil {
		return a
	}
	a.InHand, a.InFlight, a.QuotaBound, a.Partitions = own.snapshot.Jobs, own.snapshot.InFlight, own.snapshot.QuotaBound, own.partitions
	a.Keys = keysOf(own.closeup, a.Watching || g.elsewhere.Load(), time.Now())
	return a
}

// keysOf is what is told of senders. Who waits for a token, or for a title that is away, is told whoever watches: it keeps invites
// from being sent.
func keysOf(c plan.Closeup, watched bool, now time.Time) *queue.KeysActivity {
	keys := func(all []plan.Standing) (told []queue.KeyActivity) {
		for _, s := range all {
			k := queue.KeyActivity{TitleID: s.TitleID, Sender: s.Sender, Waiting: s.Waiting, Refused: s.Refused}
			if s.Until.After(now) {
				k.Opens = s.Until.Sub(now).Milliseconds()
			}
			if !s.Since.IsZero() {
				k.For = max(now.Sub(s.Since).Milliseconds(), 1)
			}
			for _, u := range s.Windows {
				k.Windows = append(k.Windows, queue.WindowUsage{Used: u.Used, Max: u.Max, Per: u.Per.Milliseconds()})
			}
			told = append(told, k)
		}
		return told
	}
	told := &queue.KeysActivity{
		Watched: watched, Blocked: c.BlockedAll, Tokenless: c.TokenlessAll, TokenTop: keys(c.Tokenless), Outages: keys(c.Outages),
	}
	if watched {
		told.BlockedTop, told.Quota = keys(c.Blocked), keys(c.Busiest)
	}
	return told
}

// hear adds what all workers have done since it was last looked at. What one did that began before this console counts
// from then on; of what one does in the second before it leaves, nothing is heard.
func (g *collector) hear(now time.Time) {
	g.add(now, g.run.Queue.Activities()...)
}

func (g *collector) add(now time.Time, all ...queue.WorkerActivity) {
	g.mu.Lock()
	defer g.mu.Unlock()
	bound := make(map[string]time.Time, len(all))
	for i, w := range all {
		if bound[w.Name] = g.bound[w.Name]; w.QuotaBound {
			bound[w.Name] = now
		}
		all[i].QuotaBound = !bound[w.Name].IsZero() && now.Sub(bound[w.Name]) < boundFor
	}
	g.workers, g.bound = all, bound
	seen, elsewhere := make(map[string]queue.Activity, len(all)), false
	for _, w := range all {
		for _, n := range w.Partitions {
			g.owned[n] = now
		}
		before, known := g.seen[w.Name]
		if known || w.Self || w.Up > 0 && w.Up < now.Sub(g.began) {
			g.sum.add(w.Activity, before)
		}
		seen[w.Name] = w.Activity
		elsewhere = elsewhere || w.Watching && !w.Self
	}
	g.seen = seen
	g.elsewhere.Store(elsewhere)
}

// add adds what was done between two words of a worker.
func (s *sample) add(now, before queue.Activity) {
	s.sent += since(now.Sent, before.Sent)
	for kind, n := range now.Calls {
		if s.calls == nil {
			s.calls = make(map[string]uint64)
		}
		s.calls[kind] += since(n, before.Calls[kind])
	}
}

// since is never below 0: a worker that says less than before is not believed.
func since(now, before uint64) uint64 { return max(now, before) - before }

// readBacklog asks the streams how much is in them.
func (g *collector) readBacklog(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, pageTime)
	defer cancel()
	b, err := g.counter.Backlog(ctx)
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.backlogErr = err; err == nil {
		g.backlog, g.backlogAt = b, time.Now()
	}
}

// keep adds a sample, or moves the last one to now where it is near the one before it.
func (g *collector) keep(now time.Time) {
	g.mu.Lock()
	defer g.mu.Unlock()
	s := sample{at: now, sent: g.sum.sent, calls: maps.Clone(g.sum.calls)}
	if now.Sub(g.backlogAt) < 2*restEvery && g.backlogErr == nil {
		s.backlog = true
		for i, l := range g.backlog.Lanes {
			s.waiting[i] = l.Jobs
			if !l.Oldest.IsZero() {
				s.oldest[i] = max(g.backlog.At.Sub(l.Oldest), 0)
			}
		}
	}
	if n := len(g.samples); n >= 2 && g.samples[n-1].at.Sub(g.samples[n-2].at) < pointEvery {
		g.samples[n-1] = s
	} else {
		g.samples = append(g.samples, s)
	}
	old := 0
	for old < len(g.samples)-2 && now.Sub(g.samples[old+1].at) > keptFor {
		old++
	}
	g.samples = slices.Delete(g.samples, 0, old)
}

// view is what was gathered, for one page.
type view struct {
	now        time.Time
	began      time.Time
	samples    []sample
	workers    []queue.WorkerActivity
	owned      map[int]time.Time
	backlog    queue.Backlog
	backlogAt  time.Time
	backlogErr error
}

func (g *collector) view() view {
	mine := g.activity()
	g.mu.Lock()
	defer g.mu.Unlock()
	v := view{
		time.Now(), g.began, slices.Clone(g.samples), slices.Clone(g.workers), maps.Clone(g.owned), g.backlog, g.backlogAt, g.backlogErr,
	}
	for i := range v.workers {
		if w := &v.workers[i]; w.Self { // newer than what the others have heard
			mine.QuotaBound = mine.QuotaBound || w.QuotaBound
			w.Activity, w.Heard = mine, v.now
		}
	}
	return v
}

// ratesOver is what a rate of now is the average of.
const ratesOver = 10 * time.Second

// rates are of now: recipients and calls a second.
func (v view) rates() (sent, calls float64) {
	if len(v.samples) < 2 {
		return 0, 0
	}
	last := v.samples[len(v.samples)-1]
	from := v.samples[0]
	for _, s := range v.samples[:len(v.samples)-1] {
		if from = s; last.at.Sub(s.at) <= ratesOver {
			break
		}
	}
	over := last.at.Sub(from.at).Seconds()
	if over <= 0 {
		return 0, 0
	}
	for kind, n := range last.calls {
		calls += float64(since(n, from.calls[kind])) / over
	}
	return float64(since(last.sent, from.sent)) / over, calls
}
