package faults

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/invitedhq/invited/cmd/internal/harness"
)

func TestAServerKilledUnderLoadLosesNothingThatItAccepted(t *testing.T) {
	s := stage(t)
	workers := []*harness.Worker{s.join(), s.join()}
	load := s.begin()
	kills := 2 * *rounds
	for range kills {
		s.progress()
		s.nats.Servers[0].Kill()
		for _, w := range workers {
			harness.Until(t, patience, "a worker says that it has no server", func() bool { return !w.Ready() })
		}
		s.nats.Servers[0].Start()
		s.nats.AwaitReady()
		for _, w := range workers {
			w.AwaitReady()
		}
	}
	s.progress()
	load.stop()
	unknown := kills * len(workers) * inFlight
	a := s.audit(unknown)
	a.requireMetrics(workers...)
	a.requireCalls(workers...)
	a.report("kill -9 of nats-server", unknown)
}

func TestAServerAndAWorkerKilledAtOnceLoseNothing(t *testing.T) {
	s := stage(t)
	s.join()
	s.join()
	load := s.begin()
	kills := 2 * *rounds
	for n := range kills {
		s.progress()
		w := s.workers[n%len(s.workers)]
		s.nats.Servers[0].Kill()
		w.Kill()
		s.nats.Servers[0].Start()
		s.nats.AwaitReady()
		w.Start()
		w.AwaitReady()
	}
	s.progress()
	load.stop()
	unknown := kills * len(s.workers) * inFlight
	s.audit(unknown).report("kill -9 of nats-server and a worker", unknown)
}

func TestTheEmbeddedServerDiesWithItsWorkerAndLosesNothing(t *testing.T) {
	s := stageEmbedded(t)
	load := s.begin()
	kills := 2 * *rounds
	for range kills {
		s.progress()
		s.workers[0].Kill()
		s.workers[0].Start()
		s.workers[0].AwaitReady()
	}
	s.progress()
	load.stop()
	unknown := kills * inFlight
	s.audit(unknown).report("kill -9 of a worker with its embedded server", unknown)
}

// A node that is stopped hands over what it leads. One that is killed is missed first: its followers elect a new leader after 4 to
// 9 s (nats-server's own times), in which nobody can store anything, and so nobody sends.
func TestAClusterThatLosesItsLeaderGoesOnSending(t *testing.T) {
	for _, c := range []struct {
		name string
		lose func(*harness.Process)
	}{
		{"stopped", func(p *harness.Process) { p.Stop() }},
		{"killed", (*harness.Process).Kill},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := stageOn(t, programs.Cluster(t))
			s.options.Replicas = 3
			workers := []*harness.Worker{s.join(), s.join()}
			load := s.begin()
			losses := *rounds
			var slowest time.Duration
			for range losses {
				s.progress()
				leader := s.nats.AwaitLeader("INVITES", s.conn)
				c.lose(s.nats.Servers[leader])
				s.led()
				electedAt := time.Now()
				s.progress()
				slowest = max(slowest, time.Since(electedAt))
				s.nats.Servers[leader].Start()
				s.nats.AwaitReady()
				s.progress()
			}
			load.stop()
			unknown := losses * len(workers) * inFlight
			a := s.audit(unknown)
			a.report("three nodes: the leader "+c.name+", and back", unknown)
			assert.LessOrEqual(t, slowest, bound(5*time.Second), "sending resumes once the streams have leaders")
			t.Logf("sending resumed within %s of the election", slowest)
		})
	}
}

// led waits until each stream has a leader that runs.
func (s *scene) led() {
	s.t.Helper()
	for _, stream := range []string{"INVITES", "INVITE_CAMPAIGNS", "INVITE_DEAD", "INVITE_RESULTS", "INVITE_PROGRESS", "INVITE_KEYS", "INVITE_WORKERS", "INVITE_CONTROL"} {
		harness.Until(s.t, patience, stream+" has a leader", func() bool {
			leader, ok := s.nats.LeaderOf(stream, s.conn)
			return ok && s.nats.Servers[leader].Running()
		})
	}
}
