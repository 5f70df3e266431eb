package dispatcher_test

import (
	"encoding/json"
	"flag"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/invitedhq/invited/queue"
	"github.com/invitedhq/invited/queue/embedded/embeddedtest"
	"github.com/invitedhq/invited/xbl/xblsim"
)

// The whole system in fake time: JetStream, several workers and the service,
// under a schedule of arrivals, faults, cuts, crashes, joins and stops that is
// drawn from a seed. Whatever happens, at the end every recipient was sent or is
// a dead letter for a reason that was given, nobody was sent twice without being
// told of, no call came inside a Retry-After, and nothing is left anywhere.
//
//	go test ./dispatcher -run TestAnyScheduleKeepsThePromises -seeds 10000 -timeout 0
//	go test ./dispatcher -run TestAnyScheduleKeepsThePromises -seed 42 -v    # the one that failed, with the workers' logs

var (
	seeds = flag.Int("seeds", 12, "schedules to try")
	seed  = flag.Uint64("seed", 0, "try this one only; 0: all")
)

// failedOnce are seeds that have failed, each with what it found.
var failedOnce = []uint64{}

func TestAnyScheduleKeepsThePromises(t *testing.T) {
	all := append([]uint64(nil), failedOnce...)
	for i := range *seeds {
		all = append(all, uint64(i)+1)
	}
	if *seed != 0 {
		all = []uint64{*seed}
	}
	for _, seed := range all {
		if !t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) { simulate(t, seed) }) {
			t.Fatalf("run it again with -seed %d", seed)
		}
	}
}

// simulation is one schedule going on.
type simulation struct {
	*system
	rand    *rand.Rand
	workers []*worker
	jobs    map[string]simulated
	refused map[queue.XUID]bool

	calm  bool // nothing happens that a call's outcome could be lost by
	exact bool // what the service counts is what the workers count: no call may be refused
	late  bool // what a worker wrote may have arrived after the next owner's
	blind bool // a worker may have taken a Retry-After with it that nobody else heard of
}

type simulated struct {
	queue.Job
	expires bool
}

func simulate(t *testing.T, seed uint64) {
	t.Helper()
	r := rand.New(rand.NewPCG(seed, 0))
	o := xblsim.Options{
		Seed: seed, Latency: time.Duration(1+r.IntN(300)) * time.Millisecond,
		Quota: []xblsim.Window{{Max: 3 + r.IntN(8), Per: 5 * time.Second}, {Max: 20 + r.IntN(40), Per: 30 * time.Second}},
		// Several calls at once: one may be on its way while another's refusal is.
		InFlightGrace: time.Second,
	}
	inFakeTime(t, o, func(t *testing.T, sys *system) {
		s := &simulation{
			system: sys, rand: r, jobs: make(map[string]simulated), refused: make(map[queue.XUID]bool),
			calm: r.IntN(4) == 0, exact: true,
		}
		for _, w := range o.Quota {
			s.cfg.Plan.Limits.Windows = append(s.cfg.Plan.Limits.Windows, planWindow(w))
		}
		if testing.Verbose() {
			s.cfg.Logger = slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelDebug}))
		}
		s.cfg.Plan.Limits.MaxInFlight = 1 + r.IntN(4)
		s.cfg.Plan.Limits.Reserve = 0.1
		s.cfg.Plan.MaxAttempts = 1000 // a fault's doing is nobody's failure here
		s.cfg.InteractiveTTL = 24 * time.Hour
		s.workers = append(s.workers, s.joinWired())
		for range 40 + r.IntN(60) {
			s.event()
			pass(time.Duration(r.Int64N(int64(2 * time.Second))))
		}
		s.heal()
		s.requirePromises()
	})
}

// event is one thing that happens.
func (s *simulation) event() {
	switch n := s.rand.IntN(20); {
	case n < 12:
		s.arrive()
	case n < 14 && len(s.workers) < 4:
		s.workers = append(s.workers, s.joinWired())
	case n < 15 && len(s.workers) > 1:
		s.remove(func(w *worker) { require.NoError(s.t, w.stop()) })
	case s.calm:
	case n < 16 && len(s.workers) > 0:
		s.blind = s.blind || !s.exact
		s.cfg.Logger.Info("a worker crashes")
		s.remove((*worker).crash)
	case n < 17 && len(s.workers) > 0:
		w := s.workers[s.rand.IntN(len(s.workers))]
		s.blind, s.late = s.blind || !s.exact, true
		s.cfg.Logger.Info("a worker is cut off")
		w.wire.Cut()
		pass(time.Duration(s.rand.Int64N(int64(8 * time.Second))))
		w.wire.Mend()
		s.cfg.Logger.Info("and is not any more")
	case n < 18:
		s.exact = false // what fails is not always counted by who is told so
		s.sim.SetFaults(s.faults())
	case n < 19:
		s.sim.SetFaults(xblsim.Faults{RefusedXUIDs: s.refusedXUIDs()})
	}
}

func (s *simulation) remove(how func(*worker)) {
	i := s.rand.IntN(len(s.workers))
	w := s.workers[i]
	s.workers = append(s.workers[:i], s.workers[i+1:]...)
	how(w)
}

