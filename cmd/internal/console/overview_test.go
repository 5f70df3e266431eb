package console

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/invitedhq/invited/queue"
)

func worker(name string, a queue.Activity) queue.WorkerActivity {
	if a.Calls == nil {
		a.Calls = map[string]uint64{}
	}
	return queue.WorkerActivity{Name: name, Heard: time.Now(), Up: time.Minute, Activity: a}
}

func lanes(interactive, bulk int, oldest time.Duration) queue.Backlog {
	now := time.Now()
	return queue.Backlog{At: now, Parts: 4, Lanes: []queue.LaneSeen{
		{Lane: queue.Interactive, Jobs: interactive, Oldest: now.Add(-oldest)}, {Lane: queue.Bulk, Jobs: bulk, Oldest: now.Add(-oldest)},
	}}
}

func TestWhetherMoreWorkersWouldHelpIsSaidWithItsReason(t *testing.T) {
	some := queue.Activity{InHand: 100, InFlight: 1, Partitions: []int{0, 1, 2, 3}}
	bound := some
	bound.QuotaBound = true
	four := []queue.WorkerActivity{worker("a", some), worker("b", some), worker("c", some), worker("d", some)}
	for name, c := range map[string]struct {
		v           view
		answer, why string
	}{
		"nobody works":           {view{backlog: lanes(1, 0, 0)}, "Yes", "no worker"},
		"nothing waits":          {view{workers: four[:1]}, "No", "nothing waits"},
		"all wait for quota":     {view{workers: []queue.WorkerActivity{worker("a", bound), worker("b", queue.Activity{})}, backlog: lanes(0, 900, 0)}, "No", "waits for quota"},
		"all that waits is held": {view{workers: []queue.WorkerActivity{worker("a", queue.Activity{})}, backlog: lanes(0, 900, 0)}, "No", "paused"},
		"one is behind":          {view{workers: []queue.WorkerActivity{worker("a", bound), worker("b", some)}, backlog: lanes(0, 900, 0)}, "Perhaps", "in the hands of 1 worker"},
		"there is no room":       {view{workers: four, backlog: lanes(0, 900, 0)}, "No", "each of the 4 partitions"},
	} {
		answer, why := verdict(c.v)
		assert.Equal(t, c.answer, answer, name)
		assert.Contains(t, why, c.why, name)
	}
}

func TestProblemsAreInWordsTheGravestFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		now := time.Now()
		since := now.Add(-time.Hour)
		c := &Console{}
		w := worker("w-1", queue.Activity{Partitions: []int{0, 1, 3}, Keys: &queue.KeysActivity{
			Tokenless: 3, TokenTop: []queue.KeyActivity{{TitleID: 7, Sender: "cup-bot", Refused: true, For: time.Hour.Milliseconds(), Waiting: 1204}},
			Outages: []queue.KeyActivity{{TitleID: 8, For: time.Hour.Milliseconds(), Waiting: 1}},
		}})
		w.Leaving = true
		found := c.problems(view{now: now, began: since, workers: []queue.WorkerActivity{w}, backlog: lanes(5, 0, time.Minute), backlogAt: now})
		var words []string
		graves := 0
		for i, p := range found {
			words = append(words, p.Text+"|"+p.More)
			if p.Grave {
				graves++
				assert.Equal(t, graves, i+1, "the grave ones come first")
			}
		}
		assert.Equal(t, []string{
			"1 partition of 4 is nobody's, so that their jobs wait: 2.|",
			"Title 8: the service does not answer since|; at least 1 invite waits.",
			"Sender cup-bot, title 7: its token is refused since|; at least 1,204 invites wait.",
			"2 further senders of w-1 wait for a token.|",
			"A player has waited for 1 min: the oldest of 5 interactive jobs that wait was published at|",
			"Worker w-1 was told to stop, and finishes what it has.|",
		}, words)
		assert.WithinDuration(t, since, found[2].Since, time.Second)

		found = c.problems(view{now: now, began: now, backlogErr: errors.New("no answer for 2533274790395904")})
		require.Len(t, found, 2)
		assert.Equal(t, "The queues can't be read: no answer for •••904.", found[0].Text)
		assert.Contains(t, found[1].Text, "No worker has a lease")
		assert.Empty(t, c.problems(view{now: now, began: now, workers: []queue.WorkerActivity{worker("a", queue.Activity{})}, backlog: lanes(1, 1, time.Second)}))
	})
}

