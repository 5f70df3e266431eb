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

func TestAnEndingThatComesAfterTheLeaseLeavesTheNextOwnerTheJobAndItsProgress(t *testing.T) {
	inFakeTime(t, queue.Options{Partitions: 16}, func(t *testing.T, f *fixture) {
		b := newBook(t)
		w := &embeddedtest.Wire{Server: f.server}
		cutOff := b.join(f, nats.InProcessServer(w))
		time.Sleep(5 * time.Second)
		f.publish(alice, job("a", 11, 12, 13, 14))
		time.Sleep(time.Second)
		theirs := cutOff.take()
		require.Len(t, theirs, 1)
		cutOff.save(theirs[0], someProgress())
		w.Cut()
		settled := make(chan error, 1)
		cutOff.queue.Settle(t.Context(), theirs[0], queue.Ending{Sent: 4, EndedAt: time.Now()}, func(err error) { settled <- err })
		other := b.join(f)
		time.Sleep(5 * time.Second)
		mine := other.take()
		require.Len(t, mine, 1)
		require.NotNil(t, mine[0].Progress)
		w.Mend()
		time.Sleep(time.Second)
		require.Len(t, f.results(queue.Filter{}), 1, "too late to be known of")
		require.ErrorIs(t, <-settled, queue.ErrLost, "its worker is told that it did not acknowledge it")
		assert.Equal(t, 1, f.count("INVITES"), "else nobody could say that the next owner sent it again")
		_, ok, err := other.queue.LoadProgress(t.Context(), mine[0])
		require.NoError(t, err)
		require.True(t, ok, "else whoever has the job next would begin it anew")
	})
}

func TestAResultThatCameLateSaysThatTheNextOwnerSentSomeAgain(t *testing.T) {
	for name, ending := range map[string]queue.Ending{
		"all sent":    {Sent: 4, Attempts: 1},
		"partly dead": {Sent: 2, Attempts: 2, Dead: []queue.Dead{{Reason: queue.Rejected, Recipients: []queue.XUID{13}}, {Reason: queue.Expired, Recipients: []queue.XUID{14}}}},
	} {
		t.Run(name, func(t *testing.T) {
			inFakeTime(t, queue.Options{Partitions: 16}, func(t *testing.T, f *fixture) {
				b := newBook(t)
				late := b.endedLate(f, ending)
				before := f.results(queue.Filter{})[0]
				p := someProgress()
				p.MaybeDuplicate = true
				late.next.save(late.job, p)
				third := b.join(f)
				time.Sleep(time.Second)
				require.NoError(t, third.queue.LearnEndings(t.Context()), "as when it takes over from a worker that is gone")
				require.NoError(t, late.job.Release(0))
				late.next.stop()
				time.Sleep(10 * time.Second)
				before.MaybeDuplicate = true
				assert.Equal(t, before, b.ended(f, third))
			})
		})
	}
}

func TestAResultThatCameLateSaysThatAnOwnerWhoIsGoneMayHaveSentTheJobAgain(t *testing.T) {
	for name, leave := range map[string]func(l *lateEnding){
		"it died":                   func(l *lateEnding) { l.next.die() },
		"it left, but not in order": func(l *lateEnding) { l.next.unclean.Store(true); l.next.stop() },
	} {
		t.Run(name, func(t *testing.T) {
			inFakeTime(t, queue.Options{Partitions: 16}, func(t *testing.T, f *fixture) {
				b := newBook(t)
				late := b.endedLate(f, queue.Ending{Sent: 4})
				leave(late)
				third := b.join(f)
				time.Sleep(10 * time.Second)
				assert.True(t, b.ended(f, third).MaybeDuplicate, "the one in between had it, too")
			})
		})
	}
}

