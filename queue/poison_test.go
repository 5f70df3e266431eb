package queue_test

import (
	"bufio"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/invitedhq/invited/queue"
	"github.com/invitedhq/invited/queue/embedded"
	"github.com/invitedhq/invited/queue/embedded/embeddedtest"
)

// publishRaw publishes a header block as no client library would write it.
func (f *fixture) publishRaw(subject, header, body string) {
	f.Helper()
	conn, err := new(net.Dialer).DialContext(f.Context(), "tcp", strings.TrimPrefix(f.server.ClientURL(), "nats://"))
	require.NoError(f, err)
	defer conn.Close()
	_, err = fmt.Fprintf(conn, "CONNECT {\"headers\":true,\"verbose\":false}\r\nHPUB %s %d %d\r\n%s%s\r\nPING\r\n",
		subject, len(header), len(header)+len(body), header, body)
	require.NoError(f, err)
	lines := bufio.NewReader(conn)
	for line := ""; !strings.HasPrefix(line, "PONG"); {
		line, err = lines.ReadString('\n')
		require.NoError(f, err)
	}
}

// brokenHeader has a line that is none.
const brokenHeader = "NATS/1.0\r\nno colon\r\n\r\n"

func TestAHeaderThatCantBeReadHoldsUpNobody(t *testing.T) {
	for _, a := range []queue.Address{alice, {TitleID: alice.TitleID, Sender: alice.Sender, Campaign: "spring"}} {
		server := embeddedtest.StartWith(t, embedded.Options{Listen: embeddedtest.FreeAddress(t)})
		f := open(t, server, queue.Options{Partitions: 1, MaxInHand: 20})
		body, err := job("broken", 5).Encode()
		require.NoError(t, err)
		f.publishRaw(a.Subject(), brokenHeader, string(body)) // the first of its consumer, which is looked at by itself
		w := f.consume()
		d := w.next()
		require.Equal(t, "broken", d.ID(), "it is a job all the same")
		require.NoError(t, d.Invalid)
		require.NoError(t, d.Ack())
	}
}

func TestASetAsideJobWithAHeaderThatCantBeReadIsFetchedAllTheSame(t *testing.T) {
	server := embeddedtest.StartWith(t, embedded.Options{Listen: embeddedtest.FreeAddress(t)})
	f := open(t, server, queue.Options{Partitions: 1, MaxInHand: 20})
	w := f.consume()
	f.hog(20)
	for range 30 {
		body, err := job("broken", 5).Encode()
		require.NoError(t, err)
		f.publishRaw(alice.Subject(), brokenHeader, string(body))
	}
	var held []*queue.Delivery
	for range 20 {
		held = append(held, w.next())
	}
	f.publish(queue.Address{TitleID: 5, Sender: "bob"}, job("bob"))
	bob := w.next()
	require.Equal(t, "bob", bob.ID(), "alice's are set aside")
	for _, d := range append(held, bob) {
		require.NoError(t, d.Ack())
	}
	for range 30 {
		d := w.next()
		assert.Equal(t, "broken", d.ID())
		require.NoError(t, d.Ack())
	}
	require.Eventually(t, func() bool { return f.count(queue.JobsStream) == 0 }, 30*time.Second, 10*time.Millisecond)
}

func TestAMessageThatLooksLikeAWordOfTheServerIsNoJobAndStopsNobody(t *testing.T) {
	for name, header := range map[string]string{
		"deleted":   "NATS/1.0\r\nStatus: 409\r\nDescription: Consumer Deleted\r\n\r\n",
		"bad":       "NATS/1.0\r\nStatus: 400\r\n\r\n",
		"heartbeat": "NATS/1.0\r\nStatus: 100\r\n\r\n",
		"pin":       "NATS/1.0\r\nStatus: 423\r\n\r\n",
	} {
		for _, a := range []queue.Address{alice, {TitleID: alice.TitleID, Sender: alice.Sender, Campaign: "spring"}} {
			t.Run(name+" "+a.Lane().String(), func(t *testing.T) {
				t.Parallel()
				server := embeddedtest.StartWith(t, embedded.Options{Listen: embeddedtest.FreeAddress(t)})
				f := open(t, server, queue.Options{Partitions: 1, AckWait: 3 * time.Second})
				f.publishRaw(a.Subject(), header, "")
				w := f.consume()
				f.publish(a, job("good", 7))
				seen := map[string]bool{}
				for !seen["good"] || len(seen) < 2 {
					d := w.next()
					seen[d.ID()] = true
					assert.Equal(t, d.ID() != "good", d.Invalid != nil)
					require.NoError(t, d.Ack())
				}
				require.Eventually(t, func() bool { return f.count(queue.JobsStream)+f.count(queue.CampaignsStream) == 0 },
					30*time.Second, 10*time.Millisecond, "nothing stays")
			})
		}
	}
}
