package plan

import (
	"cmp"
	"container/heap"
	"slices"
	"testing"
	"time"

	"github.com/cenkalti/backoff/v4"
	"github.com/stretchr/testify/require"

	"github.com/invitedhq/invited/queue"
	"github.com/invitedhq/invited/xbl"
)

// world runs a Planner against a service in simulated time: what a dispatcher
// does with goroutines and sockets, done with a list of things to come.
type world struct {
	t       testing.TB
	now     time.Time
	planner *Planner
	service *service
	todo    todo
	wake    time.Time

	stored map[Key]State // what the planner told of keys
	ended  map[*Job]int
	onCall func(*Call)
}

func newWorld(t testing.TB, cfg Config, s *service) *world {
	t.Helper()
	if cfg.MaxInFlight == 0 {
		cfg.MaxInFlight = 256
	}
	if cfg.MaxAttempts == 0 {
		cfg.MaxAttempts = 8
	}
	if cfg.Limits.MaxInFlight == 0 {
		cfg.Limits.MaxInFlight = 4
	}
	if cfg.Retry == nil {
		cfg.Retry = func() backoff.BackOff { return &backoff.ConstantBackOff{Interval: time.Second} }
	}
	cfg.Probe = func() backoff.BackOff { return &backoff.ConstantBackOff{Interval: 2 * time.Second} }
	w := &world{t: t, now: time.Unix(1_700_000_000, 0), planner: New(cfg), service: s, ended: make(map[*Job]int), stored: make(map[Key]State)}
	w.planner.Lease(w.now.AddDate(1, 0, 0))
	s.begin(w.now)
	return w
}

// at does something later.
func (w *world) at(t time.Time, do func()) {
	heap.Push(&w.todo, &event{at: t, do: do, n: w.todo.count()})
}

func (w *world) add(jobs ...*Job) {
	for _, j := range jobs {
		w.planner.Add(w.now, j)
	}
	w.step()
}

// step carries out what the planner wants done.
func (w *world) step() {
	step := w.planner.Next(w.now)
	w.wake = step.Wake
	for _, j := range step.Ended {
		w.ended[j]++
	}
	changed := w.planner.Changed(w.now)
	for _, s := range changed {
		w.stored[s.Key] = s
		w.planner.Recorded(w.now, s)
	}
	if len(step.Ended) > 0 || len(changed) > 0 {
		w.at(w.now, func() {}) // they are stored: a step may make calls in their places
	}
	for _, c := range step.Calls {
		if w.onCall != nil {
			w.onCall(c)
		}
		arrives, decide, back := w.service.call(w.now, c)
		require.Falsef(w.t, arrives.Before(w.now), "the service is called in the past")
		w.at(arrives, func() {
			err := decide()
			w.at(w.now.Add(back), func() { w.planner.Answer(w.now, c, w.service.answered(w.now, c, err)) })
		})
	}
}

// run goes on until nothing is left to do, or until the time is over.
func (w *world) run(d time.Duration) {
	end := w.now.Add(d)
	for {
		next := w.wake
		if e := w.todo.first(); e != nil && (next.IsZero() || e.at.Before(next)) {
			next = e.at
		}
		if next.IsZero() || next.After(end) {
			break
		}
		w.now = later(w.now, next)
		for e := w.todo.first(); e != nil && !e.at.After(w.now); e = w.todo.first() {
			heap.Pop(&w.todo).(*event).do()
		}
		w.step()
	}
	w.now = later(w.now, end)
}

// requireEndedOnce checks what holds for every job: it ends once, and its
// recipients add up.
func (w *world) requireEndedOnce(jobs ...*Job) {
	w.t.Helper()
	for _, j := range jobs {
		require.Equalf(w.t, 1, w.ended[j], "job %v of %v must end once", j.Ref, j.Key)
		total := j.Sent
		for _, d := range j.Dead {
			total += len(d.Recipients)
		}
		require.Equalf(w.t, len(j.Recipients), total, "job %v of %v: sent and dead must add up to its recipients", j.Ref, j.Key)
	}
}

// requireForgotten checks that an idle planner holds nothing.
func (w *world) requireForgotten() {
	w.t.Helper()
	require.Empty(w.t, w.planner.keys, "idle keys must be forgotten")
	require.Empty(w.t, w.planner.titles, "idle titles must be forgotten")
	require.Empty(w.t, w.planner.alarms, "no alarm may be left")
	require.Zero(w.t, w.planner.Jobs())
	require.Zero(w.t, w.planner.InFlight())
}

type event struct {
	at time.Time
	n  int // keeps what happens at one time in order
	do func()
}

type todo struct {
	events []*event
	n      int
}

func (h *todo) count() int { h.n++; return h.n }
func (h *todo) first() *event {
	if len(h.events) == 0 {
		return nil
	}
	return h.events[0]
}
func (h *todo) Len() int { return len(h.events) }
func (h *todo) Less(i, j int) bool {
	a, b := h.events[i], h.events[j]
	return cmp.Or(a.at.Compare(b.at), cmp.Compare(a.n, b.n)) < 0
}
func (h *todo) Swap(i, j int) { h.events[i], h.events[j] = h.events[j], h.events[i] }
func (h *todo) Push(x any)    { h.events = append(h.events, x.(*event)) }
func (h *todo) Pop() any {
	e := h.events[len(h.events)-1]
	h.events = h.events[:len(h.events)-1]
	return e
}

