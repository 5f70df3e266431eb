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

// longerThanRepeatsAreFound is longer than the stream remembers message IDs.
const longerThanRepeatsAreFound = 11 * time.Minute

func TestAJobHasOneResultThoughItsWorkerHearsOfThatOnlyMuchLater(t *testing.T) {
	inFakeTime(t, queue.Options{Partitions: 1}, func(t *testing.T, f *fixture) {
		wire := &embeddedtest.Wire{Server: f.server}
		first := dial(t, f.server, nats.InProcessServer(wire))
		first.open(queue.Options{Partitions: 1})
		w := first.consume()
		f.publish(alice, job("a", 11, 12))
		d := w.next()
		wire.Deafen() // the result is stored, and nobody hears of it
		settled := make(chan error, 1)
		first.queue.Settle(t.Context(), d, queue.Ending{Sent: 2, EndedAt: time.Now()}, func(err error) { settled <- err })
		time.Sleep(longerThanRepeatsAreFound)
		require.Len(t, f.results(queue.Filter{}), 1)
		wire.Mend()
		<-settled // whether or not it has its partition back by then
		time.Sleep(time.Minute)
		assert.Len(t, f.results(queue.Filter{}), 1)
		assert.Zero(t, f.count("INVITES"))
		assert.Empty(t, w.deliveries, "it has ended")
	})
}

func TestAJobHasOneResultThoughAWorkerThatWasCutOffForLongKnowsHowItEnded(t *testing.T) {
	inFakeTime(t, queue.Options{Partitions: 1}, func(t *testing.T, f *fixture) {
		b := newBook(t)
		wire := &embeddedtest.Wire{Server: f.server}
		cutOff := b.join(f, nats.InProcessServer(wire))
		f.publish(alice, job("a", 11, 12))
		theirs := cutOff.await()
		wire.Break()
		wire.Cut()
		settled := make(chan error, 1)
		dead := []queue.Dead{{Reason: queue.Forbidden, Recipients: []queue.XUID{12}}}
		cutOff.queue.Settle(t.Context(), theirs, queue.Ending{Sent: 1, Dead: dead, EndedAt: time.Now()}, func(err error) { settled <- err })
		next := b.join(f)
		next.settle(next.await(), queue.Ending{Sent: 2, MaybeDuplicate: true})
		time.Sleep(longerThanRepeatsAreFound)
		wire.Mend()
		require.ErrorIs(t, <-settled, queue.ErrLost)
		assert.Equal(t, 2, b.ended(f, cutOff, next).Sent)
		assert.Empty(t, f.letters(queue.Filter{}), "the next owner has sent it")
	})
}

func TestAJobHasOneResultThoughTheNextOwnerWaitsLongWithIt(t *testing.T) {
	inFakeTime(t, queue.Options{Partitions: 1}, func(t *testing.T, f *fixture) {
		b := newBook(t)
		late := b.endedLate(f, queue.Ending{Sent: 4})
		for range longerThanRepeatsAreFound / (20 * time.Second) {
			time.Sleep(20 * time.Second)
			require.NoError(t, late.job.Extend())
		}
		late.next.settle(late.job, queue.Ending{Sent: 4, MaybeDuplicate: true})
		time.Sleep(time.Second)
		assert.True(t, b.ended(f, late.next).MaybeDuplicate)
	})
}