func (s *simulation) arrive() {
	sender := []string{"ada", "bob", "cup"}[s.rand.IntN(3)]
	a := to(sender)
	if s.rand.IntN(2) == 0 {
		a = campaign(sender, []string{"spring", "autumn"}[s.rand.IntN(2)])
	}
	for range 1 + s.rand.IntN(5) {
		n := []int{1, 2, 3, 8, 16, 16, 40}[s.rand.IntN(7)]
		job := simulated{}
		job.Job = s.publish(a, n, func(j *queue.Job) {
			j.ID = fmt.Sprint("job-", len(s.jobs))
			j.ConnectionString = []string{"", "lobby"}[s.rand.IntN(2)]
			if s.rand.IntN(10) == 0 {
				j.ExpiresAt = time.Now().Add(time.Duration(s.rand.Int64N(int64(time.Minute))))
				job.expires = true
			}
		})
		s.jobs[job.ID] = job
		if s.rand.IntN(10) == 0 {
			s.refused[job.InvitedUsers[s.rand.IntN(n)]] = true
			f := s.sim.Faults()
			f.RefusedXUIDs = s.refusedXUIDs()
			s.sim.SetFaults(f)
		}
	}
}

func (s *simulation) refusedXUIDs() (xuids []uint64) {
	for x := range s.refused {
		xuids = append(xuids, uint64(x))
	}
	return xuids
}

func (s *simulation) faults() xblsim.Faults {
	f := xblsim.Faults{RefusedXUIDs: s.refusedXUIDs(), SlowBy: time.Duration(s.rand.Int64N(int64(15 * time.Second)))}
	rate := s.rand.Float64() / 2
	switch s.rand.IntN(7) {
	case 0:
		f.Error500 = rate
	case 1:
		f.Error503 = rate
	case 2:
		f.Error503RetryAfter = rate
	case 3:
		f.ResetBefore = rate
	case 4:
		f.ResetAfter = rate
	case 5:
		f.Slow = rate
	case 6:
		f.Outage = true
	}
	return f
}

// joinWired starts a worker whose connection to NATS can be cut.
func (s *simulation) joinWired() *worker {
	wire := &embeddedtest.Wire{Server: s.server}
	w := s.joinOver(wire)
	w.wire = wire
	return w
}

// heal ends all trouble and waits until nothing is left to do.
func (s *simulation) heal() {
	s.t.Helper()
	s.sim.SetFaults(xblsim.Faults{RefusedXUIDs: s.refusedXUIDs()})
	if len(s.workers) == 0 {
		s.workers = append(s.workers, s.joinWired())
	}
	for range 120 {
		pass(30 * time.Second)
		if s.waiting() == 0 {
			return
		}
	}
	require.Failf(s.t, "jobs are left", "%d of %d after an hour without trouble", s.waiting(), len(s.jobs))
}

func (s *simulation) waiting() (n int) {
	q, err := queue.Open(s.t.Context(), s.conn, queue.Options{Logger: s.cfg.Logger})
	require.NoError(s.t, err)
	defer q.Close()
	stats, err := q.Stats(s.t.Context())
	require.NoError(s.t, err)
	for _, w := range stats.Waiting {
		n += int(w.Jobs)
	}
	return n
}

func (s *simulation) requirePromises() {
	t := s.t
	t.Helper()
	ledger := s.sim.Ledger()
	if !s.blind {
		require.Zero(t, ledger.InBlock, "no call inside a Retry-After")
	}
	if s.exact {
		require.Zero(t, ledger.Throttled, "no window is exceeded")
	}
	if s.calm {
		require.Zero(t, ledger.Duplicates, "no call's outcome was lost")
	}

	results := map[string]queue.Result{}
	for r, err := range s.reader.Results(t.Context(), queue.Filter{}) {
		require.NoError(t, err)
		require.NotContainsf(t, results, r.ID, "job %s has two results", r.ID)
		results[r.ID] = r
	}
	require.Len(t, results, len(s.jobs), "each job has one result")
	dead := map[queue.XUID]queue.Reason{}
	for _, l := range s.deadLetters() {
		j, err := queue.DecodeJob(l.Body)
		require.NoError(t, err)
		for _, x := range j.InvitedUsers {
			// A letter that was on its way when its worker was cut off can't be called back.
			require.Truef(t, s.late || dead[x] == "", "recipient %d died twice", x)
			dead[x] = l.Reason
		}
	}
	sent := s.sim.Sent(title)
	for id, job := range s.jobs {
		r := results[id]
		require.Equalf(t, len(job.InvitedUsers), r.Sent+r.Dead, "job %s: its result must add up", id)
		for _, x := range job.InvitedUsers {
			times, reason := sent[uint64(x)], dead[x]
			require.Truef(t, times > 0 || reason != "", "recipient %d of job %s was lost", x, id)
			// Nor can a result, which then is the one that is kept.
			require.Truef(t, times <= 1 || r.MaybeDuplicate || s.late, "recipient %d of job %s was sent %d times, and its result does not say so", x, id, times)
			switch reason {
			case "":
			case queue.Rejected:
				require.Truef(t, s.refused[x], "recipient %d of job %s is no refused one", x, id)
			case queue.Expired:
				require.Truef(t, job.expires, "job %s does not expire", id)
			default:
				require.Failf(t, "a dead letter nobody asked for", "recipient %d of job %s: %s", x, id, reason)
			}
		}
	}
	s.requireQueuesEmpty()
	if s.stored("INVITE_PROGRESS") > 0 {
		pass(11 * time.Minute) // what a worker that was cut off stored too late is swept
	}
	require.Zero(t, s.stored("INVITE_PROGRESS"), "no record of progress is left")
}

// stored is how many messages a stream has, asked of the server itself.
func (s *simulation) stored(stream string) int {
	m, err := s.conn.Request("$JS.API.STREAM.INFO."+stream, nil, time.Minute)
	require.NoError(s.t, err)
	var info struct {
		State struct {
			Messages int `json:"messages"`
		} `json:"state"`
	}
	require.NoError(s.t, json.Unmarshal(m.Data, &info))
	return info.State.Messages
}
