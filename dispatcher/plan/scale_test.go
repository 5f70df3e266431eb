package plan

import (
	"flag"
	"fmt"
	"math"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/invitedhq/invited/queue"
	"github.com/invitedhq/invited/xbl"
)

// full makes the tests of this file run at the size that docs/scaling.md tells
// of, and print its tables. Without it they are a hundredth as large.
var full = flag.Bool("scale.full", false, "simulate 10 million recipients and print the tables of docs/scaling.md (minutes)")

// row writes one row of a table, in the full form only.
func row(t *testing.T, cells ...any) {
	t.Helper()
	if !*full {
		return
	}
	line := "|"
	for _, c := range cells {
		line += fmt.Sprintf(" %v |", c)
	}
	fmt.Fprintln(t.Output(), line)
}

func percent(a, b float64) string { return fmt.Sprintf("%.2f %%", 100*a/b) }

// leastFor is how long the quota makes n calls of one key take at the least:
// when the last of them may be made, however the service's windows lie.
func leastFor(n int) time.Duration {
	short, long := published[0], published[1]
	last := n - 1
	return time.Duration(last/long.Max)*long.Per + time.Duration(last%long.Max/short.Max)*short.Per
}

// TestAFleetUsesTheWholeQuota: however many workers there are, and with one in
// a hundred crashing and as many joining each hour, a large send takes as long as
// the quota makes it take.
func TestAFleetUsesTheWholeQuota(t *testing.T) {
	recipients, manyKeys := 100_000, 100
	if *full {
		recipients, manyKeys = 10_000_000, 1000
	}
	row(t, "keys", "workers", "took", "least by the quota", "quota used", "calls", "slots filled", "refused",
		"crashes", "partitions moved", "in flight at a crash", "sent twice")
	for _, keys := range []int{1, manyKeys} {
		for _, workers := range []int{10, 100, 1000} {
			t.Run(fmt.Sprintf("%d keys, %d workers", keys, workers), func(t *testing.T) {
				f := newFleet(t, workers, partitionsFor(workers))
				for i := range keys {
					f.campaign(Key{fmt.Sprint("cup-", i), 730}, recipients/keys)
				}
				every := time.Hour * 100 / time.Duration(workers)
				if !*full {
					every = time.Minute // else a short run would see none
				}
				f.run(every)
				f.requireKept()
				least := leastFor((recipients/keys + xbl.MaxInvitedUsers - 1) / xbl.MaxInvitedUsers)
				assert.LessOrEqual(t, f.took, least+least/50+30*time.Second, "98 %% of the quota, and two Retry-Afters after crashes")
				assert.LessOrEqual(t, f.service.refused, f.inFlightLost, "what a crash takes along is what was in flight")
				f.report(keys, workers, fmt.Sprint(least), percent(float64(least), float64(f.took)))
			})
		}
	}
}

// TestAFleetServesMillionsOfSenders: the quota of each is far away, so what
// counts is how many calls the workers make at once.
func TestAFleetServesMillionsOfSenders(t *testing.T) {
	senders := 10_000
	if *full {
		senders = 1_000_000
	}
	row(t, "keys", "workers", "took", "if all had as many partitions", "of that", "calls", "slots filled", "refused",
		"crashes", "partitions moved", "in flight at a crash", "sent twice")
	for _, workers := range []int{10, 100, 1000} {
		for _, every := range []time.Duration{0, 2 * time.Second} { // one in a hundred each hour would be none
			if !*full {
				every /= 10
			}
			t.Run(fmt.Sprintf("%d workers, a crash each %v", workers, every), func(t *testing.T) {
				f := newFleet(t, workers, partitionsFor(workers))
				f.players(senders, 10)
				f.run(every)
				f.requireKept()
				assert.Zero(t, f.service.refused, "one call each is far from the quota")
				even := time.Duration(float64(senders) / float64(256*workers) * float64(103*time.Millisecond))
				f.report(senders, workers, fmt.Sprint(even.Round(10*time.Millisecond)), percent(float64(even), float64(f.took)))
			})
		}
	}
}

// partitionsFor is what docs/scaling.md says to set.
func partitionsFor(workers int) int {
	if workers <= 10 {
		return 64
	}
	return 512
}

func (f *fleet) report(keys, workers int, least, used string) {
	f.t.Helper()
	row(f.t, keys, workers, f.took.Round(10*time.Millisecond), least, used, f.calls,
		percent(float64(f.recipients), float64(f.calls*xbl.MaxInvitedUsers)), f.service.refused,
		f.crashes, f.moved, f.inFlightLost, f.twice)
	f.t.Logf("%d calls of %d recipients, %d jobs, in %v; %d refused, %d sent twice at %d crashes",
		f.calls, f.recipients, f.jobs, f.took, f.service.refused, f.twice, f.crashes)
}

