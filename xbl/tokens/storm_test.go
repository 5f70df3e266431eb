package tokens_test

import (
	"fmt"
	"maps"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/invitedhq/invited/xbl"
	"github.com/invitedhq/invited/xbl/tokens"
)

// published are the limits of the auth service: requests of a service in 15 s and in 300 s.
var published = []tokens.Window{{Max: 15, Per: 15 * time.Second}, {Max: 50, Per: 300 * time.Second}}

// counter is an auth service that counts in fixed windows, which begin with the first request after the last one, and
// refused requests too.
type counter struct {
	mu      sync.Mutex
	windows []tokens.Window
	began   []time.Time
	counts  []int
	refused int
}

func newCounter(windows []tokens.Window) *counter {
	return &counter{windows: windows, began: make([]time.Time, len(windows)), counts: make([]int, len(windows))}
}

func (c *counter) request(now time.Time) (err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i, w := range c.windows {
		if c.began[i].IsZero() || now.Sub(c.began[i]) >= w.Per {
			c.began[i], c.counts[i] = now, 0
		}
		if c.counts[i]++; c.counts[i] > w.Max {
			c.refused++
			err = &xbl.TokenError{Kind: xbl.TokenThrottled, RetryAt: c.began[i].Add(w.Per), Detail: "429"}
		}
	}
	return err
}

// fleet are senders whose calls ask for tokens, a player's first of all.
type fleet struct {
	c       *tokens.Cache
	names   []string
	without map[string]time.Time // since when
	waits   []time.Duration      // that have ended
}

func newFleet(c *tokens.Cache, n int) *fleet {
	f := &fleet{c: c, without: map[string]time.Time{}}
	for i := range n {
		f.names = append(f.names, fmt.Sprint("sender-", i))
	}
	return f
}

// ask has senders ask once, as a call of a campaign does.
func (f *fleet) ask(t *testing.T, names []string) {
	for _, name := range names {
		_, err := f.c.Token(t.Context(), name)
		since, waits := f.without[name]
		switch {
		case err != nil && !waits:
			f.without[name] = time.Now()
		case err == nil && waits:
			f.waits = append(f.waits, time.Since(since))
			delete(f.without, name)
		}
	}
}

// A broker of the studio has given 10,000 senders tokens that end within one minute. From then on they come from a
// service with the published limits, which are 10 a minute: it takes 10,000 senders 16 h 40 min at the very least. (So
// tokens have to live longer than that; no client can serve 10,000 senders with the 8 h of the documentation's example. With the race detector they are 2,000.)
func TestSendersWhoseTokensEndInOneMinuteAreSpreadAndNeverRefused(t *testing.T) {
	const senders, every = stormSenders, 4 * time.Minute
	m := newMint()
	random := uint32(1)
	o := tokens.Options{
		Windows: published, Patience: time.Millisecond, AtOnce: 4,
		Random: func() float64 { random = random*1664525 + 1013904223; return float64(random>>8) / (1 << 24) },
	}
	inBubble(t, m, o, func(t *testing.T, c *tokens.Cache) {
		f := newFleet(c, senders)
		service := newCounter(published)
		began := time.Now()
		end := began.Add(8 * time.Hour)
		open := true
		m.problem = func(string) error {
			if open {
				return nil
			}
			return service.request(time.Now())
		}
		c.Unlimited(func() { // the tokens of before
			for i, name := range f.names {
				m.life = 8*time.Hour + time.Duration(i)*time.Minute/senders
				tokenOf(t, c, name)
			}
		})
		open = false
		m.life = 24 * time.Hour
		m.takes = 80 * time.Millisecond
		asked := m.askedFor()

		time.Sleep(4*time.Hour - time.Minute) // nothing is due before
		for time.Now().Before(end) {
			f.ask(t, f.names)
			require.Empty(t, f.without, "the old ones serve until they end")
			time.Sleep(every)
		}
		early := m.askedFor() - asked
		time.Sleep(2 * time.Minute)
		f.ask(t, f.names)
		var mu sync.Mutex
		var players []time.Duration
		var playing sync.WaitGroup
		player := func(name string) {
			at := time.Now()
			for {
				if _, err := c.UrgentToken(t.Context(), name); err == nil {
					mu.Lock()
					players = append(players, time.Since(at))
					mu.Unlock()
					return
				}
				time.Sleep(time.Second)
			}
		}
		for n := 0; len(f.without) > 0; n++ {
			if n%8 == 7 {
				playing.Go(func() { player(fmt.Sprint("player-", n)) })
			}
			time.Sleep(every)
			f.ask(t, slices.Collect(maps.Keys(f.without)))
		}
		playing.Wait()
		synctest.Wait()
		over := time.Since(end)
		slices.Sort(f.waits)
		t.Logf("%d were refreshed ahead, in the 4 h before the end; the other %d had a new one %v after it (half of them within %v)",
			early, len(f.waits), over.Round(time.Minute), f.waits[len(f.waits)/2].Round(time.Minute))
		t.Logf("%d players of new senders waited %v at the most meanwhile; %d requests, %d refused",
			len(players), slices.Max(players), m.askedFor()-asked, service.refused)
		assert.Zero(t, service.refused)
		assert.Equal(t, senders+len(players), m.askedFor()-asked, "each sender was asked for once")
		assert.GreaterOrEqual(t, early, 4*60*7*9/10, "a share of the quota, the same all along, goes to those whose token still serves")
		assert.Less(t, over, 16*time.Hour, "9 in 10 of what the service allows, while players may come")
		assert.Less(t, slices.Max(players), 15*time.Second, "a player is first in line, and there is room left for one")
	})
}
