package xbl

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestAuthorizationValues(t *testing.T) {
	for _, good := range []string{testAuthorization, "XBL3.0 x=-;service-token", " \tXBL3.0 x=1;a\r\n", "XBL3.0 x=1;a;b=c",
		"XBL3.0 x=1;" + strings.Repeat("x", maxAuthorization-11)} {
		token, err := NewToken(good)
		require.NoError(t, err)
		assert.Equal(t, strings.TrimSpace(good), token.authorization())
		assert.False(t, token.IsZero())
	}
	tests := []struct{ value, want string }{
		{"", "it is empty"}, {" \n", "it is empty"},
		{"Bearer hunter2", "it does not begin with XBL3.0 x="}, {"xbl3.0 x=1;hunter2", "it does not begin"},
		{"\ufeffXBL3.0 x=1;hunter2", "it does not begin"},
		{"XBL3.0 x=1;hunter2\r\nX-Evil: 1", "byte 19 is a space, a line break or no ASCII"},
		{"XBL3.0 x=1;hunter2 x", "byte 19 is"}, {"XBL3.0 x=1;hunter2\x00", "byte 19 is"}, {"XBL3.0 x=1;hunter2\x7f", "byte 19 is"},
		{"XBL3.0 x=1;hünter2", "byte 13 is"},
		{"XBL3.0 x=hunter2", "the user hash or the token after it is missing"}, {"XBL3.0 x=;hunter2", "is missing"}, {"XBL3.0 x=1;", "is missing"},
		{"XBL3.0 x=1;" + strings.Repeat("x", maxAuthorization), "it is 32779 bytes long, more than 32768"},
	}
	for _, tt := range tests {
		token, err := NewToken(tt.value)
		require.ErrorContains(t, err, tt.want)
		assert.ErrorContains(t, err, "XBL3.0 x=<userhash>;<token>", "the expected form is told")
		assert.NotContains(t, err.Error(), "unter2", "the value is not")
		assert.True(t, token.IsZero())
	}
}

func TestTokensAreEqualOnlyIfTheyAreTheSame(t *testing.T) {
	a, b, none := testToken(t), testToken(t), Token{}
	same := a
	assert.True(t, a.Equal(same))
	assert.False(t, a.Equal(b), "the same text read again is another token")
	assert.False(t, a.Equal(none))
}

func TestStaticWithoutAUsableValueSaysWhatToSet(t *testing.T) {
	for _, tt := range []struct {
		value string
		kind  TokenErrorKind
	}{{"", TokenMissing}, {" \n", TokenMissing}, {"hunter2", TokenInvalid}} {
		_, err := Static(tt.value).Token(t.Context(), "alice")
		var te *TokenError
		require.ErrorAs(t, err, &te)
		assert.Equal(t, tt.kind, te.Kind)
		assert.Equal(t, "alice", te.Sender)
		assert.ErrorContains(t, err, "tokens.static.authorization")
		assert.ErrorContains(t, err, "XBL_AUTHORIZATION")
		assert.NotContains(t, err.Error(), "hunter2")
	}
}

func TestEachAttemptToGetATokenIsTold(t *testing.T) {
	var told []string
	tell := OnRefresh(func(problem *TokenError) {
		if problem == nil {
			told = append(told, "ok")
			return
		}
		told = append(told, problem.Kind.String())
	})
	dir := t.TempDir()
	file := File(dir, tell)
	_, err := file.Token(t.Context(), "alice")
	require.Error(t, err)
	writeToken(t, dir, "alice", "hunter2")
	_, err = file.Token(t.Context(), "alice")
	require.Error(t, err)
	writeToken(t, dir, "alice", testAuthorization)
	for range 3 {
		file.Refused("alice", Token{})
		_, err = file.Token(t.Context(), "alice")
		require.NoError(t, err)
	}
	token, err := file.Token(t.Context(), "alice")
	require.NoError(t, err)
	file.Refused("alice", token)
	_, err = file.Token(t.Context(), "alice")
	require.Error(t, err)
	writeToken(t, dir, "alice", testAuthorization+"2")
	_, err = file.Token(t.Context(), "alice")
	require.NoError(t, err)
	assert.Equal(t, []string{"missing", "invalid", "ok", "refused", "ok"}, told, "and nothing while all is well")

	told = nil
	_, err = Static(testAuthorization, tell).Token(t.Context(), "alice")
	require.NoError(t, err)
	_, err = Static("hunter2", tell).Token(t.Context(), "alice")
	require.Error(t, err)
	assert.Equal(t, []string{"ok", "invalid"}, told)
}

func TestTokenErrorKindsAreNamedAndSayWhetherTimeHelps(t *testing.T) {
	names := map[string]bool{}
	for _, k := range TokenErrorKinds() {
		names[k.String()] = k.NeedsAct()
	}
	assert.Equal(t, map[string]bool{
		"missing": true, "invalid": true, "refused": true, "denied": true, "throttled": false, "unavailable": false,
	}, names)
	assert.Equal(t, "TokenErrorKind(0)", TokenErrorKind(0).String())
	e := &TokenError{Kind: TokenMissing, Sender: strings.Repeat("\n", 1000), Detail: "write it"}
	assert.Less(t, len(e.Error()), 300, "a sender may be any text: %s", e)
	assert.NotContains(t, e.Error(), "\n")
}