// TestAJobAndAKeyTakeLittleMemory measures what a planner holds.
func TestAJobAndAKeyTakeLittleMemory(t *testing.T) {
	n := 10_000
	if *full {
		n = 1_000_000
	}
	newPlanner := func() *Planner {
		return newWorld(t, Config{Limits: Limits{Windows: published}}, &service{}).planner
	}
	now := time.Unix(1_700_000_000, 0)
	row(t, "in a planner", "bytes each")
	for _, c := range []struct {
		name string
		most int
		fill func(*Planner)
	}{
		{"a waiting job of 16 recipients, all of one key", 1300, func(p *Planner) {
			for range n {
				p.Add(now, bulk("cup", "finals", 16))
			}
		}},
		{"a waiting job of 1 recipient, all of one key", 1100, func(p *Planner) {
			for range n {
				p.Add(now, bulk("cup", "finals", 1))
			}
		}},
		{"a key with a waiting job of 10 recipients", 2500, func(p *Planner) {
			for i := range n {
				j := interactive(fmt.Sprint("player-", i), 10)
				j.ExpiresAt = now.Add(5 * time.Minute)
				p.Add(now, j)
			}
		}},
		{"a key without jobs that made one call lately", 1500, func(p *Planner) {
			for i := range n {
				p.Remember(now, State{Key: Key{fmt.Sprint("player-", i), 730}, Calls: []Run{{At: now, N: 1}}})
			}
		}},
		{"a key without jobs that made 50 calls lately", 2000, func(p *Planner) {
			calls := make([]Run, 50)
			for i := range calls {
				calls[i] = Run{At: now, N: 1}
			}
			for i := range n {
				p.Remember(now, State{Key: Key{fmt.Sprint("player-", i), 730}, Calls: calls})
			}
		}},
	} {
		p := newPlanner()
		before := heapInUse()
		c.fill(p)
		each := int(math.Round(float64(heapInUse()-before) / float64(n)))
		runtime.KeepAlive(p)
		row(t, c.name, each)
		assert.Less(t, each, c.most, c.name)
	}
}

// TestAKeyOfUnknownQuotaKeepsItsCallsInFifteenKilobytes: at full pace there are thousands of such keys, each with all the calls it may keep.
func TestAKeyOfUnknownQuotaKeepsItsCallsInFifteenKilobytes(t *testing.T) {
	now := time.Unix(1_700_000_000, 0)
	logs := make([]callLog, 100)
	before := heapInUse()
	for i := range logs {
		logs[i].unknown = true
		for call := range 2 * maxEnds {
			logs[i].start()
			logs[i].answered(now.Add(time.Duration(call)*100*time.Millisecond), true)
		}
		assert.GreaterOrEqual(t, logs[i].ends.len(), maxEnds, "the last ones are kept, to find the quota out")
	}
	each := (heapInUse() - before) / uint64(len(logs))
	runtime.KeepAlive(logs)
	row(t, "a key of unknown quota", each)
	assert.Less(t, each, uint64(15_000))
}

func heapInUse() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// TestPartitionsSpreadOverWorkers: how evenly rendezvous hashing does it, and
// how little moves.
func TestPartitionsSpreadOverWorkers(t *testing.T) {
	draws := 10
	if *full {
		draws = 100
	}
	row(t, "partitions", "workers", "mean", "most", "most / mean", "workers with none", "moved by a join", "by a leave")
	for _, partitions := range []int{16, 64, 256, 512} {
		for _, workers := range []int{10, 100, 1000} {
			var most, none, joined, left float64
			for draw := range draws {
				f := newFleet(t, 0, 0)
				names := make([]string, workers)
				for i := range names {
					names[i] = fmt.Sprintf("invited-%d-%08x", i, f.chance.Uint32()+uint32(draw))
				}
				shares := make(map[string]int)
				for n := range partitions {
					owner := queue.Preferred(n, names)
					shares[owner]++
					if queue.Preferred(n, []string{owner, fmt.Sprint("new-", draw)}) != owner {
						joined++
					}
				}
				left += float64(shares[names[0]])
				none += float64(workers - len(shares))
				top := 0
				for _, n := range shares {
					top = max(top, n)
				}
				most += float64(top)
			}
			mean, d := float64(partitions)/float64(workers), float64(draws)
			assert.InDelta(t, mean, joined/d, 0.5*mean+1, "who comes gets a share")
			row(t, partitions, workers, fmt.Sprintf("%.2f", mean), fmt.Sprintf("%.1f", most/d), fmt.Sprintf("%.1f", most/d/mean),
				percent(none/d, float64(workers)), fmt.Sprintf("%.2f", joined/d), fmt.Sprintf("%.2f", left/d))
		}
	}
}
