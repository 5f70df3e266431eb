package plan

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/invitedhq/invited/queue"
	"github.com/invitedhq/invited/xbl"
)

// TestNoWindowIsExceeded: whatever arrives when, however long calls take and
// wherever the service's fixed windows begin, it never counts one call too many.
func TestNoWindowIsExceeded(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		windows := drawWindows(r)
		s := &service{windows: windows, offset: -1, latency: drawLatency(r)}
		if rapid.Bool().Draw(r, "windows aligned to the clock") {
			s.offset = time.Duration(rapid.Int64Range(0, int64(windows[0].Per)).Draw(r, "offset"))
		}
		w := newWorld(t, Config{Limits: Limits{Windows: windows}}, s)
		all := drawArrivals(r, w, nil)
		w.run(24 * time.Hour)
		require.Zero(r, s.refused, "a call was refused: windows %v", windows)
		for _, j := range all {
			require.Equal(r, 1, w.ended[j])
		}
		for user, times := range s.sent {
			require.Equalf(r, 1, times, "recipient %d", user)
		}
	})
}

// TestEveryJobEndsOnceAndEveryRecipientIsSentOrDead: under throttles, faults
// and refused recipients drawn at will.
func TestEveryJobEndsOnceAndEveryRecipientIsSentOrDead(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		// The service allows less than the planner knows, and fails at times.
		s := &service{windows: []Window{{3, 10 * time.Second}}, offset: -1, latency: drawLatency(r), refuses: map[queue.XUID]bool{}}
		fails := rapid.IntRange(0, 4).Draw(r, "one call in … fails")
		n := 0
		s.faulty = func(*Call) *xbl.Error {
			if n++; fails > 0 && n%(fails+1) == 0 {
				return []*xbl.Error{errUnavailable, errDial, errCut, errToken, errNoToken}[n/(fails+1)%5]
			}
			return nil
		}
		w := newWorld(t, Config{Limits: Limits{Windows: []Window{{5, 10 * time.Second}}}, MaxAttempts: 1000}, s)
		all := drawArrivals(r, w, func(u queue.XUID) {
			// Five that are refused alone, with nothing sent in between, look like a request that is refused as a whole.
			if len(s.refuses) < singlesBeforeGivingUp-1 && rapid.IntRange(0, 20).Draw(r, "refused") == 0 {
				s.refuses[u] = true
			}
		})
		w.run(48 * time.Hour)
		require.Zero(r, s.inBlock, "no call inside a Retry-After")
		for _, j := range all {
			require.Equal(r, 1, w.ended[j], "each job ends once")
			requireFate(r, s, j)
		}
		w.t = t
		w.requireForgotten()
	})
}

// requireFate checks a job's ending against what the service has seen.
func requireFate(r *rapid.T, s *service, j *Job) {
	dead := map[queue.XUID]queue.Reason{}
	for _, d := range j.Dead {
		for _, u := range d.Recipients {
			require.Emptyf(r, dead[u], "recipient %d died twice", u)
			dead[u] = d.Reason
		}
	}
	require.Equal(r, len(j.Recipients), j.Sent+len(dead))
	for _, u := range j.Recipients {
		switch {
		case s.refuses[u]:
			require.Equal(r, queue.Rejected, dead[u], "a refused recipient is a dead letter")
			require.Zero(r, s.sent[u])
		case dead[u] == queue.Rejected:
			require.Zero(r, s.sent[u])
			require.Failf(r, "an innocent recipient died", "%d of %d refused", len(dead), len(j.Recipients))
		default:
			require.Empty(r, dead[u])
			require.GreaterOrEqual(r, s.sent[u], 1)
			require.True(r, s.sent[u] == 1 || j.MaybeDuplicate, "a recipient who got two invites must be told of by maybeDuplicate")
		}
	}
}

