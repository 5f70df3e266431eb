package queue

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/invitedhq/invited/queue/embedded/embeddedtest"
)

func TestAnOwnerWhoseTenureIsOverLeavesTheConsumerToTheNextOne(t *testing.T) {
	embeddedtest.HoldClock(t)
	synctest.Test(t, func(t *testing.T) {
		q, err := Open(t.Context(), embeddedtest.Connect(t, embeddedtest.Start(t)), Options{Partitions: 1})
		require.NoError(t, err)
		defer q.Close()
		m := newMembers(q)
		q.members.Store(m)
		of := func(tenure int64) *source {
			m.tenures[0].Store(tenure)
			return q.newSource(sourceConfig{
				stream: JobsStream, name: "partition-0", subject: partPrefix + "0.*.*", window: 512, claim: claim{from: abandoned},
			}, DeliverFunc(nil))
		}
		late, next := of(1), of(2)
		theirs, err := next.ensure(t.Context())
		require.NoError(t, err)
		time.Sleep(time.Second)
		require.ErrorIs(t, late.takeOver(t.Context()), ErrLost)
		now, err := q.streams[JobsStream].Consumer(t.Context(), "partition-0")
		require.NoError(t, err)
		require.Equal(t, theirs.CachedInfo().Created, now.CachedInfo().Created, "else all that the next one has in hand came once more")
		require.NoError(t, next.takeOver(t.Context()))
	})
}

// TestAnOwnerThatMakesItsConsumerAnewAndDiesLeavesWordOfWhatItHad: its lease ran out, or its server was restarted, while it had a job in a
// call. Until the job has come to it once more, the new consumer does not show that anybody ever had it.
func TestAnOwnerThatMakesItsConsumerAnewAndDiesLeavesWordOfWhatItHad(t *testing.T) {
	for name, anew := range map[string]func(t *testing.T, s *source){
		"after its lease": func(t *testing.T, s *source) {
			cfg := sourceConfig{
				stream: JobsStream, name: s.cfg.Durable, subject: s.cfg.FilterSubject, window: 512, claim: claim{from: mine},
			}
			require.NoError(t, s.q.newSource(cfg, s.worker).takeOver(t.Context()))
		},
		"after its server was restarted": func(t *testing.T, s *source) {
			require.NoError(t, s.stream.DeleteConsumer(t.Context(), s.cfg.Durable))
			_, err := s.ensure(t.Context())
			require.NoError(t, err)
		},
	} {
		t.Run(name, func(t *testing.T) {
			embeddedtest.HoldClock(t)
			synctest.Test(t, func(t *testing.T) {
				nc := embeddedtest.Connect(t, embeddedtest.Start(t))
				q, err := Open(t.Context(), nc, Options{Partitions: 1})
				require.NoError(t, err)
				defer q.Close()
				publisher, err := NewPublisher(nc)
				require.NoError(t, err)
				_, err = publisher.Publish(t.Context(), Address{TitleID: 5, Sender: "alice"}, Job{InvitedUsers: []XUID{1}})
				require.NoError(t, err)

				jobs := make(chan *Delivery, 1)
				of := func(from handover) *source {
					return q.newSource(sourceConfig{
						stream: JobsStream, name: "partition-0", subject: partPrefix + "0.*.*", window: 512, claim: claim{from: from},
					}, DeliverFunc(func(d *Delivery) { jobs <- d }))
				}
				// next runs a source until a job has come.
				next := func(s *source) *Delivery {
					ctx, stop := context.WithCancel(t.Context())
					ended := make(chan struct{})
					go func() { defer close(ended); s.run(ctx) }()
					d := <-jobs
					stop()
					<-ended
					return d
				}
				owner := of(released)
				require.False(t, next(owner).MaybeSent)
				anew(t, owner)
				require.True(t, next(of(abandoned)).MaybeSent)
			})
		})
	}
}
