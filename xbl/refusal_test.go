package xbl

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// bothSources runs test with a static source and one of files, which treat a refused token alike, in fake time.
func bothSources(t *testing.T, test func(*testing.T, TokenSource)) {
	t.Helper()
	t.Run("static", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) { test(t, Static(testAuthorization)) })
	})
	t.Run("file", func(t *testing.T) {
		dir := t.TempDir()
		writeToken(t, dir, "alice", testAuthorization)
		writeToken(t, dir, "bob", testAuthorization)
		synctest.Test(t, func(t *testing.T) { test(t, File(dir)) })
	})
}

func mustToken(t testing.TB, s TokenSource, sender string) Token {
	t.Helper()
	token, err := s.Token(t.Context(), sender)
	require.NoError(t, err)
	return token
}

func requireTokenError(t testing.TB, s TokenSource, sender string, kind TokenErrorKind) *TokenError {
	t.Helper()
	token, err := s.Token(t.Context(), sender)
	require.True(t, token.IsZero(), "no token with an error")
	var te *TokenError
	require.ErrorAs(t, err, &te)
	require.Equal(t, kind.String(), te.Kind.String(), "%v", te)
	require.Equal(t, sender, te.Sender)
	require.NotContains(t, te.Error(), "hunter2")
	return te
}

func TestARefusedTokenRestsAndIsTriedOncePerMinute(t *testing.T) {
	bothSources(t, func(t *testing.T, s TokenSource) {
		start := time.Now()
		token := mustToken(t, s, "alice")
		s.Refused("alice", token)
		for range 3 { // minutes
			te := requireTokenError(t, s, "alice", TokenRefused)
			assert.Equal(t, time.Minute, time.Until(te.RetryAt))
			assert.Contains(t, te.Detail, "the API refused this token at "+start.UTC().Format(time.RFC3339)+"; waiting for a new one")
			time.Sleep(time.Minute - time.Nanosecond)
			requireTokenError(t, s, "alice", TokenRefused)
			time.Sleep(time.Nanosecond)
			assert.True(t, token.Equal(mustToken(t, s, "alice")), "the same token gets a trial")
			requireTokenError(t, s, "alice", TokenRefused)
		}
		mustToken(t, s, "bob") // Another sender is not concerned.
	})
}

func TestATrialThatWorksEndsTheRefusal(t *testing.T) {
	for status, lifted := range map[int]bool{204: true, 400: true, 403: true, 401: false, 500: false, 429: false} {
		t.Run(http.StatusText(status), func(t *testing.T) {
			var answer atomic.Int32
			answer.Store(401)
			handler := func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(int(answer.Load())) }
			// Not in fake time, as it goes over sockets: the rest is so short that it is over at once.
			tokens := Static(testAuthorization, RetryRefusedAfter(time.Nanosecond))
			client := serve(t, handler, func(o *Options) { o.Tokens = tokens })
			_ = client.SendInvites(t.Context(), testInvite)
			refusal := tokens.(*static).senders.find("alice")
			require.NotNil(t, refusal.refused, "refused after the first call")
			answer.Store(int32(status))
			_ = client.SendInvites(t.Context(), testInvite)
			assert.Equal(t, lifted, refusal.refused == nil)
		})
	}
}

func TestARefusalOfAnOlderTokenChangesNothing(t *testing.T) {
	dir := t.TempDir()
	writeToken(t, dir, "alice", "XBL3.0 x=1;old")
	s := File(dir)
	old := mustToken(t, s, "alice")
	writeToken(t, dir, "alice", "XBL3.0 x=1;new")
	s.Refused("alice", old)
	fresh := mustToken(t, s, "alice")
	assert.Equal(t, "XBL3.0 x=1;new", fresh.authorization(), "the new token is used although the old one was refused just now")
	s.Refused("alice", Token{})
	s.Refused("nobody", fresh)
	assert.True(t, fresh.Equal(mustToken(t, s, "alice")))
	s.Refused("alice", fresh)
	s.Refused("alice", old)
	requireTokenError(t, s, "alice", TokenRefused) // A late answer to the old token doesn't make the new one good again.

	static := Static(testAuthorization)
	static.Refused("alice", old)
	static.Refused("alice", Token{})
	mustToken(t, static, "alice")
}

func TestTouchingAFileDoesNotReviveARefusedToken(t *testing.T) {
	dir := t.TempDir()
	writeToken(t, dir, "alice", testAuthorization)
	s := File(dir)
	s.Refused("alice", mustToken(t, s, "alice"))
	now := time.Now().Add(time.Hour)
	require.NoError(t, os.Chtimes(filepath.Join(dir, "alice"), now, now))
	requireTokenError(t, s, "alice", TokenRefused)
	require.NoError(t, os.Remove(filepath.Join(dir, "alice")))
	requireTokenError(t, s, "alice", TokenMissing)
	writeToken(t, dir, "alice", testAuthorization)
	requireTokenError(t, s, "alice", TokenRefused)
	writeToken(t, dir, "alice", "XBL3.0 x=1;another")
	mustToken(t, s, "alice")
}

func TestMemoryIsBounded(t *testing.T) {
	const size = 100
	s := Static(testAuthorization, RememberSenders(size)).(*static)
	for i := range 2_000 {
		sender := fmt.Sprint("sender", i)
		s.Refused(sender, s.token)
		requireTokenError(t, s, sender, TokenRefused)
	}
	assert.LessOrEqual(t, len(s.senders.young)+len(s.senders.old), 2*size)
	for i := range size {
		assert.NotNil(t, s.senders.find(fmt.Sprint("sender", 1_999-i)), "the last %d are remembered", size)
	}
}

func TestASenderInUseIsNotForgotten(t *testing.T) {
	r := recent[int]{size: 10}
	*r.get("busy") = 7
	for i := range 1000 {
		r.get(strconv.Itoa(i))
		require.Equal(t, 7, *r.get("busy"))
	}
}
