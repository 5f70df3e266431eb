package dispatcher_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/require"

	"github.com/invitedhq/invited/queue"
)

// promises are what must hold at any time, and what is known to judge that.
type promises struct {
	book    *callBook
	jobs    map[string]*simJob
	of      map[uint64]*simJob // by player
	last    *simJob
	noJobs  map[string]*noJob
	refused map[queue.XUID]bool
	held    []*trouble // in which what a worker wrote was held back, to arrive later
	nowhere []*trouble // in which the server was not there to be written to

	resultsAt, lettersAt cursor
}

// simJob is a job that the stream accepted.
type simJob struct {
	queue.Job
	to      queue.Address
	arrived time.Time
	expires time.Time // zero: never
	result  *queue.Result
	ended   time.Time // when the result was seen
	dead    map[queue.XUID]queue.Reason
}

// noJob is what is none.
type noJob struct {
	body    []byte
	letters int
	results int
}

// cursor is a place in a stream.
type cursor struct {
	stream string
	next   uint64
}

func newPromises(s *simulation) promises {
	p := promises{
		resultsAt: cursor{queue.ResultsStream, 1}, lettersAt: cursor{queue.DeadStream, 1},
		book: newCallBook(), jobs: make(map[string]*simJob), of: make(map[uint64]*simJob), noJobs: make(map[string]*noJob),
		refused: make(map[queue.XUID]bool),
	}
	p.book.may, p.book.log = s.mayCall, s.cfg.Logger
	p.book.once = s.cfg.Plan.DeadLetterAmbiguous
	p.book.exact = len(s.cfg.Plan.Limits.Windows) > 0
	return p
}

func (s *simulation) accepted(j queue.Job, to queue.Address, expires time.Time) {
	s.book.mu.Lock() // calls may be made already
	defer s.book.mu.Unlock()
	job := &simJob{Job: j, to: to, arrived: time.Now(), expires: expires, dead: make(map[queue.XUID]queue.Reason)}
	s.jobs[j.ID], s.last = job, job
	for _, x := range j.InvitedUsers {
		s.of[uint64(x)] = job
	}
}

func (s *simulation) acceptedNoJob(id string, body []byte) { s.noJobs[id] = &noJob{body: body} }

// heldBack says that what a worker writes is held back from now on, until over is called.
func (s *simulation) heldBack() (over func()) { return s.begin(&s.held) }

// begin notes one more of a kind of trouble, until over is called.
func (s *simulation) begin(kind *[]*trouble) (over func()) {
	s.book.mu.Lock()
	defer s.book.mu.Unlock()
	t := &trouble{from: time.Now()}
	*kind = append(*kind, t)
	return func() {
		s.book.mu.Lock()
		defer s.book.mu.Unlock()
		t.to = time.Now()
	}
}

// late says whether what a worker wrote about the job may have been held back
// for so long that another has begun it anew: it then arrives after the other's.
func (s *simulation) late(j *simJob) bool { return j.during(s.held) }

// leaseless says whether the job may have ended when no worker could have a
// lease: whoever has it then does not know that it was nobody else's meanwhile.
func (s *simulation) leaseless(j *simJob) bool { return j.during(s.nowhere) }

// during says whether there was such trouble, and for as long as a lease, when the job could be somebody's.
func (j *simJob) during(kind []*trouble) bool {
	for _, t := range kind {
		over := t.to
		if over.IsZero() {
			over = time.Now()
		}
		if over.Sub(t.from) >= 2*time.Second && !j.arrived.After(over) && (j.result == nil || !j.ended.Before(t.from)) {
			return true
		}
	}
	return false
}

// mayCall says what speaks against a call. The book is locked.
func (s *simulation) mayCall(c *madeCall) error {
	for _, u := range c.users {
		j := s.of[u]
		switch {
		case j == nil: // being published right now
		case !j.expires.IsZero() && !c.began.Before(j.expires):
			return fmt.Errorf("job %s has expired", j.ID)
		case j.result != nil && !s.late(j) && !s.outcomeUnknown(j):
			return fmt.Errorf("job %s has a result", j.ID)
		}
		if j != nil {
			if err := s.mayCampaign(c, j); err != nil {
				return err
			}
		}
	}
	return nil
}