// service is the dumb oracle: it keeps every call it ever got and counts them
// anew for each one. Its fixed windows are aligned to the clock at an offset
// the planner can't know, or begin with the first call after the last ended.
type service struct {
	windows []Window
	offset  time.Duration // of clock-aligned windows; negative: windows begin with a call
	latency func() (out, back time.Duration)
	refuses map[queue.XUID]bool
	says    func(Window) xbl.Throttle // what a 429 says of the window that was hit; nil: nothing
	faulty  func(*Call) *xbl.Error    // nil, or what the call suffers instead; Written decides whether it counts

	started time.Time
	keys    map[Key]*serviceKey
	sent    map[queue.XUID]int
	calls   int
	refused int // 429
	inBlock int
}

type serviceKey struct {
	calls   []time.Time
	opened  []time.Time // of each window that begins with a call
	blocked time.Time   // as the caller knows it: from the answer on
}

func (s *service) begin(now time.Time) {
	s.started = now
	s.keys = make(map[Key]*serviceKey)
	s.sent = make(map[queue.XUID]int)
	if s.latency == nil {
		s.latency = func() (time.Duration, time.Duration) { return 10 * time.Millisecond, 10 * time.Millisecond }
	}
}

// call says when a call arrives, what is decided then (it is to be asked at that
// time: calls may overtake each other), and how long the answer takes back.
func (s *service) call(now time.Time, c *Call) (arrives time.Time, decide func() *xbl.Error, back time.Duration) {
	k := s.keys[c.Key]
	if k == nil {
		k = &serviceKey{opened: make([]time.Time, len(s.windows))}
		s.keys[c.Key] = k
	}
	if now.Before(k.blocked) {
		s.inBlock++
	}
	out, back := s.latency()
	arrives = now.Add(out)
	return arrives, func() *xbl.Error { return s.decide(arrives, k, c) }, back
}

// answered notes what a caller has been told now.
func (s *service) answered(now time.Time, c *Call, err *xbl.Error) *xbl.Error {
	if err != nil && err.Kind == xbl.Throttled {
		k := s.keys[c.Key]
		k.blocked = later(k.blocked, now.Add(err.RetryAfter))
	}
	return err
}

func (s *service) decide(at time.Time, k *serviceKey, c *Call) *xbl.Error {
	if s.faulty != nil {
		switch err := s.faulty(c); {
		case err == errCut: // its answer is lost
			s.answer(at, k, c)
			return err
		case err != nil:
			if err.Written {
				s.count(at, k)
			}
			return err
		}
	}
	return s.answer(at, k, c)
}

func (s *service) answer(at time.Time, k *serviceKey, c *Call) *xbl.Error {
	s.calls++
	if wait, hit := s.count(at, k); wait > 0 {
		s.refused++
		err := &xbl.Error{Kind: xbl.Throttled, Status: 429, Written: true, RetryAfter: (wait + time.Second - 1).Truncate(time.Second)}
		if s.says != nil {
			err.Throttle = s.says(hit)
		}
		return err
	}
	if slices.ContainsFunc(c.InvitedUsers, func(u queue.XUID) bool { return s.refuses[u] }) {
		return &xbl.Error{Kind: xbl.Rejected, Status: 400, Code: "RequestValidationError", Written: true}
	}
	for _, u := range c.InvitedUsers {
		s.sent[u]++
	}
	return nil
}

// count counts a call and says how long the key must wait, and for which
// window, if it was too many.
func (s *service) count(at time.Time, k *serviceKey) (wait time.Duration, hit Window) {
	k.calls = append(k.calls, at)
	for i, w := range s.windows {
		from := k.opened[i]
		if s.offset >= 0 {
			from = at.Add(-((at.Sub(s.started) + s.offset) % w.Per))
		} else if from.IsZero() || !at.Before(from.Add(w.Per)) {
			from = at
			k.opened[i] = at
		}
		n := 0
		for _, c := range k.calls {
			if !c.Before(from) && !c.After(at) {
				n++
			}
		}
		if left := from.Add(w.Per).Sub(at); n > w.Max && left > wait {
			wait, hit = left, w
		}
	}
	return wait, hit
}

// Ready-made parts of tests.

var nextXUID queue.XUID = 2_533_274_790_000_000

// someone is n recipients that nobody else has.
func someone(n int) []queue.XUID {
	users := make([]queue.XUID, n)
	for i := range users {
		nextXUID++
		users[i] = nextXUID
	}
	return users
}

func interactive(sender string, n int) *Job {
	return &Job{Key: Key{sender, 730}, Lane: queue.Interactive, Recipients: someone(n), Ref: "interactive"}
}

func bulk(sender, campaign string, n int) *Job {
	return &Job{Key: Key{sender, 730}, Lane: queue.Bulk, Campaign: campaign, Recipients: someone(n), Ref: campaign}
}

func jobs(n int, one func() *Job) []*Job {
	all := []*Job{}
	for range n {
		all = append(all, one())
	}
	return all
}

// published is the quota the service publishes for invites.
var published = []Window{{7, 15 * time.Second}, {50, 300 * time.Second}}
