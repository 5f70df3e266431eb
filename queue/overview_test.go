package queue_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/invitedhq/invited/queue"
	"github.com/invitedhq/invited/queue/embedded/embeddedtest"
)

func (f *fixture) overview() queue.Overview {
	f.Helper()
	o, err := f.reader.Overview(f.Context())
	require.NoError(f, err)
	return o
}

func TestAnOverviewSaysWhoOwnsWhat(t *testing.T) {
	inFakeTime(t, queue.Options{Partitions: 4}, func(t *testing.T, f *fixture) {
		o := f.overview()
		assert.Empty(t, o.Workers)
		require.Len(t, o.Partitions, 4)
		assert.Equal(t, queue.OwnerSeen{Partition: 3}, o.Partitions[3], "nobody's, and never anybody's")

		w := f.consume()
		time.Sleep(time.Minute)
		o = f.overview()
		require.Len(t, o.Workers, 1)
		assert.Equal(t, 4, o.Workers[0].Owns)
		assert.False(t, o.Workers[0].Leaving)
		assert.WithinDuration(t, time.Now().Add(-time.Minute), o.Workers[0].Since, 2*time.Second)
		assert.WithinDuration(t, time.Now(), o.At, time.Second)
		for _, p := range o.Partitions {
			assert.Equal(t, o.Workers[0].Name, p.Owner)
			assert.WithinDuration(t, time.Now().Add(-time.Minute), p.Since, 2*time.Second)
		}

		name := o.Workers[0].Name
		w.stop()
		o = f.overview()
		assert.Empty(t, o.Workers, "it has left")
		assert.Equal(t, []string{"", name}, []string{o.Partitions[0].Owner, o.Partitions[0].Before}, "it has released what it had")
	})
}

func TestAnOverviewBelievesAWorkerForAsLongAsItsLease(t *testing.T) {
	inFakeTime(t, queue.Options{Partitions: 2}, func(t *testing.T, f *fixture) {
		f.raw("invites.workers.alive.crashed", `{"forMs":60000}`)
		f.raw("invites.workers.owner.1", `{"worker":"crashed"}`)
		f.raw("invites.workers.owner.0", `{"worker":"crashed","released":true}`)
		f.raw("invites.workers.alive.other", `{"leaving":true}`)
		f.raw("invites.workers.alive.gone", `{"left":true}`)
		f.raw("invites.workers.alive.hostile", `{"forMs":"long"`)
		time.Sleep(2900 * time.Millisecond)
		o := f.overview()
		require.Len(t, o.Workers, 2)
		assert.Equal(t, "crashed", o.Partitions[1].Owner)
		assert.Equal(t, []string{"", "crashed"}, []string{o.Partitions[0].Owner, o.Partitions[0].Before}, "it has handed that over")
		assert.Equal(t, 1, o.Workers[0].Owns)
		assert.WithinDuration(t, time.Now().Add(-62900*time.Millisecond), o.Workers[0].Since, time.Second)
		assert.Equal(t, queue.WorkerSeen{Name: "other", Leaving: true}, o.Workers[1], "one of an earlier version does not say since when")
		time.Sleep(200 * time.Millisecond)
		o = f.overview()
		assert.Empty(t, o.Workers)
		assert.Empty(t, o.Partitions[1].Owner, "whoever is gone owns nothing")
		assert.Equal(t, "crashed", o.Partitions[1].Before)
	})
}

func TestAnOverviewCountsWhatWaitsAndWhatIsDead(t *testing.T) {
	inFakeTime(t, queue.Options{}, func(t *testing.T, f *fixture) {
		assert.Equal(t, []queue.LaneSeen{{Lane: queue.Interactive}, {Lane: queue.Bulk}}, f.overview().Lanes)
		began := time.Now()
		f.publish(alice, job("a", 1))
		f.start(queue.CampaignOrder{Address: campaign}, players(1, 16*3))
		other := campaign
		other.Campaign = "by-hand"
		f.publish(other, job("b", 1))
		time.Sleep(time.Minute)
		f.publish(alice, job("c", 2))
		f.raw("invites.dead.100.rejected", "{}")
		f.raw("invites.dead.101.rejected", "{}")
		f.raw("invites.dead.0.invalid", "no job")
		o := f.overview()
		assert.Equal(t, []int{2, 4}, []int{o.Lanes[0].Jobs, o.Lanes[1].Jobs})
		assert.WithinDuration(t, began, o.Lanes[0].Oldest, time.Second)
		assert.WithinDuration(t, began, o.Lanes[1].Oldest, time.Second)
		assert.Equal(t, 2, o.Campaigns)
		assert.Equal(t, []queue.ReasonCount{{Reason: queue.Invalid, Letters: 1}, {Reason: queue.Rejected, Letters: 2}}, o.Dead)
	})
}

