package queue

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestOfOwnersWhoAreGoneTheLastAreRememberedHoweverLongAgoTheyCame(t *testing.T) {
	var r ownerRecord
	var all []int64
	for since := range int64(2 * mostGone) {
		all = append(all, since)
		r.Gone = r.goneWith(since)
		assert.Equal(t, all[max(len(all)-mostGone, 0):], r.Gone)
	}
	assert.Len(t, r.Gone, 16, "a record stays small, however often its owners die")
}
