package tokens_test

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/invitedhq/invited/xbl"
	"github.com/invitedhq/invited/xbl/tokens"
)

func TestATokenIsGotOnceHoweverManyCallsAsk(t *testing.T) {
	m := newMint()
	m.takes = 50 * time.Millisecond
	inBubble(t, m, tokens.Options{}, func(t *testing.T, c *tokens.Cache) {
		began := time.Now()
		var calls sync.WaitGroup
		for range 60 {
			calls.Go(func() {
				token, err := c.Token(t.Context(), "ada")
				assert.NoError(t, err)
				assert.Equal(t, "XBL3.0 x=ada;1", token.Authorization())
			})
		}
		calls.Wait()
		assert.Equal(t, 50*time.Millisecond, time.Since(began), "each waited for the one fetch")
		assert.Equal(t, 1, m.askedFor())
	})
}

func TestATokenIsRefreshedAheadOfItsEndWhileItServes(t *testing.T) {
	m := newMint()
	m.takes = 10 * time.Second
	inBubble(t, m, tokens.Options{Timeout: time.Minute, Patience: 20 * time.Second}, func(t *testing.T, c *tokens.Cache) {
		require.Equal(t, "XBL3.0 x=ada;1", tokenOf(t, c, "ada"))
		got := time.Now()
		for m.askedFor() == 1 {
			require.Equal(t, "XBL3.0 x=ada;1", tokenOf(t, c, "ada"))
			time.Sleep(time.Second)
		}
		left := 8*time.Hour - time.Since(got)
		assert.InDelta(t, 48*0.9, left.Minutes(), 1, "a tenth of its life before it ends, less up to a fifth of that")
		began := time.Now()
		assert.Equal(t, "XBL3.0 x=ada;1", tokenOf(t, c, "ada"), "the old one serves")
		assert.Zero(t, time.Since(began), "without waiting")
		time.Sleep(11 * time.Second)
		assert.Equal(t, "XBL3.0 x=ada;2", tokenOf(t, c, "ada"))
		assert.Equal(t, 2, m.askedFor())
	})
}

func TestRefreshesOfTokensThatEndTogetherAreSpread(t *testing.T) {
	m := newMint()
	random := 0.0
	spread := func() float64 { random += 0.1; return random }
	inBubble(t, m, tokens.Options{Random: spread}, func(t *testing.T, c *tokens.Cache) {
		for i := range 10 {
			tokenOf(t, c, fmt.Sprint(i))
		}
		refreshes := map[int]int{} // by minute
		began := time.Now()
		for range 8 * 360 {
			time.Sleep(10 * time.Second)
			before := m.askedFor()
			for i := range 10 {
				tokenOf(t, c, fmt.Sprint(i))
			}
			synctest.Wait()
			if n := m.askedFor() - before; n > 0 {
				refreshes[int(time.Since(began)/time.Minute)] += n
			}
		}
		assert.GreaterOrEqual(t, len(refreshes), 8, "ten in about as many minutes: %v", refreshes)
	})
}

func TestARefusalEndsExactlyTheTokenThatWasRefused(t *testing.T) {
	m := newMint()
	inBubble(t, m, tokens.Options{}, func(t *testing.T, c *tokens.Cache) {
		first, err := c.Token(t.Context(), "ada")
		require.NoError(t, err)
		tokenOf(t, c, "bob")
		c.Refused("ada", first)
		c.Refused("bob", first)
		c.Refused("eve", first)
		c.Refused("ada", xbl.Token{})
		assert.Equal(t, "XBL3.0 x=ada;2", tokenOf(t, c, "ada"), "a new one at once")
		assert.Equal(t, "XBL3.0 x=bob;1", tokenOf(t, c, "bob"), "nobody else's")
		c.Refused("ada", first) // a call that took longer
		assert.Equal(t, "XBL3.0 x=ada;2", tokenOf(t, c, "ada"))
		assert.Equal(t, 3, m.askedFor())
	})
}

func TestTokensThatAreRefusedAsSoonAsTheyAreGotAreGotEverMoreSeldom(t *testing.T) {
	m := newMint()
	inBubble(t, m, tokens.Options{}, func(t *testing.T, c *tokens.Cache) {
		for range 3600 { // an hour, asking once a second
			token, err := c.Token(t.Context(), "ada")
			if err == nil {
				c.Refused("ada", token)
			}
			time.Sleep(time.Second)
		}
		assert.InDelta(t, 15, m.askedFor(), 2, "two at once, after 1, 2 and 4 minutes, and then each 5")
		problem := problemOf(t, c, "ada")
		assert.Equal(t, xbl.TokenRefused, problem.Kind)
		assert.ErrorContains(t, problem, "one token after the other")
	})
}

