package queue_test

import (
	"context"
	"fmt"
	"net"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/invitedhq/invited/queue"
)

// dead has a job end as a dead letter and returns that.
func (f *fixture) dead(w *worker, a queue.Address, j queue.Job, r queue.Reason) queue.DeadLetter {
	f.Helper()
	f.publish(a, j, queue.WithTraceparent("00-1-2-01"))
	d := w.next()
	f.settle(d, queue.Ending{Dead: []queue.Dead{{Reason: r, Detail: "no", Recipients: j.InvitedUsers[:1]}}})
	all := f.letters(queue.Filter{})
	return all[len(all)-1]
}

func (f *fixture) replayer() *queue.Replayer {
	f.Helper()
	r, err := queue.NewReplayer(f.Context(), f.nc)
	require.NoError(f, err)
	return r
}

func TestAReplayedLetterIsAJobAgainUnderItsOldName(t *testing.T) {
	inFakeTime(t, queue.Options{}, func(t *testing.T, f *fixture) {
		w := f.consume()
		for _, a := range []queue.Address{alice, campaign} {
			letter := f.dead(w, a, queue.Job{InvitedUsers: []queue.XUID{5, 6}, ConnectionString: "lobby"}, queue.Rejected)
			require.NoError(t, f.replayer().Replay(t.Context(), letter))
			assert.Empty(t, f.letters(queue.Filter{}), "the letter leaves once its job is back")
			assert.Zero(t, f.count("INVITE_PROGRESS"), "and nothing is left of the replay")
			d := w.next()
			assert.Equal(t, a, d.Address)
			assert.Equal(t, letter.JobID, d.ID(), "what its producer knows it by")
			assert.Equal(t, []queue.XUID{5}, d.Job.InvitedUsers, "only those that were not sent")
			assert.Equal(t, "00-1-2-01", d.Traceparent)
			f.settle(d, queue.Ending{Sent: 1})
		}
	})
}

func TestALetterThatSomebodyElseReplayedIsNotReplayedAgain(t *testing.T) {
	inFakeTime(t, queue.Options{}, func(t *testing.T, f *fixture) {
		w := f.consume()
		letter := f.dead(w, alice, job("mine", 5), queue.Rejected)
		require.NoError(t, f.replayer().Replay(t.Context(), letter))
		f.settle(w.next(), queue.Ending{Sent: 1})
		time.Sleep(11 * time.Minute)
		require.NoError(t, f.replayer().Replay(t.Context(), letter))
		w.none(time.Second)
		assert.Zero(t, f.count("INVITE_PROGRESS"))
	})
}

// TestANoteOfAReplayThatCantBeReadStopsNoReplay: whoever wrote it, the letters after this one wait too.
func TestANoteOfAReplayThatCantBeReadStopsNoReplay(t *testing.T) {
	inFakeTime(t, queue.Options{}, func(t *testing.T, f *fixture) {
		w := f.consume()
		letter := f.dead(w, alice, job("mine", 5), queue.Rejected)
		f.raw("invites.progress.INVITE_DEAD."+fmt.Sprint(letter.Sequence), `{"after":-1}`)
		require.NoError(t, f.replayer().Replay(t.Context(), letter))
		f.settle(w.next(), queue.Ending{Sent: 1})
		w.none(time.Second)
		assert.Empty(t, f.letters(queue.Filter{}))
		assert.Zero(t, f.count("INVITE_PROGRESS"))
	})
}

func TestWhatIsNoJobCanBeReplayedToo(t *testing.T) {
	inFakeTime(t, queue.Options{}, func(t *testing.T, f *fixture) {
		w := f.consume()
		f.raw("invites.jobs.100.alice", "not json")
		f.settle(w.next(), queue.Ending{Dead: []queue.Dead{{Reason: queue.Invalid}}})
		require.NoError(t, f.replayer().Replay(t.Context(), f.letters(queue.Filter{})[0]))
		d := w.next()
		require.Error(t, d.Invalid)
		f.settle(d, queue.Ending{Dead: []queue.Dead{{Reason: queue.Invalid}}})
		assert.Equal(t, "not json", string(f.letters(queue.Filter{})[0].Body))
	})
}

