package xbl

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// notary signs by repeating what it was given.
type notary struct {
	clock time.Time // zero: that of the machine
	err   error
	heard []time.Time
	key   string // what must not be printed
}

func (n *notary) Sign(method, pathAndQuery, authorization string, body []byte) (string, time.Time, error) {
	at := n.clock
	if at.IsZero() {
		at = time.Now()
	}
	return fmt.Sprintf("%s|%s|%s|%s", method, pathAndQuery, authorization, body), at, n.err
}

func (n *notary) Heard(date time.Time) { n.heard = append(n.heard, date) }

// pocket is a source of one token; those with a player who waits are told apart.
type pocket struct {
	token  Token
	urgent []string
}

func (p *pocket) Token(context.Context, string) (Token, error) { return p.token, nil }
func (p *pocket) Refused(string, Token)                        {}
func (p *pocket) UrgentToken(_ context.Context, sender string) (Token, error) {
	p.urgent = append(p.urgent, sender)
	return p.token, nil
}

func TestACallWithATokenThatWantsItIsSignedAsItIsSent(t *testing.T) {
	signed := make(chan string, 1)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		want := fmt.Sprintf("%s|%s|%s|%s", r.Method, r.RequestURI, r.Header.Get("Authorization"), body)
		signed <- fmt.Sprint(r.Header["Signature"], want == r.Header.Get("Signature"))
		w.WriteHeader(http.StatusNoContent)
	}))
	defer server.Close()
	n := &notary{}
	plain := testToken(t)
	tokens := &pocket{token: plain.SignedBy(n)}
	client := newTestClient(t, server.URL+"/gateway", func(o *Options) { o.Tokens = tokens })
	require.NoError(t, client.SendInvites(t.Context(), testInvite))
	assert.Equal(t, "[POST|/gateway/titles/42/invites|"+testAuthorization+`|{"invitedUsers":["2533274790395904"]}] true`, <-signed)
	assert.Len(t, n.heard, 1, "it is told what time the service has")
	assert.True(t, plain.Equal(tokens.token), "signing does not make another token of it")
	assert.True(t, tokens.token.IsSigned())
	assert.False(t, plain.IsSigned())
}

func TestACallThatCannotBeSignedIsNotMade(t *testing.T) {
	client := serve(t, func(http.ResponseWriter, *http.Request) { t.Error("it was made") },
		func(o *Options) {
			o.Tokens = &pocket{token: testToken(t).SignedBy(&notary{err: errors.New("no key")})}
		})
	e := send(t.Context(), t, client)
	assert.Equal(t, "unauthorized falsethe call can't be signed: no key", fmt.Sprint(e.Kind, e.Written, e.Detail))
}

// The service answers 403 to a signature of another time. A job must not die of this machine's clock.
func TestA403ForASignatureOfAWrongTimeIsNoRefusalOfTheSender(t *testing.T) {
	forbid := func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusForbidden) }
	for clock, want := range map[time.Time]Kind{
		{}:                              Forbidden,
		time.Now().Add(-2 * time.Hour):  Transient,
		time.Now().Add(2 * time.Minute): Transient,
	} {
		client := serve(t, forbid, func(o *Options) { o.Tokens = &pocket{token: testToken(t).SignedBy(&notary{clock: clock})} })
		assert.Equal(t, want.String(), send(t.Context(), t, client).Kind.String(), "%v", clock)
	}
}

func TestASourceIsToldWhereAPlayerWaits(t *testing.T) {
	tokens := &pocket{token: testToken(t)}
	client := serve(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) }, func(o *Options) { o.Tokens = tokens })
	require.NoError(t, client.SendInvites(t.Context(), testInvite))
	assert.Empty(t, tokens.urgent)
	urgent := testInvite
	urgent.Urgent = true
	require.NoError(t, client.SendInvites(t.Context(), urgent))
	assert.Equal(t, []string{"alice"}, tokens.urgent)
}

func TestASignedTokenShowsNeitherItselfNorItsKey(t *testing.T) {
	token := testToken(t).SignedBy(&notary{key: "s3cret"})
	hidden := struct{ token Token }{token}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%d", "%x", "%q"} {
		shown := fmt.Sprintf(verb, hidden) + fmt.Sprintf(verb, &hidden) + fmt.Sprintf(verb, token)
		assert.NotContains(t, shown, "s3cret", verb)
		assert.NotContains(t, shown, "c2VjcmV0", verb)
	}
}
