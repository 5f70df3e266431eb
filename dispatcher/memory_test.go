package dispatcher

import (
	"testing"
	"time"

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
	named := func(i int) message { return message{queue.Interactive, uint64(i), 1} }
	jobs := make([]*held, mostKept+2)
	for i := range jobs {
		jobs[i] = &held{delivery: &queue.Delivery{Lane: queue.Interactive, Sequence: uint64(i), PublishedAt: time.Unix(0, 1), Partition: i % 2}}
	}
	for range 3 { // jobs that come back leave no trace
		for _, h := range jobs[:mostKept] {
			k.keep(h)
		}
		for i := range mostKept {
			h, inDoubt := k.take(named(i))
			require.Same(t, jobs[i], h)
			require.False(t, inDoubt)
		}
	}
	assert.LessOrEqual(t, len(k.order), 2*mostKept, "memory is bounded")
	for _, h := range jobs { // those that don't make room for others
		k.keep(h)
	}
	for i := range 2 {
		h, inDoubt := k.take(named(i))
		assert.Nil(t, h)
		assert.True(t, inDoubt, "of the oldest all that is known is that they may have been sent")
	}
	h, inDoubt := k.take(named(mostKept + 1))
	assert.Same(t, jobs[mostKept+1], h)
	assert.False(t, inDoubt)
	h, inDoubt = k.take(named(mostKept + 1))
	assert.Nil(t, h, "for good")
	assert.False(t, inDoubt)
	jobs[2].end = &queue.Ending{}
	assert.Len(t, k.takeOf(0), mostKept/2-1, "all of a partition that have not ended")
	assert.Empty(t, k.takeOf(0))
	assert.Len(t, k.known, mostKept/2)
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