func TestATokenThatIsAllThereIsIsTriedOnceAMinuteAfterItsRefusal(t *testing.T) {
	m := newMint()
	m.text = func(sender string, _ int) string { return "XBL3.0 x=same;" + sender }
	inBubble(t, m, tokens.Options{}, func(t *testing.T, c *tokens.Cache) {
		token, err := c.Token(t.Context(), "ada")
		require.NoError(t, err)
		time.Sleep(time.Hour)
		c.Refused("ada", token)
		problem := problemOf(t, c, "ada")
		assert.Equal(t, xbl.TokenRefused, problem.Kind)
		assert.ErrorContains(t, problem, "no other yet")
		time.Sleep(59 * time.Second)
		problemOf(t, c, "ada")
		time.Sleep(2 * time.Second)
		assert.Equal(t, "XBL3.0 x=same;ada", tokenOf(t, c, "ada"), "the service may have been wrong")
		assert.Equal(t, 3, m.askedFor())
	})
}

func TestADeniedSenderIsAskedForSeldomAndHoldsUpNobody(t *testing.T) {
	m := newMint()
	m.problem = func(sender string) error {
		if sender == "eve" {
			return &xbl.TokenError{Kind: xbl.TokenDenied, Detail: "banned"}
		}
		return nil
	}
	var told atomic.Int32
	inBubble(t, m, tokens.Options{Refreshed: func(p *xbl.TokenError) {
		if p != nil && p.Kind == xbl.TokenDenied {
			told.Add(1)
		}
	}}, func(t *testing.T, c *tokens.Cache) {
		for range 1800 {
			problem := problemOf(t, c, "eve")
			require.Equal(t, "denied eve banned", fmt.Sprint(problem.Kind, " ", problem.Sender, " ", problem.Detail))
			time.Sleep(time.Second)
		}
		assert.Less(t, m.askedFor(), 12, "in half an hour")
		assert.GreaterOrEqual(t, int(told.Load()), 1800, "each call that found none counts, so that an alert holds as long as its cause")
		assert.Equal(t, "XBL3.0 x=ada;1", tokenOf(t, c, "ada"))
		m.fails(nil)
		time.Sleep(7 * time.Minute)
		tokenOf(t, c, "eve")
	})
}

func TestADeniedSenderIsAskedForAtOnceWhenSomebodySaysSo(t *testing.T) {
	m := newMint()
	inBubble(t, m, tokens.Options{}, func(t *testing.T, c *tokens.Cache) {
		m.fails(&xbl.TokenError{Kind: xbl.TokenDenied, Detail: "banned"})
		problemOf(t, c, "eve")
		m.fails(nil)
		problemOf(t, c, "eve")
		c.Retry()
		assert.Equal(t, "XBL3.0 x=eve;2", tokenOf(t, c, "eve"))
	})
}

func TestWhoeverMakesTokensIsAskedAtOnceWhenSomebodySaysSoUnlessItSaidWhen(t *testing.T) {
	for kind, asked := range map[xbl.TokenErrorKind]bool{xbl.TokenUnavailable: true, xbl.TokenThrottled: false} {
		m := newMint()
		inBubble(t, m, tokens.Options{}, func(t *testing.T, c *tokens.Cache) {
			m.fails(&xbl.TokenError{Kind: kind, Detail: "down", RetryAt: time.Now().Add(time.Hour)})
			for i := range 5 {
				problemOf(t, c, fmt.Sprint(i))
			}
			problemOf(t, c, "ada") // nobody is asked any more
			m.fails(nil)
			c.Retry()
			_, err := c.Token(t.Context(), "ada")
			assert.Equal(t, asked, err == nil, kind)
		})
	}
}

func TestWhoCanHaveNoTokenTakesNoPlaceInLine(t *testing.T) {
	m := newMint()
	m.check = func(sender string) *xbl.TokenError {
		return &xbl.TokenError{Kind: xbl.TokenMissing, Sender: sender, Detail: "no file"}
	}
	inBubble(t, m, tokens.Options{}, func(t *testing.T, c *tokens.Cache) {
		assert.Equal(t, xbl.TokenMissing, problemOf(t, c, "ada").Kind)
		assert.Zero(t, m.askedFor())
		m.check = nil
		tokenOf(t, c, "ada")
	})
}

