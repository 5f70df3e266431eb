package faults

import (
	"flag"
	"fmt"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/invitedhq/invited/cmd/internal/harness"
	"github.com/invitedhq/invited/queue"
)

var recipients = flag.Int("recipients", 3200, "of the campaign at the real quota, scaled 100 times: 16 a call, 50 calls in 3 s")

// The real quota, scaled 100 times.
const (
	scaledQuota = "7/150ms,50/3s"
	scaledCalls = 50
	scaledPer   = 3 * time.Second
)

// partitions is the default of nats.partitions.
const partitions = 16

// course is a campaign on its way, and what was seen of it.
type course struct {
	*scene
	name  string
	all   int // recipients
	looks int
	calls int           // at the last leg's end
	least time.Duration // for the calls of the legs so far
}

// leg ends a stretch of sending. The windows of each have been empty when it began, so its first calls cost no time.
func (c *course) leg() {
	calls := c.sim.Ledger().Calls
	c.least += time.Duration((calls-c.calls-1)/scaledCalls) * scaledPer
	c.calls = calls
}

func (c *course) invitectl(args ...string) {
	c.t.Helper()
	status, _, errOut := programs.Run(c.t, harness.Invitectl, append(args, "--nats-url", c.options.NATS)...)
	require.Zero(c.t, status, errOut)
}

// look compares the campaign's counts with the ledger, as close as can be while calls are in flight.
func (c *course) look() standing {
	c.t.Helper()
	before := c.sim.Ledger()
	now := c.standing(c.name)
	after := c.sim.Ledger()
	c.looks++
	require.LessOrEqual(c.t, now.Sent, after.Unique, "no more than was sent")
	require.GreaterOrEqual(c.t, now.Sent, before.Unique-inFlight*most-lag, "and what was sent is told soon")
	require.Equal(c.t, c.all, now.Sent+now.Dead+now.Left)
	return now
}

// until looks again and again until so many recipients have ended.
func (c *course) until(part float64) {
	c.t.Helper()
	harness.Until(c.t, 10*patience, fmt.Sprintf("%.0f %% have ended", 100*part), func() bool {
		now := c.look()
		return float64(now.Sent+now.Dead) >= part*float64(c.all)
	})
}

// quiet makes sure that no call is made, and that the counts are the ledger's to the last recipient.
func (c *course) quiet(d time.Duration) {
	c.t.Helper()
	calls := c.sim.Ledger().Calls
	for began := time.Now(); time.Since(began) < d; {
		now, ledger := c.look(), c.sim.Ledger()
		require.Equal(c.t, calls, ledger.Calls, "a paused campaign makes no call")
		require.Equal(c.t, "paused", now.State)
		require.Equal(c.t, ledger.Unique, now.Sent)
	}
}

// pause pauses, and says how long after the command had returned the last call was made, and the last count told.
func (c *course) pause() (still time.Duration) {
	c.t.Helper()
	c.invitectl("campaign", "pause", c.name)
	began := time.Now()
	for time.Since(began) < bound(time.Second) {
		before := c.sim.Ledger()
		if now := c.standing(c.name); now.Sent != before.Unique || c.sim.Ledger() != before {
			still = time.Since(began)
		}
	}
	return still
}

// resume resumes, and says how soon the next call came.
func (c *course) resume() time.Duration {
	c.t.Helper()
	calls := c.sim.Ledger().Calls
	c.invitectl("campaign", "resume", c.name)
	began := time.Now()
	harness.Until(c.t, bound(5*time.Second), "it goes on", func() bool { return c.sim.Ledger().Calls > calls })
	return time.Since(began)
}

func TestACampaignAtItsQuotaIsPausedAndEverythingRestartedAndItsCountsAreTheLedgers(t *testing.T) {
	refused := []queue.XUID{firstPlayer + 100, firstPlayer + 1000}
	s := stage(t, "--quota", scaledQuota, "--latency", "2ms", "--fault-refuse", fmt.Sprintf("%d,%d", refused[0], refused[1]))
	s.options.Quota = scaledQuota
	s.join()
	s.join()
	c := &course{scene: s, name: "cup", all: *recipients}
	began := time.Now()
	c.invitectl("campaign", "start", c.name, "--title", strconv.Itoa(title), "--sender", "cup", "--file", playersFile(t, c.all))

	c.until(0.2)
	paused := time.Now()
	still := c.pause()
	c.quiet(time.Second)
	c.leg()
	for _, w := range s.workers {
		w.Kill()
		w.Start()
	}
	s.nats.Servers[0].Kill()
	s.nats.Servers[0].Start()
	s.nats.AwaitReady()
	for _, w := range s.workers {
		w.AwaitReady()
	}
	harness.Until(t, patience, "the new workers own all partitions", func() bool {
		owned := 0.0
		for _, w := range s.workers {
			owned += w.Metrics().Sum("invited_partitions_owned")
		}
		return owned == partitions
	})
	c.quiet(2 * time.Second) // they would send within a second
	went := c.resume()
	pause := time.Since(paused)

	c.until(0.5)
	killed := time.Now()
	c.leg()
	for _, w := range s.workers {
		w.Kill()
		w.Start()
		w.AwaitReady()
	}
	calls := s.sim.Ledger().Calls
	harness.Until(t, bound(20*time.Second), "it is sent again", func() bool { return s.sim.Ledger().Calls > calls })
	outage := time.Since(killed)

	c.until(1)
	took := time.Since(began)
	c.leg()
	end, ledger := c.standing(c.name), s.sim.Ledger()
	assert.Equal(t, "ended", end.State)
	assert.Equal(t, ledger.Unique, end.Sent)
	assert.Equal(t, map[string]int{"rejected": len(refused)}, end.DeadByReason)
	assert.Zero(t, end.Left)
	assert.LessOrEqual(t, ledger.Duplicates, inFlight*most, "only calls in flight at a kill happen twice")
	assert.Zero(t, ledger.Throttled, "no window is exceeded")
	assert.LessOrEqual(t, went, bound(time.Second))
	sending := took - pause - outage
	t.Logf("%d sent, %d dead, %d sent twice, in %d calls, %d refused; looked %d times; still %s after pause had returned, went on %s after resume",
		end.Sent, end.Dead, ledger.Duplicates, ledger.Calls, ledger.Throttled, c.looks, still.Round(time.Millisecond), went.Round(time.Millisecond))
	t.Logf("%s in all, %s of it paused and %s without a worker: sending took %s, and the calls need %s at the least: %.1f %%",
		took.Round(time.Second/10), pause.Round(time.Second/10), outage.Round(time.Second/10), sending.Round(time.Second/10), c.least,
		100*c.least.Seconds()/sending.Seconds())
}
