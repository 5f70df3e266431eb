package faults

import (
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/invitedhq/invited/cmd/internal/harness"
)

func TestWorkersKilledUnderLoadLoseNothing(t *testing.T) {
	for _, workers := range []int{1, 2, 3} {
		t.Run([]string{"", "one", "two", "three"}[workers], func(t *testing.T) {
			s := stage(t)
			for range workers {
				s.join()
			}
			load := s.begin()
			kills := 3 * *rounds
			for n := range kills {
				s.progress()
				w := s.workers[n%workers]
				w.Kill()
				w.Start()
				w.AwaitReady()
			}
			load.stop()
			s.audit(kills*inFlight).report("kill -9 of workers", kills*inFlight)
		})
	}
}

// progress waits until the simulator has got some more calls.
func (s *scene) progress() {
	s.t.Helper()
	before := s.sim.Ledger().Calls
	harness.Until(s.t, patience, "calls go on", func() bool { return s.sim.Ledger().Calls > before+100/harness.Slower })
}

func TestARollingRestartUnderLoadRepeatsNothing(t *testing.T) {
	s := stage(t)
	running := []*harness.Worker{s.join(), s.join()}
	load, ends := s.begin(), s.observe()
	var stops []time.Duration
	for range 2 * *rounds {
		for i, old := range running {
			running[i] = s.join()
			s.progress()
			stops = append(stops, old.Stop())
		}
	}
	s.progress()
	silence := ends.end()
	load.stop()
	a := s.audit(0)
	for _, r := range a.results {
		assert.Falsef(t, r.MaybeDuplicate, "job %s was handed over in order", r.ID)
	}
	assert.Less(t, slices.Max(stops), bound(2*time.Second), "a stop takes as long as its calls in flight")
	assert.LessOrEqual(t, silence, bound(2*time.Second), "somebody sends at any time")
	a.report("rolling restart by SIGTERM", 0)
	t.Logf("stops took %s to %s; the longest silence was %s", slices.Min(stops), slices.Max(stops), silence)
}
