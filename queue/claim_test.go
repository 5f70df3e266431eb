package queue_test

import (
	"bytes"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/require"

	"github.com/invitedhq/invited/queue"
	"github.com/invitedhq/invited/queue/embedded/embeddedtest"
)

// The claim of what a gone worker had is stored, and its answer lost: the next try finds the partition its own.
func TestAClaimWhoseAnswerWasLostForgetsNotThatTheOwnerIsGone(t *testing.T) {
	inFakeTime(t, queue.Options{Partitions: 1}, func(t *testing.T, f *fixture) {
		w := f.consume()
		f.publish(alice, job("a"))
		require.False(t, w.next().MaybeSent)

		wire := &tripwire{Wire: embeddedtest.Wire{Server: f.server}, word: []byte(`"over":`)}
		w.die()
		next := dial(t, f.server, nats.InProcessServer(wire))
		next.open(queue.Options{Partitions: 1})
		n := next.consume()
		time.Sleep(20 * time.Second)
		require.Empty(t, n.deliveries, "it has not heard that it is the owner")
		wire.Mend()
		require.True(t, n.next().MaybeSent, "the gone worker may have sent it")
	})
}

// tripwire goes deaf as its client writes a word for the first time: the answer to that is not heard.
type tripwire struct {
	embeddedtest.Wire
	word []byte
	once sync.Once
}

func (w *tripwire) InProcessConn() (net.Conn, error) {
	c, err := w.Wire.InProcessConn()
	return tripConn{c, w}, err
}

type tripConn struct {
	net.Conn
	wire *tripwire
}

func (c tripConn) Write(b []byte) (int, error) {
	if bytes.Contains(b, c.wire.word) {
		c.wire.once.Do(c.wire.Deafen)
	}
	return c.Conn.Write(b)
}

// A worker that is told to stop before it has found out what a gone one had in hand leaves no word of that. Nor does one that crashes.
func TestWhatWasPublishedAfterAnOwnerHadLeftWasNotSentByHim(t *testing.T) {
	for _, c := range []struct {
		name, owner string
		published   time.Duration // after that was written
		maybeSent   bool
	}{
		{"before he left", `{"worker":"","over":1}`, -time.Second, true},
		{"after he left", `{"worker":"","over":1}`, time.Second, false},
		{"after somebody else had written over his record", `no record`, time.Second, true},
		{"after he was last heard of", `{"worker":"gone"}`, time.Second, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			inFakeTime(t, queue.Options{Partitions: 1}, func(t *testing.T, f *fixture) {
				write := func() { f.raw("invites.workers.owner.0", c.owner) }
				publish := func() { f.publish(alice, job("a")) }
				first, second := write, publish
				if c.published < 0 {
					first, second = publish, write
				}
				first()
				time.Sleep(c.published.Abs())
				second()
				time.Sleep(time.Second)
				require.Equal(t, c.maybeSent, f.consume().next().MaybeSent)
			})
		})
	}
}
