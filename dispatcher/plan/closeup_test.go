package plan

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/invitedhq/invited/xbl"
)

func TestOfManyKeysThoseOfHighestRankAreToldInOrder(t *testing.T) {
	f := first{most: 3}
	for i, rank := range []float64{2, 5, 1, 5, 4, 3} {
		f.add(&key{id: Key{Sender: string(rune('a' + i)), TitleID: 1}, title: &title{}}, rank)
	}
	var senders string
	for _, s := range f.standings(time.Now()) {
		senders += s.Sender
	}
	assert.Equal(t, "bde", senders, "of equal rank by name")
}

func TestACloseupSaysWhoWaitsForATokenSinceWhenAndForHowMany(t *testing.T) {
	s := &service{offset: -1, windows: published}
	w := newWorld(t, Config{Limits: Limits{Windows: published}}, s)
	refusing := true
	s.faulty = func(c *Call) *xbl.Error {
		if refusing && c.Key.Sender == "ada" {
			return &xbl.Error{Kind: xbl.Unauthorized, Status: 401, Written: true}
		}
		return nil
	}
	began := w.now
	waiting, other := bulk("ada", "cup", 40), bulk("bob", "cup", 40)
	w.add(waiting, other)
	w.run(2 * time.Second)
	assert.Zero(t, w.planner.Closeup(w.now, 10).TokenlessAll, "a moment without a token is not worth saying")
	w.run(time.Minute)

	c := w.planner.Closeup(w.now, 10)
	require.Len(t, c.Tokenless, 1)
	assert.Equal(t, 1, c.TokenlessAll)
	assert.Equal(t, waiting.Key, c.Tokenless[0].Key)
	assert.WithinDuration(t, began, c.Tokenless[0].Since, time.Second, "the second refusal, since the first is answered with a fresh token")
	assert.True(t, c.Tokenless[0].Refused)
	assert.Equal(t, 40, c.Tokenless[0].Waiting)
	require.Len(t, c.Busiest, 2)
	assert.Equal(t, 50, c.Busiest[0].Windows[1].Max)

	refusing = false
	w.run(5 * time.Minute)
	assert.Empty(t, w.planner.Closeup(w.now, 10).Tokenless)
	w.requireEndedOnce(waiting, other)
}
