package queue

import (
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func TestAKeyThatStallsLeavesRoomForOthers(t *testing.T) {
	h, now := newHand(100, false), time.Unix(0, 0)
	n := uint64(0)
	deliver := func(key string) verdict {
		n++
		v := h.admit(now, 0, key, n, load{1, 1})
		if v == setAside {
			h.setAside(key, ref{sequence: n, load: load{1, 1}})
		}
		return v
	}
	for range 100 {
		require.Equal(t, take, deliver("hog"), "a burst of one key may have the whole hand while it may get on")
	}
	require.Equal(t, waitFor, deliver("hog"), "then it is waited for")
	now = now.Add(stuckAfter)
	for range 5000 {
		require.Equal(t, setAside, deliver("hog"), "and when it does not get on, more of it is set aside")
	}
	for range handMin {
		require.Equal(t, take, deliver("other"), "while others come through")
	}
	assert.Len(t, h.aside, 5000)
	_, ok := h.next(now)
	assert.False(t, ok, "nothing comes back while there is no room")

	for i := range uint64(100) {
		h.left(now, i+1)
	}
	var back []uint64
	for {
		r, ok := h.next(now)
		if !ok {
			break
		}
		back = append(back, r.sequence)
	}
	require.NotEmpty(t, back, "what was set aside comes back as its key gets on")
	assert.IsIncreasing(t, back, "in order")
	assert.Equal(t, uint64(102), back[0])
	assert.Equal(t, setAside, deliver("hog"), "and what comes meanwhile waits behind it")
}

// TestNothingIsSetAsideWhileAllKeysGetTheirTurn: what is set aside has to be fetched one by one, which costs more than all else of a
// job. With many keys, each waits long for its turn.
func TestNothingIsSetAsideWhileAllKeysGetTheirTurn(t *testing.T) {
	const keys, size = 5, 100
	h, now := newHand(size, false), time.Unix(0, 0)
	key := func(n uint64) string { return strconv.FormatUint(n%keys, 10) }
	oldest, next := uint64(0), uint64(0)
	for ; next < size; next++ {
		require.Equal(t, take, h.admit(now, 0, key(next), next, load{1, 1}))
	}
	for range 2000 {
		require.Equal(t, waitFor, h.admit(now, 0, key(next), next, load{1, 1}), "%s after the key's last turn", now.Sub(h.keys[key(next)].moved))
		now = now.Add(20 * time.Millisecond)
		h.left(now, oldest)
		require.Equal(t, take, h.admit(now, 0, key(next), next, load{1, 1}))
		oldest, next = oldest+1, next+1
	}
	assert.Greater(t, keys*20*time.Millisecond, stalledAfter, "or this shows nothing")
}

func TestAKeyThatMissesItsTurnIsSetAside(t *testing.T) {
	const size = 100
	h, now := newHand(size, false), time.Unix(0, 0)
	n := uint64(0)
	for ; n < size; n++ {
		require.Equal(t, take, h.admit(now, 0, []string{"blocked", "free", "free"}[n%3], n, load{1, 1}))
	}
	for free := range 2 * size { // the others go on
		require.Equal(t, waitFor, h.admit(now, 0, "blocked", size, load{1, 1}), "after %d of others", free)
		now = now.Add(time.Millisecond)
		for sequence, job := range h.jobs {
			if job.key.subject == "free" {
				h.left(now, sequence)
				break
			}
		}
		n++
		require.Equal(t, take, h.admit(now, 0, "free", n, load{1, 1}))
		if h.stalled(now, h.keys["blocked"]) {
			break
		}
	}
	assert.Equal(t, setAside, h.admit(now, 0, "blocked", size, load{1, 1}), "all that was in hand could have left meanwhile")
}

func TestAKeyThatGetsOnAndHasMostOfTheHandIsNotWaitedForLong(t *testing.T) {
	h, now := newHand(10, false), time.Unix(0, 0)
	for n := range uint64(10) {
		require.Equal(t, take, h.admit(now, 0, "large", n, load{1, 1}))
	}
	assert.Equal(t, waitFor, h.admit(now, waitAtMost-1, "large", 10, load{1, 1}))
	assert.Equal(t, setAside, h.admit(now, waitAtMost, "large", 10, load{1, 1}), "others are behind it")
	h.setAside("large", ref{sequence: 10, load: load{1, 1}})
	assert.Equal(t, setAside, h.admit(now, 0, "large", 10, load{1, 1}))
	h.setAside("large", ref{sequence: 10, load: load{1, 1}})
	assert.Len(t, h.aside, 1, "one that comes again is aside once")
}

// TestOfManyKeysEachHasACallInAFullHand: what fills a call is all that a key needs there, whatever its jobs are. Large bodies with few
// recipients, or none, as of what is no job, must not fill memory.
func TestOfManyKeysEachHasACallInAFullHand(t *testing.T) {
	const size, keys = 100, 500
	for _, c := range []struct {
		bytes, recipients, jobs int // of each job; that a key may have
	}{{40, 1, 16}, {100, 5, 4}, {400, 16, 1}, {200_000, 10_000, 1}, {1 << 20, 0, 1}, {200_000, 1, 1}, {3 << 10, 1, 4}} {
		h, now, n := newHand(size, false), time.Unix(0, 0), uint64(0)
		deliver := func(key int) verdict {
			n++
			return h.admit(now, 0, strconv.Itoa(key), n, loadOf(c.bytes, c.recipients))
		}
		for deliver(0) == take { // until it is full
		}
		for key := range keys {
			for range c.jobs {
				require.Equal(t, take, deliver(key+1), "jobs of %d recipients and %d bytes", c.recipients, c.bytes)
			}
			require.Equal(t, waitFor, deliver(key+1), "jobs of %d recipients and %d bytes", c.recipients, c.bytes)
		}
	}
}

func TestNothingOfACampaignIsSetAside(t *testing.T) {
	h, now := newHand(10, true), time.Unix(0, 0)
	for n := range uint64(10) {
		require.Equal(t, take, h.admit(now, 0, "campaign", n, load{1, 1}))
	}
	now = now.Add(time.Hour)
	assert.Equal(t, waitFor, h.admit(now, 0, "campaign", 10, load{1, 1}), "nobody waits behind it")
	h.left(now, 0)
	assert.Equal(t, take, h.admit(now, 0, "campaign", 10, load{1, 1}))
}

// TestNothingIsLostBetweenHandAndAside: under any deliveries and endings every
// job is in hand or aside, once, and a key's order is kept.
func TestNothingIsLostBetweenHandAndAside(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		h, now := newHand(rapid.IntRange(1, 200).Draw(r, "size"), false), time.Unix(0, 0)
		var handed []uint64
		last := map[string]uint64{}
		keyOf := map[uint64]string{}
		n, aside := uint64(0), 0
		hand := func(seq uint64) {
			key := keyOf[seq]
			require.Greater(r, seq, last[key], "job %d of key %s is handed over out of order", seq, key)
			last[key] = seq
			handed = append(handed, seq)
		}
		for range rapid.IntRange(1, 400).Draw(r, "steps") {
			now = now.Add(time.Duration(rapid.IntRange(0, 30).Draw(r, "ms")) * time.Millisecond)
			switch rapid.IntRange(0, 2).Draw(r, "what") {
			case 0:
				n++
				key := strconv.Itoa(rapid.IntRange(0, 5).Draw(r, "key"))
				cost, recipients := rapid.IntRange(1, 50).Draw(r, "cost"), rapid.IntRange(1, 20).Draw(r, "recipients")
				keyOf[n] = key
				v := h.admit(now, 0, key, n, load{cost, recipients})
				for v == waitFor {
					now = now.Add(stuckAfter)
					v = h.admit(now, 0, key, n, load{cost, recipients})
				}
				if v == take {
					hand(n)
				} else {
					h.setAside(key, ref{sequence: n, load: load{cost, recipients}})
					aside++
				}
			case 1:
				if len(handed) > 0 {
					i := rapid.IntRange(0, len(handed)-1).Draw(r, "ends")
					h.left(now, handed[i])
					h.left(now, handed[i]) // twice is once
					handed = append(handed[:i], handed[i+1:]...)
				}
			case 2:
				if back, ok := h.next(now); ok {
					aside--
					hand(back.sequence)
				}
			}
			require.Len(r, h.aside, aside)
			require.Len(r, h.jobs, len(handed))
		}
		for _, seq := range handed {
			h.left(now, seq)
		}
		for back, ok := h.next(now); ok; back, ok = h.next(now) {
			hand(back.sequence)
			h.left(now, back.sequence)
			aside--
		}
		require.Zero(r, aside, "all that was set aside comes back")
		require.Zero(r, h.total)
		require.Empty(r, h.keys, "and nothing is kept of a key that has nothing")
	})
}
