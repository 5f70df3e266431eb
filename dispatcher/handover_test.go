package dispatcher

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/invitedhq/invited/queue"
)

func TestWhatTwoOwnersKnowOfAJobIsAddedUp(t *testing.T) {
	users := []queue.XUID{10, 11, 12, 13, 14}
	dead := func(x ...queue.XUID) []queue.Dead { return []queue.Dead{{Reason: queue.Rejected, Recipients: x}} }
	mine := queue.Progress{Ended: []bool{true, true, true}, Sent: 1, Dead: dead(11, 12), Attempts: 2}
	theirs := queue.Progress{Ended: []bool{true, true, false, true}, Sent: 1, Dead: dead(10, 13), Attempts: 5, MaybeDuplicate: true}
	want := queue.Progress{
		Ended: []bool{true, true, true, true, false}, Attempts: 5, MaybeDuplicate: true,
		Sent: 2, // each was sent by one of them, though dead to the other
		Dead: append(dead(12), dead(13)...),
	}
	assert.Equal(t, want, merged(users, mine, theirs))
	assert.Equal(t, dead(11, 12), mine.Dead, "and neither is changed")
}
