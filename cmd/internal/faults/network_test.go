package faults

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/invitedhq/invited/cmd/internal/harness"
)

func TestAWorkerCutOffFromNATSIsReplacedAndRepeatsNothingUntold(t *testing.T) {
	s := stage(t)
	network := harness.NewProxy(t, s.nats.Address(0))
	s.join()
	s.options.NATS = "nats://" + network.Address
	cutOff := s.join()
	load, ends := s.begin(), s.observe()
	cuts := 2 * *rounds
	for range cuts {
		s.progress()
		network.Cut()
		harness.Until(t, patience, "a worker that is cut off says that it is not ready", func() bool { return !cutOff.Ready() })
		s.progress()
		network.Heal()
		cutOff.AwaitReady()
	}
	s.progress()
	silence := ends.end()
	load.stop()
	unknown := cuts * inFlight
	s.audit(unknown).report("a worker cut off from NATS, and healed", unknown)
	assert.LessOrEqual(t, silence, bound(5*time.Second), "the other one goes on, and takes over")
}

func TestAConnectionThatIsResetAgainAndAgainRepeatsNothing(t *testing.T) {
	s := stage(t)
	network := harness.NewProxy(t, s.nats.Address(0))
	s.options.NATS = "nats://" + network.Address
	worker := s.join()
	load := s.begin()
	resets := 5 * *rounds
	for range resets {
		s.progress()
		network.Reset()
	}
	s.progress()
	load.stop()
	a := s.audit(0)
	a.requireMetrics(worker)
	a.requireCalls(worker)
	a.report("connections to NATS reset", 0)
}

func TestASlowNetworkOnlyTakesLonger(t *testing.T) {
	s := stage(t)
	network := harness.NewProxy(t, s.nats.Address(0))
	s.options.NATS = "nats://" + network.Address
	worker := s.join()
	load := s.begin()
	s.progress()
	network.Slow(300 * time.Millisecond)
	for range *rounds {
		s.progress()
		s.progress()
	}
	network.Heal()
	load.stop()
	a := s.audit(0)
	a.requireMetrics(worker)
	a.requireCalls(worker)
	a.report("a slow network (300 ms each way)", 0)
}