func TestAnOverviewSaysWhoIsBlockedAndForHowLong(t *testing.T) {
	inFakeTime(t, queue.Options{}, func(t *testing.T, f *fixture) {
		f.raw("invites.keys.0.100.bob", `{"blockedFor":90000}`)
		f.raw("invites.keys.1.100.alice", `{"ago":[10],"blockedFor":30000}`)
		f.raw("invites.keys.2.100.free", `{"ago":[10]}`)
		f.raw("invites.keys.3.100.hostile", `{"blockedFor":"`)
		o := f.overview()
		require.Len(t, o.Blocked, 2)
		assert.Equal(t, []string{"alice", "bob"}, []string{o.Blocked[0].Sender, o.Blocked[1].Sender}, "in the order in which they open")
		assert.WithinDuration(t, o.At.Add(30*time.Second), o.Blocked[0].Until, 100*time.Millisecond)
		time.Sleep(31 * time.Second)
		o = f.overview()
		require.Len(t, o.Blocked, 1)
		assert.Equal(t, "bob", o.Blocked[0].Sender)
	})
}

func TestAnOverviewSaysWhoHasNoTokenAndWhy(t *testing.T) {
	inFakeTime(t, queue.Options{}, func(t *testing.T, f *fixture) {
		now := time.Now()
		f.saveKey(queue.KeyState{
			Partition: 1, TitleID: 100, Sender: "bob", NoTokenSince: now.Add(-time.Minute),
			NoTokenWhy: "missing:\r\n" + strings.Repeat("ü", 500), Until: now.Add(10 * time.Second),
		})
		f.saveKey(queue.KeyState{Partition: 0, TitleID: 100, Sender: "ada", NoTokenSince: now.Add(-time.Hour), NoTokenWhy: "banned", Until: now.Add(10 * time.Second)})
		f.raw("invites.keys.2.100.free", `{"noTokenFor":90000}`)
		o := f.overview()
		require.Len(t, o.NoToken, 2)
		assert.Equal(t, []string{"ada", "bob"}, []string{o.NoToken[0].Sender, o.NoToken[1].Sender}, "who has waited longest comes first")
		assert.WithinDuration(t, o.At.Add(-time.Hour), o.NoToken[0].Since, 100*time.Millisecond)
		assert.Equal(t, "banned", o.NoToken[0].Why)
		assert.LessOrEqual(t, len(o.NoToken[1].Why), 240)
		assert.Regexp(t, "^missing:  ü+…$", o.NoToken[1].Why)
		f.saveKey(queue.KeyState{Partition: 0, TitleID: 100, Sender: "ada", Until: now.Add(time.Hour)})
		time.Sleep(20 * time.Second)
		assert.Empty(t, f.overview().NoToken, "one has a token, and of the other nothing was heard any more")
	})
}

func TestAReaderNeedsStreamsAndMakesNone(t *testing.T) {
	nc := embeddedtest.Connect(t, embeddedtest.Start(t))
	r, err := queue.NewReader(nc)
	require.NoError(t, err)
	for range 2 {
		_, err = r.Overview(t.Context())
		require.ErrorIs(t, err, queue.ErrNoQueue)
		for _, err := range r.Results(t.Context(), queue.Filter{}) {
			require.ErrorIs(t, err, queue.ErrNoQueue)
		}
		for _, err := range r.DeadLetters(t.Context(), queue.Filter{}) {
			require.ErrorIs(t, err, queue.ErrNoQueue)
		}
	}
}