func TestAThrottleHoldsBackAllSendersAndIsThenProbed(t *testing.T) {
	m := newMint()
	inBubble(t, m, tokens.Options{Random: func() float64 { return 0 }}, func(t *testing.T, c *tokens.Cache) {
		m.fails(&xbl.TokenError{Kind: xbl.TokenThrottled, RetryAt: time.Now().Add(30 * time.Second), Detail: "429"})
		assert.Equal(t, xbl.TokenThrottled, problemOf(t, c, "ada").Kind)
		m.fails(nil)
		m.takes = 100 * time.Millisecond
		for range 29 {
			for i := range 20 {
				began := time.Now()
				assert.Equal(t, xbl.TokenThrottled, problemOf(t, c, fmt.Sprint(i)).Kind)
				require.Zero(t, time.Since(began), "no call waits for that")
			}
			time.Sleep(time.Second)
		}
		assert.Equal(t, 1, m.askedFor())
		time.Sleep(1050 * time.Millisecond)
		assert.Equal(t, 2, m.askedFor(), "one shows that it is over")
		time.Sleep(100 * time.Millisecond)
		assert.Greater(t, m.askedFor(), 10, "and then the others")
	})
}

func TestAShortThrottleIsNoLongOne(t *testing.T) {
	for asked, waits := range map[time.Duration]time.Duration{time.Second: time.Second, 0: time.Second, -1: 15 * time.Second} {
		m := newMint()
		inBubble(t, m, tokens.Options{Random: func() float64 { return 0 }}, func(t *testing.T, c *tokens.Cache) {
			m.takes = 20 * time.Millisecond // the time is counted from the answer
			throttled := &xbl.TokenError{Kind: xbl.TokenThrottled, Detail: "429"}
			if asked >= 0 { // else it did not say
				throttled.RetryAt = time.Now().Add(asked)
			}
			m.fails(throttled)
			problemOf(t, c, "ada")
			m.fails(nil)
			began := time.Now()
			for m.askedFor() == 1 {
				_, _ = c.Token(t.Context(), "ada")
				time.Sleep(10 * time.Millisecond)
			}
			assert.InDelta(t, waits.Seconds(), time.Since(began).Seconds(), 0.1, asked)
		})
	}
}

func TestAServiceThatFailsIsAskedByOneSenderAtATime(t *testing.T) {
	m := newMint()
	inBubble(t, m, tokens.Options{}, func(t *testing.T, c *tokens.Cache) {
		m.fails(errors.New("down"))
		for range 600 {
			for i := range 50 {
				_, err := c.Token(t.Context(), fmt.Sprint(i))
				require.Error(t, err)
			}
			time.Sleep(time.Second)
		}
		assert.Less(t, m.askedFor(), 90, "in ten minutes, of fifty senders; sixteen at once before it was known")
		m.fails(nil)
		for range 60 {
			if _, err := c.Token(t.Context(), "7"); err == nil {
				break
			}
			time.Sleep(time.Second)
		}
		tokenOf(t, c, "7")
	})
}

func TestATokenServesUntilItsEndThoughNoNewOneComes(t *testing.T) {
	m := newMint()
	m.life = time.Hour
	inBubble(t, m, tokens.Options{}, func(t *testing.T, c *tokens.Cache) {
		tokenOf(t, c, "ada")
		m.fails(errors.New("down"))
		for range 359 {
			time.Sleep(10 * time.Second)
			assert.Equal(t, "XBL3.0 x=ada;1", tokenOf(t, c, "ada"))
		}
		time.Sleep(11 * time.Second)
		problem := problemOf(t, c, "ada")
		assert.Equal(t, xbl.TokenUnavailable, problem.Kind)
		assert.ErrorContains(t, problem, "down")
	})
}

func TestNoCallWaitsLongForASlowFetch(t *testing.T) {
	m := newMint()
	m.takes = 5 * time.Second
	inBubble(t, m, tokens.Options{}, func(t *testing.T, c *tokens.Cache) {
		began := time.Now()
		problem := problemOf(t, c, "ada")
		assert.Equal(t, xbl.TokenUnavailable, problem.Kind)
		assert.Equal(t, time.Second, time.Since(began))
		time.Sleep(4 * time.Second)
		assert.Equal(t, "XBL3.0 x=ada;1", tokenOf(t, c, "ada"), "it came though nobody waited")

		var calls sync.WaitGroup
		at := time.Now()
		var atOnce atomic.Int32
		for i := range 200 {
			calls.Go(func() {
				if _, err := c.Token(t.Context(), fmt.Sprint(i)); err != nil && time.Since(at) == 0 {
					atOnce.Add(1)
				}
			})
		}
		calls.Wait()
		assert.Equal(t, time.Second, time.Since(at))
		assert.Equal(t, int32(200-64), atOnce.Load(), "only so many wait: each holds a place that other senders need")
		assert.Equal(t, 16, m.mostAtOnce(), "fetches at once")
	})
}

