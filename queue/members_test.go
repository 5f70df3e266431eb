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
		_, err = m.renew(t.Context())
		require.NoError(t, err)
		_, err = m.writeOwner(t.Context(), 0, 0, ownerRecord{Worker: "former", Released: true})
		require.NoError(t, err)
		c, ok, err := m.tryClaim(t.Context(), 0)
		require.NoError(t, err)
		require.True(t, ok)
		p := newPartition(0, m, DeliverFunc(nil), nil)
		working, cancel := context.WithCancelCause(t.Context())
		require.True(t, p.begin(cancel, 0, c))

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

// TestAClaimThatAStopCutOffIsGivenUp: else its next owner takes all that was published since for what may have been sent.
func TestAClaimThatAStopCutOffIsGivenUp(t *testing.T) {
	embeddedtest.HoldClock(t)
	synctest.Test(t, func(t *testing.T) {
		q, err := Open(t.Context(), embeddedtest.Connect(t, embeddedtest.Start(t)), Options{Partitions: 1})
		require.NoError(t, err)
		defer q.Close()
		m, next := newMembers(q), newMembers(q)
		_, err = next.renew(t.Context())
		require.NoError(t, err)
		_, err = m.writeOwner(t.Context(), 0, 0, ownerRecord{Worker: m.me})
		require.NoError(t, err)

		stopped, stop := context.WithCancel(t.Context())
		stop()
		p := newPartition(0, m, DeliverFunc(nil), nil)
		p.unsure = true
		p.run(stopped)
		c, ok, err := next.tryClaim(t.Context(), 0)
		require.NoError(t, err)
		require.True(t, ok)
		require.Equal(t, abandoned, c.from)
		require.False(t, c.left.IsZero(), "and it is known since when nothing comes of it")
	})
}

// TestAClaimWhoseAnswerWasLostIsGivenUp: the record says that a worker owns a
// partition which it does not want any more, and it never learnt that.
func TestAClaimWhoseAnswerWasLostIsGivenUp(t *testing.T) {
	embeddedtest.HoldClock(t)
	synctest.Test(t, func(t *testing.T) {
		q, err := Open(t.Context(), embeddedtest.Connect(t, embeddedtest.Start(t)), Options{Partitions: 1})
		require.NoError(t, err)
		defer q.Close()
		m, other := newMembers(q), newMembers(q)
		_, err = m.renew(t.Context())
		require.NoError(t, err)
		_, err = other.renew(t.Context())
		require.NoError(t, err)
		_, err = m.writeOwner(t.Context(), 0, 0, ownerRecord{Worker: m.me})
		require.NoError(t, err)
		_, ok, err := other.tryClaim(t.Context(), 0)
		require.NoError(t, err)
		require.False(t, ok, "its owner is alive")

		p := newPartition(0, m, DeliverFunc(nil), nil)
		p.unsure = true
		p.makeSure(t.Context())
		require.False(t, p.unsure)
		require.Nil(t, p.debt)
		c, ok, err := other.tryClaim(t.Context(), 0)
		require.NoError(t, err)
		require.True(t, ok)
		require.Equal(t, abandoned, c.from, "nobody knows what was in hand")
	})
}
