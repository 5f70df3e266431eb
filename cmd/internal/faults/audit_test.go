package faults

import (
	"encoding/json"
	"fmt"
	"maps"
	"strconv"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/invitedhq/invited/cmd/internal/harness"
	"github.com/invitedhq/invited/queue"
)

// audit is what is known at the end.
type audit struct {
	*scene
	results map[string]queue.Result
	sent    map[queue.XUID]int
	dead    map[queue.XUID][]queue.Reason
	letters []queue.DeadLetter
	invalid int // letters of what was no job
	lost    int // recipients
	twice   int // calls whose recipients were sent before
}

// settle waits until every queue is empty.
func (s *scene) settle() {
	s.t.Helper()
	left := 0
	harness.Until(s.t, patience, "all jobs have ended", func() bool {
		left = s.stored("INVITES") + s.stored("INVITE_CAMPAIGNS")
		return left == 0
	})
}

// stored is how many messages a stream has. It waits for a server that knows.
func (s *scene) stored(stream string) int {
	s.t.Helper()
	var info struct {
		Error *struct{ Description string }
		State struct{ Messages int }
	}
	harness.Until(s.t, patience, "a server knows how many messages "+stream+" has", func() bool {
		m, err := s.conn.Request("$JS.API.STREAM.INFO."+stream, nil, briefly) // a server that dies takes the question with it
		info.Error = nil
		return err == nil && json.Unmarshal(m.Data, &info) == nil && info.Error == nil
	})
	return info.State.Messages
}

// audit waits until everything has ended, and accounts for it. Each of unknown calls may have been made twice.
func (s *scene) audit(unknown int) *audit {
	s.t.Helper()
	s.settle()
	a := &audit{scene: s, results: map[string]queue.Result{}, sent: map[queue.XUID]int{}, dead: map[queue.XUID][]queue.Reason{}}
	a.read()
	again := map[string]bool{}
	for id, p := range s.jobs {
		a.account(id, p, again)
	}
	ledger := s.sim.Ledger()
	assert.LessOrEqualf(s.t, len(again), unknown*most, "at most %d calls had an unknown outcome, of at most %d jobs each", unknown, most)
	assert.LessOrEqualf(s.t, ledger.Duplicates, unknown*most, "at most %d calls had an unknown outcome, of %d recipients each", unknown, most)
	assert.Zero(s.t, a.lost, "no recipient may be lost")
	assert.Zero(s.t, ledger.InBlock, "no call may come inside a Retry-After")
	assert.Zero(s.t, ledger.Throttled, "no call may be refused")
	a.twice = ledger.Duplicates
	return a
}

// most is how many recipients a call has at most, and so how many jobs.
const most = 16

func (a *audit) read() {
	t := a.t
	t.Helper()
	for r, err := range a.reader.Results(t.Context(), queue.Filter{}) {
		require.NoError(t, err)
		if _, twice := a.results[r.ID]; twice {
			assert.Failf(t, "two results", "job %s may have one only", r.ID)
			continue
		}
		a.results[r.ID] = r
	}
	for l, err := range a.reader.DeadLetters(t.Context(), queue.Filter{}) {
		require.NoError(t, err)
		a.letters = append(a.letters, l)
		if l.Reason == queue.Invalid {
			a.invalid++
			continue
		}
		j, err := queue.DecodeJob(l.Body)
		require.NoErrorf(t, err, "the body of a dead letter (%s) must be a job", l.Reason)
		for _, x := range j.InvitedUsers {
			a.dead[x] = append(a.dead[x], l.Reason)
		}
	}
	for _, r := range a.sim.Recipients() {
		x, err := strconv.ParseUint(r.XUID, 10, 64)
		require.NoError(t, err)
		a.sent[queue.XUID(x)] = r.Count
	}
}