func TestATokenThatHasEndedOrIsEmptyIsOfNoUse(t *testing.T) {
	m := newMint()
	m.life = -time.Second
	inBubble(t, m, tokens.Options{}, func(t *testing.T, c *tokens.Cache) {
		problem := problemOf(t, c, "ada")
		assert.Equal(t, xbl.TokenUnavailable, problem.Kind, "another may be there in a moment")
		m.life = -2 * time.Minute
		time.Sleep(10 * time.Second)
		problem = problemOf(t, c, "ada")
		assert.Equal(t, xbl.TokenInvalid, problem.Kind)
		assert.ErrorContains(t, problem, "which is past")
	})
}

func TestABrokerThatKeepsEachTokenUntilItsEndIsNotAskedWithoutEnd(t *testing.T) {
	m := newMint()
	inBubble(t, m, tokens.Options{}, func(t *testing.T, c *tokens.Cache) {
		began := time.Now()
		hour := func() int { return int(time.Since(began) / time.Hour) }
		m.text = func(string, int) string { return fmt.Sprint("XBL3.0 x=1;", hour()) }
		m.end = func() time.Time { return began.Add(time.Duration(hour()+1) * time.Hour) }
		without := 0
		for range 10 * 3600 {
			if _, err := c.Token(t.Context(), "ada"); err != nil {
				without++
			}
			time.Sleep(time.Second)
		}
		assert.LessOrEqual(t, without, 10*6, "seconds without one, in ten hours")
		assert.Less(t, m.askedFor(), 10*20, "requests")
	})
}

func TestTheEarliestExpiryIsThatOfTokensInUse(t *testing.T) {
	m := newMint()
	inBubble(t, m, tokens.Options{}, func(t *testing.T, c *tokens.Cache) {
		assert.True(t, c.EarliestExpiry().IsZero())
		m.life = 2 * time.Hour
		tokenOf(t, c, "idle")
		first := time.Now().Add(2 * time.Hour)
		assert.True(t, c.EarliestExpiry().Equal(first))
		m.life = 3 * time.Hour
		tokenOf(t, c, "busy")
		assert.True(t, c.EarliestExpiry().Equal(first))
		time.Sleep(10 * time.Minute)
		tokenOf(t, c, "busy")
		assert.True(t, c.EarliestExpiry().Equal(first.Add(time.Hour)), "nobody is woken for a sender that sends nothing")
	})
}

func TestACloseEndsWhatGoesOn(t *testing.T) {
	m := newMint()
	inBubble(t, m, tokens.Options{}, func(t *testing.T, c *tokens.Cache) {
		tokenOf(t, c, "ada")
		m.takes = time.Hour
		began := time.Now()
		problemOf(t, c, "bob")
		c.Close()
		assert.Equal(t, time.Second, time.Since(began))
		tokenOf(t, c, "ada")
		assert.Equal(t, xbl.TokenUnavailable, problemOf(t, c, "eve").Kind)
	})
}

func TestAServicesOwnTokenIsSharedByAllSenders(t *testing.T) {
	m := newMint()
	m.text = func(string, int) string { return fmt.Sprint("XBL3.0 x=-;", m.asked) }
	inBubble(t, m, tokens.Options{Shared: true}, func(t *testing.T, c *tokens.Cache) {
		tokenOf(t, c, "1")
		token, err := c.Token(t.Context(), "2")
		require.NoError(t, err)
		assert.Equal(t, 1, m.askedFor())
		c.Refused("3", token)
		assert.Equal(t, "XBL3.0 x=-;2", tokenOf(t, c, "1"))
		m.fails(&xbl.TokenError{Kind: xbl.TokenDenied, Detail: "no"})
		token, err = c.Token(t.Context(), "2")
		require.NoError(t, err)
		c.Refused("2", token)
		assert.Equal(t, "2", problemOf(t, c, "2").Sender)
		assert.Equal(t, "1", problemOf(t, c, "1").Sender)
	})
}
