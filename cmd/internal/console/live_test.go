package console

import (
	"context"
	"net/http"
	"strconv"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/invitedhq/invited/configs"
)

func TestNothingOnAPageEndsALineOfItsEvent(t *testing.T) {
	assert.Equal(t, "data: a\ndata: id: 7\ndata: b\ndata: \ndata: c\n\n", string(event("a\rid: 7\r\nb\n\nc\n")))
}

func TestOnePageIsMadeOnceHoweverManyLookAndNoMoreThanSoManyAre(t *testing.T) {
	h := newHub()
	built := 0
	build := func(context.Context) []byte { built++; return []byte("news") }
	first, leave := h.watch("/events/", build)
	second, _ := h.watch("/events/", build)
	h.refresh(t.Context())
	h.refresh(t.Context())
	assert.Equal(t, 2, built)
	assert.Len(t, first, 1, "who is slow has the newest alone")
	assert.Equal(t, "news", string(<-second))
	for n := range maxLivePages - 1 {
		news, _ := h.watch("/events/campaigns?q="+strconv.Itoa(n), build)
		require.NotNil(t, news)
	}
	other, _ := h.watch("/events/campaigns?q=other", build)
	assert.Nil(t, other, "nobody has this worker make any number of pages")
	for n := 2 + maxLivePages - 1; n < maxViewers; n++ {
		_, _ = h.watch("/events/", build)
	}
	none, _ := h.watch("/events/", build)
	assert.Nil(t, none)
	leave()
	again, _ := h.watch("/events/", build)
	assert.NotNil(t, again, "one who leaves makes room")
	h.close()
	_, open := <-again
	assert.False(t, open)
}

func TestOnlySoManySearchesAreMadeAtOnce(t *testing.T) {
	c := newConsole(t, configs.Admin{})
	for range maxSearches {
		c.searches <- struct{}{}
	}
	made := 0
	search := c.searching(func(context.Context, *running, *http.Request) (*page, error) { made++; return new(page), nil })
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	_, err := search(ctx, nil, nil)
	assert.ErrorContains(t, err, "Too many look for something")
	<-c.searches
	for range 2 {
		_, err = search(t.Context(), nil, nil)
		assert.NoError(t, err)
	}
	assert.Equal(t, 2, made)
}

func TestAPageThatOutlivesTheWorkerConnectsNoMore(t *testing.T) {
	r := &running{ended: true, Worker: Worker{Connect: func() (*nats.Conn, error) {
		t.Error("it must not")
		return nil, nats.ErrNoServers
	}}}
	_, err := r.connection()
	assert.ErrorIs(t, err, errStarting)
}
