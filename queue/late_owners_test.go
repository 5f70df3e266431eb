package queue_test

import (
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/invitedhq/invited/queue"
	"github.com/invitedhq/invited/queue/embedded/embeddedtest"
)

// The owner in between was cut off for a moment, when nothing of what it had sent again was stored, and has the partition again.
func TestAResultThatCameLateSaysThatAnOwnerWhoseLeaseRanOutMayHaveSentTheJobAgain(t *testing.T) {
	inFakeTime(t, queue.Options{Partitions: 16}, func(t *testing.T, f *fixture) {
		b := newBook(t)
		wire := &embeddedtest.Wire{Server: f.server}
		late := b.endedLate(f, queue.Ending{Sent: 4}, nats.InProcessServer(wire))
		wire.Cut()
		time.Sleep(2600 * time.Millisecond)
		require.False(t, time.Now().Before(late.next.queue.Lease()))
		wire.Mend()
		time.Sleep(10 * time.Second)
		assert.True(t, b.ended(f, late.next).MaybeDuplicate, "the one in between had it, too")
	})
}

// What the owners after it can't look at, as the campaign is paused, is looked at by the one after them.
func TestAResultThatCameLateSaysThatAGoneOwnerMayHaveSentTheJobAgainHoweverManyOwnersLater(t *testing.T) {
	for name, leave := range map[string]func(w *tenant){
		"the one after it died":     func(w *tenant) { w.die() },
		"the one after it left":     func(w *tenant) { w.unclean.Store(true); w.stop() },
		"the one after it stopped":  func(w *tenant) { w.stop() },
		"the one after it is there": func(*tenant) {},
	} {
		t.Run(name, func(t *testing.T) {
			inFakeTime(t, queue.Options{Partitions: 16}, func(t *testing.T, f *fixture) {
				b := newBook(t)
				o, err := queue.NewOrganizer(t.Context(), f.nc)
				require.NoError(t, err)
				late := b.endedLateOf(f, campaign, queue.Ending{Sent: 4})
				_, err = o.Pause(t.Context(), campaign)
				require.NoError(t, err)
				time.Sleep(2 * time.Second)
				late.next.die()
				third := b.join(f)
				time.Sleep(10 * time.Second)
				leave(third)
				fourth := b.join(f)
				time.Sleep(10 * time.Second)
				_, err = o.Resume(t.Context(), campaign)
				require.NoError(t, err)
				time.Sleep(10 * time.Second)
				assert.True(t, b.ended(f, third, fourth).MaybeDuplicate, "the one in between had it, too")
			})
		})
	}
}

func TestAJobThatEndedIsNotSentAgainWhenItsCampaignWasPausedAndHandedOverInOrder(t *testing.T) {
	inFakeTime(t, queue.Options{Partitions: 16}, func(t *testing.T, f *fixture) {
		b := newBook(t)
		o, err := queue.NewOrganizer(t.Context(), f.nc)
		require.NoError(t, err)
		first := b.join(f)
		f.publish(campaign, job("a", 11, 12, 13, 14))
		theirs := first.await()
		first.die() // between the result and the acknowledgement
		_, err = f.js.PublishMsg(t.Context(), queue.ResultMessage(theirs, queue.Ending{Sent: 4, EndedAt: time.Now()}))
		require.NoError(t, err)
		_, err = o.Pause(t.Context(), campaign)
		require.NoError(t, err)
		second := b.join(f)
		time.Sleep(10 * time.Second)
		second.stop()
		third := b.join(f)
		time.Sleep(10 * time.Second)
		_, err = o.Resume(t.Context(), campaign)
		require.NoError(t, err)
		time.Sleep(10 * time.Second)
		assert.False(t, b.ended(f, third).MaybeDuplicate, "it was sent once")
	})
}

// It had stored the one, and not yet removed the other.
func TestAJobHasOneResultAlsoWhereAWorkerDiesWhileItPutsOneInAnothersPlace(t *testing.T) {
	inFakeTime(t, queue.Options{Partitions: 16}, func(t *testing.T, f *fixture) {
		b := newBook(t)
		late := b.endedLate(f, queue.Ending{Sent: 4})
		late.next.die()
		third := &tenant{fixture: dial(t, f.server), book: b}
		third.open(queue.Options{Partitions: 16})
		third.queue.Interpose(func(stream, doing string) {
			if stream == queue.ResultsStream && doing == "removal" {
				third.nc.Close()
			}
		})
		third.stop = third.work(third)
		time.Sleep(10 * time.Second)
		third.stop()
		require.Len(t, f.results(queue.Filter{}), 2)
		fourth := b.join(f)
		time.Sleep(10 * time.Second)
		assert.True(t, b.ended(f, fourth).MaybeDuplicate, "the one in between had it, too")
	})
}

// Its ending waited for room so long that the partition was lost, and came back, meanwhile: what the owner in between did is not known.
func TestAnEndingOfAJobThatWasHadBeforeThePartitionWasLostIsTooLate(t *testing.T) {
	inFakeTime(t, queue.Options{Partitions: 16}, func(t *testing.T, f *fixture) {
		b := newBook(t)
		wire := &embeddedtest.Wire{Server: f.server}
		first := b.join(f, nats.InProcessServer(wire))
		time.Sleep(5 * time.Second)
		f.publish(alice, job("a", 11, 12, 13, 14))
		theirs := first.await()
		wire.Cut()
		second := b.join(f)
		again := second.await()
		p := someProgress()
		p.MaybeDuplicate = true
		second.save(again, p)
		wire.Mend()
		time.Sleep(10 * time.Second)
		require.NoError(t, again.Release(0))
		second.stop()
		time.Sleep(5 * time.Second)
		require.Len(t, first.take(), 1, "it has come back")
		settled := make(chan error, 1)
		first.queue.Settle(t.Context(), theirs, queue.Ending{Sent: 4, EndedAt: time.Now()}, func(err error) { settled <- err })
		require.ErrorIs(t, <-settled, queue.ErrLost)
		assert.Equal(t, 1, f.count("INVITES"), "else nobody could say that the next owner sent it again")
		_, ok, err := first.queue.LoadProgress(t.Context(), theirs)
		require.NoError(t, err)
		assert.True(t, ok, "and what he has sent")
	})
}