// TestInteractiveIsNeverOvertakenByBulk of the same key.
func TestInteractiveIsNeverOvertakenByBulk(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		windows := drawWindows(r)
		w := newWorld(t, Config{Limits: Limits{Windows: windows}}, &service{windows: windows, offset: -1, latency: drawLatency(r)})
		waiting := map[Key]map[*Job]bool{}
		w.onCall = func(c *Call) {
			carried := 0
			for _, j := range c.Jobs() {
				if j.Lane == queue.Interactive {
					carried++
					delete(waiting[c.Key], j)
				}
			}
			require.Truef(r, carried > 0 || len(waiting[c.Key]) == 0, "a bulk call of %v while interactive jobs wait", c.Key)
		}
		for range rapid.IntRange(1, 60).Draw(r, "jobs") {
			j := drawJob(r)
			if len(j.Recipients) > 16 {
				j.Recipients = j.Recipients[:16]
			}
			if j.Lane == queue.Interactive {
				if waiting[j.Key] == nil {
					waiting[j.Key] = map[*Job]bool{}
				}
				waiting[j.Key][j] = true
			}
			w.add(j)
			w.run(time.Duration(rapid.Int64Range(0, int64(2*time.Second)).Draw(r, "pause")))
		}
		w.run(24 * time.Hour)
	})
}

// TestATurnNeverComesEarlierThanPredicted: a job is given up early only if it
// really could not have been sent. The oracle sends calls that are answered at once.
func TestATurnNeverComesEarlierThanPredicted(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		l := callLog{windows: drawWindows(r)}
		now := time.Unix(1_700_000_000, 0)
		send := func() {
			for free, at := l.free(now, 0); !free; free, at = l.free(now, 0) {
				now = at
			}
			l.start()
			l.answered(now, true)
		}
		for range rapid.IntRange(0, 30).Draw(r, "calls before") {
			send()
			now = now.Add(time.Duration(rapid.Int64Range(0, int64(10*time.Second)).Draw(r, "pause")))
		}
		open := rapid.IntRange(0, 3).Draw(r, "calls in flight")
		for range open {
			for free, at := l.free(now, 0); !free && !at.IsZero(); free, at = l.free(now, 0) {
				now = at
			}
			if free, _ := l.free(now, 0); free {
				l.start()
			}
		}
		n := rapid.IntRange(0, 60).Draw(r, "calls ahead")
		predicted := l.turn(now, n, l.windows)
		for l.inFlight > 0 { // answered at once, as the prediction has it
			l.answered(now, true)
		}
		for range n + 1 {
			send()
		}
		require.False(r, now.Before(predicted), "sent at %v, which was said to be possible from %v on", now, predicted)
		if len(l.windows) == 1 {
			require.Equal(r, predicted, now, "with one window the prediction is exact")
		}
	})
}

func drawWindows(r *rapid.T) []Window {
	return rapid.SliceOfN(rapid.Custom(func(r *rapid.T) Window {
		return Window{
			Max: rapid.IntRange(1, 20).Draw(r, "max"),
			Per: time.Duration(rapid.IntRange(100, 60_000).Draw(r, "per (ms)")) * time.Millisecond,
		}
	}), 1, 3).Draw(r, "windows")
}

func drawLatency(r *rapid.T) func() (time.Duration, time.Duration) {
	most := rapid.Int64Range(1, int64(3*time.Second)).Draw(r, "most latency")
	seed := uint64(rapid.Int64Range(1, 1<<40).Draw(r, "latency seed"))
	next := func() time.Duration {
		seed = seed*6364136223846793005 + 1442695040888963407
		return time.Duration(seed>>33) % time.Duration(most)
	}
	return func() (time.Duration, time.Duration) { return next(), next() }
}

// drawArrivals adds jobs over some minutes; each recipient is shown to see.
func drawArrivals(r *rapid.T, w *world, see func(queue.XUID)) []*Job {
	var all []*Job
	for range rapid.IntRange(1, 40).Draw(r, "jobs") {
		j := drawJob(r)
		if see != nil {
			for _, u := range j.Recipients {
				see(u)
			}
		}
		all = append(all, j)
		w.add(j)
		w.run(time.Duration(rapid.Int64Range(0, int64(20*time.Second)).Draw(r, "pause")))
	}
	return all
}

func drawJob(r *rapid.T) *Job {
	sender := rapid.SampledFrom([]string{"ada", "bob"}).Draw(r, "sender")
	n := rapid.SampledFrom([]int{1, 1, 2, 3, 8, 15, 16, 17, 40}).Draw(r, "recipients")
	j := interactive(sender, n)
	if rapid.Bool().Draw(r, "bulk") {
		j = bulk(sender, rapid.SampledFrom([]string{"spring", "autumn"}).Draw(r, "campaign"), n)
	}
	j.ConnectionString = rapid.SampledFrom([]string{"", "lobby"}).Draw(r, "connection")
	return j
}