// outcomeUnknown says whether the outcome of any call of the job was unknown: it
// may have become known, and be its result, when another worker had begun the
// job anew. The book is locked.
func (s *simulation) outcomeUnknown(j *simJob) bool {
	return slices.ContainsFunc(j.InvitedUsers, func(x queue.XUID) bool { return s.book.untoldNow(uint64(x)) })
}

// interrupted is outcomeUnknown for who does not have the book locked.
func (s *simulation) interrupted(j *simJob) bool {
	s.book.mu.Lock()
	defer s.book.mu.Unlock()
	return s.outcomeUnknown(j)
}

// requirePromises checks what can be checked while work goes on. Results are
// read before letters, because a job's letters are stored before its result.
func (s *simulation) requirePromises() {
	t := s.t
	t.Helper()
	if s.up {
		results, letters := s.read(&s.resultsAt), s.read(&s.lettersAt)
		for _, m := range letters {
			s.requireLetter(m)
		}
		if len(results) > 0 {
			sent := s.sim.Sent(title)
			for _, m := range results {
				s.requireResult(m, sent)
			}
		}
	}
	require.Empty(t, s.book.flagrant(), "a promise is broken")
}

// stored is how many messages a stream has, asked of the server itself.
func (s *simulation) stored(stream string) int {
	s.t.Helper()
	var info struct {
		State struct {
			Messages int `json:"messages"`
		} `json:"state"`
	}
	s.ask("$JS.API.STREAM.INFO."+stream, nil, &info)
	return info.State.Messages
}

// read returns what is new.
func (s *simulation) read(c *cursor) (fresh []*nats.Msg) {
	s.t.Helper()
	for {
		var found struct {
			Message *struct {
				Sequence uint64 `json:"seq"`
				Header   []byte `json:"hdrs"`
				Data     []byte `json:"data"`
			} `json:"message"`
		}
		s.ask("$JS.API.STREAM.MSG.GET."+c.stream, fmt.Appendf(nil, `{"seq":%d,"next_by_subj":">"}`, c.next), &found)
		if found.Message == nil {
			return fresh
		}
		header, err := nats.DecodeHeadersMsg(found.Message.Header)
		require.NoError(s.t, err)
		c.next = found.Message.Sequence + 1
		fresh = append(fresh, &nats.Msg{Header: header, Data: found.Message.Data})
	}
}

func (s *simulation) requireLetter(m *nats.Msg) {
	t := s.t
	t.Helper()
	id, reason := m.Header.Get("Invite-Job-Id"), queue.Reason(m.Header.Get("Invite-Reason"))
	if x := s.noJobs[id]; x != nil {
		require.Equalf(t, queue.Invalid, reason, "%q is no job", x.body)
		require.Equalf(t, string(x.body), string(m.Data), "the body of what is no job is kept")
		x.letters++
		return
	}
	j := s.jobs[id]
	require.NotNilf(t, j, "a letter of a job that nobody published: %s", id)
	dead, err := queue.DecodeJob(m.Data)
	require.NoError(t, err)
	for _, x := range dead.InvitedUsers {
		require.Samef(t, j, s.of[uint64(x)], "recipient %d is none of job %s", x, id)
		// A letter that was on its way when its worker was cut off can't be called
		// back, nor one that was stored when its worker died before the result was.
		require.Truef(t, j.dead[x] == "" || s.late(j) || j.result == nil && s.interrupted(j), "recipient %d of job %s died of %s and of %s", x, id, j.dead[x], reason)
		j.dead[x] = reason
		switch reason {
		case queue.Rejected:
			require.Truef(t, s.refused[x], "recipient %d of job %s is no refused one", x, id)
		case queue.Expired:
			require.Falsef(t, j.expires.IsZero(), "job %s does not expire", id)
		case queue.Ambiguous:
			require.Truef(t, s.cfg.Plan.DeadLetterAmbiguous, "recipient %d of job %s is to be tried again", x, id)
			require.Truef(t, s.book.untold(uint64(x)), "recipient %d of job %s: how its call ended was told", x, id)
		default:
			require.Failf(t, "a dead letter that nobody asked for", "recipient %d of job %s: %s", x, id, reason)
		}
	}
}

