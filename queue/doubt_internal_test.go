package queue

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/invitedhq/invited/queue/embedded/embeddedtest"
)

func TestAcknowledgementsAreInDoubtForAWhileAfterAConsumersLeaderWasLost(t *testing.T) {
	for name, x := range map[string]struct {
		trouble error
		inDoubt bool
	}{
		"another leader":          {jetstream.ErrConsumerLeadershipChanged, true},
		"a server that shut down": {jetstream.ErrServerShutdown, true},
		"an answer to a request":  {jetstream.ErrMaxBytesExceeded, false},
		"something else":          {errors.New("something"), false},
	} {
		t.Run(name, func(t *testing.T) {
			embeddedtest.HoldClock(t)
			synctest.Test(t, func(t *testing.T) {
				nc := embeddedtest.Connect(t, embeddedtest.Start(t))
				q, err := Open(t.Context(), nc, Options{Partitions: 1})
				require.NoError(t, err)
				defer q.Close()
				s := q.newSource(sourceConfig{stream: JobsStream, name: "partition-0", window: 512}, nil)
				trouble := make(chan error)
				ctx, stop := context.WithCancel(t.Context())
				watched := make(chan error, 1)
				go func() { watched <- s.watch(ctx, nil, trouble) }()
				trouble <- x.trouble
				stop()
				require.NoError(t, <-watched)
				assert.Equal(t, x.inDoubt, q.doubt.within(time.Now(), time.Minute))
				time.Sleep(time.Minute)
				assert.False(t, q.doubt.within(time.Now(), time.Minute), "what was lost has come again by now")
			})
		})
	}
}