func TestALetterThatCantBeReplayedSaysWhyAndStays(t *testing.T) {
	inFakeTime(t, queue.Options{}, func(t *testing.T, f *fixture) {
		w := f.consume()
		letter := f.dead(w, alice, queue.Job{InvitedUsers: []queue.XUID{5}, ExpiresAt: time.Now().Add(time.Minute)}, queue.Expired)
		time.Sleep(2 * time.Minute)
		require.ErrorIs(t, f.replayer().Replay(t.Context(), letter), queue.ErrPast)
		letter.Subject = "elsewhere"
		require.ErrorIs(t, f.replayer().Replay(t.Context(), letter), queue.ErrNotReplayable)
		assert.Len(t, f.letters(queue.Filter{}), 1)
		assert.Empty(t, w.deliveries)
		require.NoError(t, f.replayer().Drop(t.Context(), letter))
		assert.Empty(t, f.letters(queue.Filter{}))
		require.NoError(t, f.replayer().Drop(t.Context(), letter), "what is gone is dropped")
	})
}

// frail is a connection that breaks at its n-th write.
type frail struct {
	server nats.InProcessConnProvider
	writes int
}

func (p *frail) InProcessConn() (net.Conn, error) {
	c, err := p.server.InProcessConn()
	return &frailConn{c, p}, err
}

type frailConn struct {
	net.Conn
	*frail
}

func (c *frailConn) Write(b []byte) (int, error) {
	if c.writes--; c.writes < 0 {
		_ = c.Close()
		return 0, net.ErrClosed
	}
	return c.Conn.Write(b)
}

func TestAReplayThatIsInterruptedAnywhereIsFinishedAndNotDoneTwice(t *testing.T) {
	for name, later := range map[string]time.Duration{"at once": 0, "after the stream has forgotten its message IDs": 11 * time.Minute} {
		t.Run(name, func(t *testing.T) {
			inFakeTime(t, queue.Options{}, func(t *testing.T, f *fixture) {
				w := f.consume()
				interrupted := 0
				for n := 1; ; n++ {
					letter := f.dead(w, alice, job("mine", 5), queue.Rejected)
					nc, err := f.server.Conn(nats.InProcessServer(&frail{f.server, 3 + n}), nats.NoReconnect())
					require.NoError(t, err)
					first := replayOver(t, nc, letter)
					nc.Close()
					if first != nil {
						interrupted++
					}
					time.Sleep(time.Second)
					if n%2 == 0 { // the job has ended before it is tried again
						for len(w.deliveries) > 0 {
							f.settle(w.next(), queue.Ending{Sent: 1})
						}
					}
					if later > 0 { // without a worker, which makes each second dear
						w.stop()
						time.Sleep(later)
						w = f.consume()
					}
					require.NoError(t, f.replayer().Replay(t.Context(), letter), "after write %d, which said %v", n, first)
					time.Sleep(time.Second)
					for len(w.deliveries) > 0 {
						f.settle(w.next(), queue.Ending{Sent: 1})
					}
					require.Empty(t, f.letters(queue.Filter{}))
					require.Zero(t, f.count("INVITE_PROGRESS"))
					sent := 0
					for _, r := range f.results(queue.Filter{Since: letter.StoredAt}) {
						sent += r.Sent
					}
					require.Equal(t, 1, sent, "interrupted at write %d (%v): one copy, whatever happened", n, first)
					if first == nil {
						break
					}
					time.Sleep(time.Minute) // so that results are this round's
				}
				assert.Greater(t, interrupted, 4, "it has that many steps")
			})
		})
	}
}

func replayOver(t *testing.T, nc *nats.Conn, letter queue.DeadLetter) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	r, err := queue.NewReplayer(ctx, nc)
	if err != nil {
		return err
	}
	return r.Replay(ctx, letter)
}