func (s *simulation) requireResult(m *nats.Msg, sent map[uint64]int) {
	t := s.t
	t.Helper()
	var r queue.Result
	require.NoError(t, json.Unmarshal(m.Data, &r))
	if x := s.noJobs[r.ID]; x != nil {
		x.results++
		require.Equalf(t, 1, x.results, "what is no job has one result: %s", r.ID)
		require.Positivef(t, x.letters, "no result before its letter: %s", r.ID)
		return
	}
	j := s.jobs[r.ID]
	require.NotNilf(t, j, "a result of a job that nobody published: %s", r.ID)
	// One that came too late, and does not say so, is replaced.
	require.Truef(t, j.result == nil || r.MaybeDuplicate && !j.result.MaybeDuplicate && (s.late(j) || s.leaseless(j)),
		"job %s has two results", r.ID)
	s.book.mu.Lock()
	j.result, j.ended = &r, time.Now()
	s.book.mu.Unlock()
	require.Equalf(t, len(j.InvitedUsers), r.Sent+r.Dead+r.Cancelled, "job %s: its result must add up", r.ID)
	require.Truef(t, r.Cancelled == 0 || !s.cancelled[j.to].IsZero(), "job %s: nobody cancelled its campaign", r.ID)
	s.requireAllEnded(j, sent, s.late(j))
}

// requireAllEnded compares a result with what the service recorded. It may be
// about to be replaced.
func (s *simulation) requireAllEnded(j *simJob, sent map[uint64]int, replaced bool) {
	t, r := s.t, j.result
	t.Helper()
	exact, sentNow, dropped := true, 0, 0
	for _, x := range j.InvitedUsers {
		times, reason := sent[uint64(x)], j.dead[x]
		untold := s.book.untold(uint64(x))
		exact = exact && !untold
		if times > 0 {
			sentNow++
		}
		if times == 0 && reason == "" {
			dropped++
		}
		require.Truef(t, times == 0 || reason == "" || untold || s.late(j), "recipient %d of job %s was sent and died of %s", x, r.ID, reason)
		require.Truef(t, times <= 1 || untold, "recipient %d of job %s was sent %d times", x, r.ID, times)
		require.Truef(t, times <= 1 || r.MaybeDuplicate || replaced,
			"recipient %d of job %s was sent %d times, and its result does not say so", x, r.ID, times)
	}
	require.LessOrEqualf(t, dropped, r.Cancelled, "recipients of job %s were lost", r.ID)
	require.Truef(t, !exact || dropped == r.Cancelled, "job %s: %d were dropped, its result says %d", r.ID, dropped, r.Cancelled)
	require.Truef(t, !exact || sentNow == r.Sent, "job %s: %d sent, its result says %d", r.ID, sentNow, r.Sent)
}

// left is how many jobs have no result.
func (s *simulation) left() (n int) {
	for _, j := range s.jobs {
		if j.result == nil {
			n++
		}
	}
	for _, x := range s.noJobs {
		if x.results == 0 {
			n++
		}
	}
	return n
}

// requireEverythingEnded checks that nothing is left anywhere, and what could have changed since a result.
func (s *simulation) requireEverythingEnded() {
	t := s.t
	t.Helper()
	s.pass(2 * time.Second)
	sent := s.sim.Sent(title)
	for _, j := range s.jobs {
		s.requireAllEnded(j, sent, false)
	}
	for id, x := range s.noJobs {
		require.Equalf(t, 1, x.letters, "what is no job has one dead letter: %s", id)
	}
	if len(s.troubles) == 0 {
		require.Zero(t, s.sim.Ledger().Duplicates, "no call's outcome was lost")
	}
	s.requireQueuesEmpty()
	if s.stored(queue.ProgressStream) > 0 {
		require.NotEmpty(t, s.troubles, "no record of progress is left")
		for _, w := range s.workers[1:] {
			s.leave(w)
		}
		s.ending.Wait()
		pass(11 * time.Minute) // what a worker that was cut off stored too late is swept
	}
	require.Zero(t, s.stored(queue.ProgressStream), "no record of progress is left")
}