// account looks at one job. One that was not acknowledged may never have been stored.
func (a *audit) account(id string, p *published, again map[string]bool) {
	t := a.t
	t.Helper()
	r, ended := a.results[id]
	if !ended {
		assert.Falsef(t, p.accepted, "job %s was accepted and has no result", id)
		for _, x := range p.InvitedUsers {
			assert.Zerof(t, a.sent[x], "recipient %d of job %s was sent, and the job has no result", x, id)
		}
		return
	}
	assert.Falsef(t, p.refused, "job %s was refused and has a result", id)
	assert.Equalf(t, len(p.InvitedUsers), r.Sent+r.Dead, "the counts of job %s must add up", id)
	sent, dead := 0, 0
	for _, x := range p.InvitedUsers {
		switch n := a.sent[x]; {
		case n > 1:
			again[id] = true
			assert.Truef(t, r.MaybeDuplicate, "recipient %d of job %s was sent %d times, and its result does not say so", x, id, n)
		case n == 0 && a.dead[x] == nil:
			a.lost++
			assert.Failf(t, "lost", "recipient %d of job %s was neither sent nor is it in a dead letter", x, id)
		}
		if a.dead[x] != nil {
			dead++
		} else {
			sent++
		}
	}
	assert.Equalf(t, r.Dead, dead, "the result of job %s must count its dead letters' recipients", id)
	assert.Equalf(t, r.Sent, sent, "the result of job %s must count what the ledger has", id)
}

// requireMetrics compares what the workers counted with the results. No worker may have been killed.
func (a *audit) requireMetrics(workers ...*harness.Worker) {
	a.t.Helper()
	want := map[string]int{"jobs": len(a.results), "letters": len(a.letters), "sent": 0}
	for _, r := range a.results {
		want["sent"] += r.Sent
	}
	for _, reasons := range a.dead {
		for _, reason := range reasons {
			want[string(reason)]++
		}
	}
	a.requireCounts(want, workers, func(m harness.Metrics) map[string]int {
		counted := map[string]int{
			"jobs": int(m.Sum("invited_jobs_total")), "letters": int(m.Sum("invited_dead_letters_total")),
			"sent": int(m.Sum("invited_recipients_total", `outcome="sent"`)),
		}
		for _, reason := range queue.Reasons() {
			if n := m.Sum("invited_recipients_total", fmt.Sprintf("outcome=%q", reason)); n > 0 && reason != queue.Invalid {
				counted[string(reason)] = int(n)
			}
		}
		return counted
	})
}

// requireCalls compares the calls that the workers counted with the ledger. No worker may have been killed, and each call must have
// reached the simulator.
func (a *audit) requireCalls(workers ...*harness.Worker) {
	a.t.Helper()
	a.requireCounts(map[string]int{"calls": a.sim.Ledger().Calls}, workers, func(m harness.Metrics) map[string]int {
		return map[string]int{"calls": int(m.Sum("invited_calls_total"))}
	})
}

// requireCounts waits until the workers have counted all that they did, and fails unless the sums are these: an ending is counted a
// moment after it was stored and acknowledged.
func (a *audit) requireCounts(want map[string]int, workers []*harness.Worker, read func(harness.Metrics) map[string]int) {
	a.t.Helper()
	var counted map[string]int
	defer func() {
		if !maps.Equal(want, counted) {
			assert.Equal(a.t, want, counted, "by the metrics") // shows the difference
		}
	}()
	harness.Until(a.t, bound(5*time.Second), "the metrics are what the ledger and the results are", func() bool {
		counted = map[string]int{}
		for _, w := range workers {
			for name, n := range read(w.Metrics()) {
				counted[name] += n
			}
		}
		return maps.Equal(want, counted)
	})
}

// report prints the line of docs/reliability.md.
func (a *audit) report(what string, unknown int) {
	jobs, recipients := 0, 0
	for _, p := range a.jobs {
		if p.accepted {
			jobs++
			recipients += len(p.InvitedUsers)
		}
	}
	reasons := map[queue.Reason]int{}
	for _, l := range a.letters {
		reasons[l.Reason]++
	}
	told := 0
	for _, r := range a.results {
		if r.MaybeDuplicate {
			told++
		}
	}
	a.t.Logf("| %s | %d | %d | %d | %d | %d of at most %d | %d | %v |", what, *rounds, jobs, recipients, a.lost, a.twice, unknown*most, told, reasons)
}