func TestOfAWorkerThatDoesNotSayWhatItDoesNothingIsSaid(t *testing.T) {
	now := time.Now()
	old := queue.WorkerActivity{Name: "old", Heard: now, Up: time.Hour}
	v := view{
		now: now, began: now.Add(-time.Hour), backlog: lanes(0, 900, 0), backlogAt: now,
		workers: []queue.WorkerActivity{worker("new", queue.Activity{Partitions: []int{0, 1}}), old},
	}
	assert.Empty(t, (&Console{}).problems(v), "partitions 2 and 3 are not nobody's: it may have them")
	answer, why := verdict(v)
	assert.Equal(t, "Perhaps", answer)
	assert.Contains(t, why, "1 worker of an earlier version")
	v.workers = v.workers[:1]
	assert.NotEmpty(t, (&Console{}).problems(v))
}

func TestAPartitionThatIsHandedOverIsNotNobodys(t *testing.T) {
	g := &collector{seen: make(map[string]queue.Activity), owned: make(map[int]time.Time)}
	now := time.Now()
	g.add(now, worker("a", queue.Activity{Partitions: []int{0, 1, 2, 3}}))
	g.add(now.Add(time.Second), worker("a", queue.Activity{Partitions: []int{0, 1}}), worker("b", queue.Activity{}))
	after := func(d time.Duration) []problem {
		v := view{now: now.Add(d), began: now.Add(-time.Hour), workers: g.workers, owned: g.owned, backlog: lanes(0, 0, 0), backlogAt: now}
		return (&Console{}).problems(v)
	}
	assert.Empty(t, after(2*time.Second), "b has not said yet that it has 2 and 3")
	assert.Len(t, after(20*time.Second), 1)
}

func TestWhatAllWorkersDidIsAddedUpWhoeverComesAndGoes(t *testing.T) {
	g := &collector{began: time.Now().Add(-time.Minute), seen: make(map[string]queue.Activity), owned: make(map[int]time.Time)}
	said := func(name string, sent uint64, up time.Duration) queue.WorkerActivity {
		w := worker(name, queue.Activity{Sent: sent, Calls: map[string]uint64{sentCalls: sent / 2}})
		w.Up = up
		return w
	}
	now := time.Now()
	g.add(now, said("old", 1000, time.Hour), said("young", 10, time.Second))
	assert.Equal(t, uint64(10), g.sum.sent, "what one did before this console began is not its to show")
	g.add(now, said("old", 1004, time.Hour), said("young", 12, 2*time.Second))
	assert.Equal(t, uint64(16), g.sum.sent)
	assert.Equal(t, uint64(8), g.sum.calls[sentCalls])
	g.add(now, said("young", 3, 3*time.Second))
	assert.Equal(t, uint64(16), g.sum.sent, "one that says less than before is not believed")
}

func TestAWorkerAtItsQuotaWaitsForItThoughItSendsNowAndThen(t *testing.T) {
	g := &collector{seen: make(map[string]queue.Activity), owned: make(map[int]time.Time)}
	now := time.Now()
	for second, bound := range []bool{false, true, false, false} {
		g.add(now.Add(time.Duration(second)*time.Second), worker("a", queue.Activity{QuotaBound: bound}))
		assert.Equal(t, second > 0, g.workers[0].QuotaBound)
	}
	g.add(now.Add(boundFor+time.Second), worker("a", queue.Activity{}))
	assert.False(t, g.workers[0].QuotaBound, "it has not for a while")
}

func TestCurvesHaveAPointEachFiveSecondsForAQuarterOfAnHour(t *testing.T) {
	g := &collector{}
	begin := time.Now()
	for s := range 3600 / 2 {
		g.backlogAt = begin.Add(time.Duration(2*s) * time.Second)
		g.sum.sent += 20
		g.keep(g.backlogAt)
	}
	assert.InDelta(t, keptFor.Seconds()/6, len(g.samples), 3, "each third look, with looks every two seconds")
	v := view{now: g.backlogAt, samples: g.samples}
	assert.InDelta(t, keptFor.Seconds(), v.now.Sub(g.samples[0].at).Seconds(), 8)
	sent, _ := v.rates()
	assert.InDelta(t, 10, sent, 0.01)
}
