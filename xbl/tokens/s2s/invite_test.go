package s2s

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/invitedhq/invited/xbl"
	"github.com/invitedhq/invited/xbl/tokens"
)

// TestInvitesAreSignedWithTheKeyThatTheirTokenIsBoundTo goes all the way: authenticate, authorize, and calls of the API, one of them refused.
func TestInvitesAreSignedWithTheKeyThatTheirTokenIsBoundTo(t *testing.T) {
	a, _, o := newAuth(t)
	status := http.StatusNoContent
	var calls []string
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		a.mu.Lock()
		defer a.mu.Unlock()
		body, _ := io.ReadAll(r.Body)
		at, ok := a.signed(r, body)
		calls = append(calls, fmt.Sprint(r.URL.Path, " ", ok, " ", time.Since(at).Abs() < time.Minute, " ", len(body) > 8192))
		w.WriteHeader(status)
	}))
	defer api.Close()
	cache := tokens.NewCache(newSource(t, o), tokens.Options{Windows: Limits(), Shared: true, Random: func() float64 { return 0.5 }})
	defer cache.Close()
	client, err := xbl.NewClient(xbl.Options{BaseURL: api.URL, Audience: xbl.AudienceServer, Tokens: cache})
	require.NoError(t, err)
	defer client.CloseIdleConnections()
	send := func(sender, connection string) error {
		return client.SendInvites(t.Context(), xbl.Invite{TitleID: 42, Sender: sender, InvitedUsers: []uint64{7}, ConnectionString: connection})
	}
	require.NoError(t, send("2533274790395904", "lobby=1"))
	require.NoError(t, send("2533274790395905", strings.Repeat("x", 10_000)))
	assert.Equal(t, []string{"/titles/42/invites/server true true false", "/titles/42/invites/server true true true"}, calls)
	assert.Len(t, a.seen, 2, "two senders, one token of the service")

	status = http.StatusUnauthorized
	var refused *xbl.Error
	require.ErrorAs(t, send("2533274790395904", ""), &refused)
	assert.Equal(t, xbl.Unauthorized, refused.Kind)
	status = http.StatusNoContent
	a.mu.Lock()
	a.other = true
	a.mu.Unlock()
	require.NoError(t, send("2533274790395904", ""), "another one at once")
	assert.Len(t, a.seen, 3)
}
