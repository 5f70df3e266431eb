package queue

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"

	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/require"

	"github.com/invitedhq/invited/queue/embedded/embeddedtest"
)

// TestARecordFromBeforeAClaimEndsNoWork: what a worker hears, and what it reads,
// need not come in the order in which it was written.
func TestARecordFromBeforeAClaimEndsNoWork(t *testing.T) {
	embeddedtest.HoldClock(t)
	synctest.Test(t, func(t *testing.T) {
		q, err := Open(t.Context(), embeddedtest.Connect(t, embeddedtest.Start(t)), Options{Partitions: 1})
		require.NoError(t, err)
		defer q.Close()
		m := newMembers(q)
		require.NoError(t, m.renew(t.Context()))
		_, err = m.writeOwner(t.Context(), 0, 0, ownerRecord{Worker: "former", Released: true})
		require.NoError(t, err)
		c, ok, err := m.tryClaim(t.Context(), 0)
		require.NoError(t, err)
		require.True(t, ok)
		p := newPartition(0, m, DeliverFunc(nil), nil)
		working, cancel := context.WithCancelCause(t.Context())
		require.True(t, p.begin(cancel, 0))

		hear := func(worker string, over uint64) {
			data := fmt.Sprintf(`{"worker":%q,"over":%d}`, worker, over)
			m.receive(&nats.Msg{Subject: ownerSubject(0), Data: []byte(data)}, []*partition{p})
		}
		hear("former", 0)
		require.NoError(t, context.Cause(working), "the former owner's own claim, heard late")
		hear("next", c.revision)
		require.ErrorIs(t, context.Cause(working), errLost)
	})
}
