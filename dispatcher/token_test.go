package dispatcher_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/invitedhq/invited/xbl"
	"github.com/invitedhq/invited/xbl/xblsim"
)

// hurried is a token source that notes for whom it was asked in a hurry.
type hurried struct {
	xbl.TokenSource
	mu     sync.Mutex
	urgent []string
}

func (h *hurried) UrgentToken(ctx context.Context, sender string) (xbl.Token, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.urgent = append(h.urgent, sender)
	return h.Token(ctx, sender)
}

func TestTokensAreAskedForInAHurryWhereAPlayerWaits(t *testing.T) {
	inFakeTime(t, xblsim.Options{}, func(t *testing.T, s *system) {
		tokens := &hurried{TokenSource: s.client.Tokens}
		s.client.Tokens = tokens
		s.work()
		s.publish(campaign("cup", "finals"), 16)
		s.publish(to("ada"), 1)
		pass(5 * time.Second)
		assert.Len(t, s.ended(), 2)
		assert.Equal(t, []string{"ada"}, tokens.urgent)
	})
}

func TestWhoHasNoTokenIsSeenInTheOverviewUntilThereIsOne(t *testing.T) {
	inFakeTime(t, xblsim.Options{}, func(t *testing.T, s *system) {
		s.cfg.InteractiveTTL = time.Hour
		s.setToken("ada", "")
		s.work()
		s.publish(to("ada"), 1)
		s.publish(to("bob"), 1)
		since := time.Now()
		pass(10 * time.Minute)
		seen, err := s.reader.Overview(t.Context())
		require.NoError(t, err)
		require.Len(t, seen.NoToken, 1)
		assert.Equal(t, "ada", seen.NoToken[0].Sender)
		assert.WithinDuration(t, since, seen.NoToken[0].Since, 2*time.Second)
		assert.Contains(t, seen.NoToken[0].Why, "write the sender's Authorization value to")
		s.setToken("ada", tokenOf("ada"))
		pass(5 * time.Second)
		seen, err = s.reader.Overview(t.Context())
		require.NoError(t, err)
		assert.Empty(t, seen.NoToken)
		assert.Len(t, s.ended(), 2)
	})
}
