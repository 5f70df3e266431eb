package dispatcher

import (
	"testing"

	"github.com/stretchr/testify/assert"

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
