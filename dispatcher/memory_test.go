package dispatcher

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/invitedhq/invited/queue"
)

func TestTheLastSettledMessagesAreRemembered(t *testing.T) {
	var s recent
	for i := range uint64(settledSize + 10) {
		s.add(message{queue.Interactive, i, 1})
	}
	assert.False(t, s.has(message{queue.Interactive, 9, 1}), "the oldest are forgotten")
	assert.True(t, s.has(message{queue.Interactive, 10, 1}))
	assert.True(t, s.has(message{queue.Interactive, settledSize + 9, 1}))
	assert.False(t, s.has(message{queue.Interactive, 10, 2}), "the same sequence of a stream that was made anew is another message")
	assert.Len(t, s.known, settledSize, "memory is bounded")
}

func TestWhatIsKeptOfLostJobsIsOfTheLastOfThem(t *testing.T) {
	var k kept
	job := func(i int) message { return message{queue.Interactive, uint64(i), 1} }
	for range 3 { // jobs that come back leave no trace
		for i := range mostKept {
			k.keep(job(i), queue.Progress{Sent: i})
		}
		for i := range mostKept {
			p, inDoubt := k.take(job(i))
			require.NotNil(t, p)
			require.Equal(t, i, p.Sent)
			require.False(t, inDoubt)
		}
	}
	assert.LessOrEqual(t, len(k.order), 2*mostKept, "memory is bounded")
	for i := range mostKept + 2 { // those that don't make room for others
		k.keep(job(i), queue.Progress{Sent: i})
	}
	for i := range 2 {
		p, inDoubt := k.take(job(i))
		assert.Nil(t, p)
		assert.True(t, inDoubt, "of the oldest all that is known is that they may have been sent")
	}
	p, inDoubt := k.take(job(mostKept + 1))
	require.NotNil(t, p)
	assert.Equal(t, mostKept+1, p.Sent)
	assert.False(t, inDoubt)
	p, inDoubt = k.take(job(mostKept + 1))
	assert.Nil(t, p, "for good")
	assert.False(t, inDoubt)
}

func TestAMailboxNeverMakesItsReporterWait(t *testing.T) {
	b := newMailbox[int]()
	for i := range 1000 {
		b.put(i)
	}
	<-b.arrived
	got := b.take(nil)
	assert.Len(t, got, 1000)
	b.put(1)
	<-b.arrived
	assert.Equal(t, []int{1}, b.take(got[:0]))
	assert.Empty(t, b.take(nil))
}
