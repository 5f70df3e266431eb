package plan

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/invitedhq/invited/xbl"
)

func TestAPlannerSaysWhenMoreWorkersWouldNotHelp(t *testing.T) {
	one := []Window{{1, time.Minute}}
	w := newWorld(t, Config{Limits: Limits{Windows: one}, MaxInFlight: 1}, &service{offset: -1, windows: one})
	assert.False(t, w.planner.Held(w.now).QuotaBound, "nothing waits")
	w.add(interactive("ada", 16), interactive("bob", 16))
	assert.False(t, w.planner.Held(w.now).QuotaBound, "bob waits for this worker, which makes one call at a time")
	w.run(time.Second)
	w.add(interactive("ada", 16))
	assert.True(t, w.planner.Held(w.now).QuotaBound, "ada waits for her quota")
	w.run(2 * time.Minute)
	assert.False(t, w.planner.Held(w.now).QuotaBound)
}

func TestAWantOfTokensIsNoWantOfQuota(t *testing.T) {
	s := &service{offset: -1, faulty: func(*Call) *xbl.Error { return errNoToken }}
	w := newWorld(t, Config{}, s)
	w.add(interactive("ada", 1))
	w.run(500 * time.Millisecond)
	assert.Equal(t, Held{Blocked: map[uint32]int{}}, w.planner.Held(w.now))
}