func TestAResultWhoseWorkerDiedBeforeTheAcknowledgementIsNoDuplicate(t *testing.T) {
	inFakeTime(t, queue.Options{Partitions: 16}, func(t *testing.T, f *fixture) {
		b := newBook(t)
		w := &embeddedtest.Wire{Server: f.server}
		first := b.join(f, nats.InProcessServer(w))
		time.Sleep(5 * time.Second)
		f.publish(alice, job("a", 11, 12, 13, 14))
		time.Sleep(time.Second)
		theirs := first.take()
		require.Len(t, theirs, 1)
		w.Deafen() // the result is stored, and its worker does not hear of it
		first.queue.Settle(t.Context(), theirs[0], queue.Ending{Sent: 4, EndedAt: time.Now()}, func(error) {})
		time.Sleep(time.Second)
		first.die()
		next := b.join(f)
		time.Sleep(10 * time.Second)
		assert.False(t, b.ended(f, next).MaybeDuplicate, "nobody else had it")
	})
}

func TestAJobWhoseAcknowledgementWasLostIsNotTheNextOwnersToSend(t *testing.T) {
	inFakeTime(t, queue.Options{Partitions: 16}, func(t *testing.T, f *fixture) {
		b := newBook(t)
		w := &embeddedtest.Wire{Server: f.server}
		first := b.join(f, nats.InProcessServer(w), nats.ReconnectWait(10*time.Millisecond))
		f.publish(alice, job("a", 11, 12))
		theirs := first.await()
		_, err := f.js.PublishMsg(t.Context(), queue.ResultMessage(theirs, queue.Ending{Sent: 2, EndedAt: time.Now()}))
		require.NoError(t, err)
		w.Break() // and with it the acknowledgement
		time.Sleep(time.Second)
		second := b.join(f)
		time.Sleep(5 * time.Second)
		first.stop() // hands over in order
		third := b.join(f)
		time.Sleep(5 * time.Second)
		second.stop()
		time.Sleep(time.Minute) // the job's lease has ended
		assert.False(t, b.ended(f, third).MaybeDuplicate, "nobody sent it again")
	})
}

// ended returns the one result of the only job, which has left its queue, and was not given to the workers.
func (b *book) ended(f *fixture, workers ...*tenant) queue.Result {
	b.Helper()
	for _, w := range workers {
		assert.Empty(b, w.take(), "it has ended")
	}
	assert.Zero(b, f.count("INVITES")+f.count("INVITE_CAMPAIGNS"))
	results := f.results(queue.Filter{})
	require.Len(b, results, 1)
	return results[0]
}

// lateEnding is of a job whose result arrives when its worker is gone, and another has taken the job over.
type lateEnding struct {
	next *tenant
	job  *queue.Delivery // the next one's
}

func (b *book) endedLate(f *fixture, e queue.Ending, next ...nats.Option) *lateEnding {
	b.Helper()
	return b.endedLateOf(f, alice, e, next...)
}

func (b *book) endedLateOf(f *fixture, a queue.Address, e queue.Ending, next ...nats.Option) *lateEnding {
	b.Helper()
	first := b.join(f)
	f.publish(a, job("a", 11, 12, 13, 14))
	theirs := first.await()
	p := someProgress()
	p.MaybeDuplicate = false
	first.save(theirs, p)
	e.EndedAt = time.Now()
	first.die()
	l := &lateEnding{next: b.join(f, next...)}
	l.job = l.next.await()
	require.NotNil(b, l.job.Progress)
	_, err := f.js.PublishMsg(b.Context(), queue.ResultMessage(theirs, e)) // as out of a socket's buffer
	require.NoError(b, err)
	return l
}

// await takes the worker's next delivery.
func (w *tenant) await() *queue.Delivery {
	w.Helper()
	var taken []*queue.Delivery
	require.Eventually(w, func() bool { taken = w.take(); return len(taken) > 0 }, time.Minute, 10*time.Millisecond, "a delivery must come")
	require.Len(w, taken, 1)
	return taken[0]
}

func (w *tenant) die() {
	w.nc.Close()
	w.stop()
}
