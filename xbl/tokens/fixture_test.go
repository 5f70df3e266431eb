package tokens_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/invitedhq/invited/xbl"
	"github.com/invitedhq/invited/xbl/tokens"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// mint makes tokens. Its tokens say which of the sender's they are.
type mint struct {
	mu      sync.Mutex
	takes   time.Duration // one fetch
	life    time.Duration
	problem func(sender string) error // nil: none
	text    func(sender string, n int) string
	check   func(sender string) *xbl.TokenError
	end     func() time.Time // of a token; nil: as long as its life

	made   map[string]int
	order  []string
	asked  int
	atOnce int
	most   int
}

func newMint() *mint { return &mint{life: 8 * time.Hour, made: map[string]int{}} }

func (m *mint) Cost() int { return 1 }

func (m *mint) Check(sender string) *xbl.TokenError {
	if m.check == nil {
		return nil
	}
	return m.check(sender)
}

func (m *mint) Fetch(ctx context.Context, sender string, _ int) (tokens.Grant, error) {
	m.mu.Lock()
	m.asked++
	m.atOnce++
	m.most = max(m.most, m.atOnce)
	m.order = append(m.order, sender)
	takes, life, problem := m.takes, m.life, m.problem
	m.made[sender]++
	n := m.made[sender]
	m.mu.Unlock()
	defer func() {
		m.mu.Lock()
		m.atOnce--
		m.mu.Unlock()
	}()
	wait := time.NewTimer(takes)
	defer wait.Stop()
	select {
	case <-wait.C:
	case <-ctx.Done():
		return tokens.Grant{}, ctx.Err()
	}
	if problem != nil {
		if err := problem(sender); err != nil {
			return tokens.Grant{}, err
		}
	}
	text := fmt.Sprintf("XBL3.0 x=%s;%d", sender, n)
	if m.text != nil {
		text = m.text(sender, n)
	}
	token, err := xbl.NewToken(text)
	if err != nil {
		return tokens.Grant{}, err
	}
	token.NotAfter = time.Now().Add(life)
	if m.end != nil {
		token.NotAfter = m.end()
	}
	return tokens.Grant{Token: token}, nil
}

func (m *mint) fails(with error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.problem = func(string) error { return with }
	if with == nil {
		m.problem = nil
	}
}

func (m *mint) mostAtOnce() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.most
}

func (m *mint) askedFor() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.asked
}

// inBubble runs a test in fake time, with a cache of what m makes.
func inBubble(t *testing.T, m *mint, o tokens.Options, test func(t *testing.T, c *tokens.Cache)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		if o.Random == nil {
			o.Random = func() float64 { return 0.5 }
		}
		c := tokens.NewCache(m, o)
		defer c.Close()
		test(t, c)
	})
}

// tokenOf is the text of the sender's token after the hash.
func tokenOf(t *testing.T, c *tokens.Cache, sender string) string {
	t.Helper()
	token, err := c.Token(t.Context(), sender)
	require.NoError(t, err)
	return token.Authorization()
}

// problemOf is why there is no token.
func problemOf(t *testing.T, c *tokens.Cache, sender string) *xbl.TokenError {
	t.Helper()
	_, err := c.Token(t.Context(), sender)
	var problem *xbl.TokenError
	require.ErrorAs(t, err, &problem)
	return problem
}
