package queue_test

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/invitedhq/invited/queue"
	"github.com/invitedhq/invited/queue/embedded"
	"github.com/invitedhq/invited/queue/embedded/embeddedtest"
)

func TestADeliverySaysWhatTheProducerPublished(t *testing.T) {
	inFakeTime(t, queue.Options{}, func(t *testing.T, f *fixture) {
		w := f.consume()
		began := time.Now()
		r := f.publish(alice, job("order-1", 5, 6, 5), queue.WithTraceparent("00-1-2-01"))
		d := w.next()
		assert.Equal(t, alice, d.Address)
		assert.Equal(t, queue.Interactive, d.Lane)
		assert.Equal(t, queue.Job{ID: "order-1", InvitedUsers: []queue.XUID{5, 6}}, d.Job)
		assert.NoError(t, d.Invalid)
		assert.Nil(t, d.Progress)
		assert.Equal(t, "INVITES", d.Stream)
		assert.Equal(t, r.Sequence, d.Sequence)
		assert.Equal(t, "invites.jobs.100.alice", d.Subject(), "the subject is the producer's, not the partition's")
		assert.Equal(t, "order-1", d.ID())
		assert.Equal(t, "00-1-2-01", d.Traceparent)
		assert.False(t, d.Redelivered)
		assert.WithinDuration(t, began, d.PublishedAt, time.Second)
	})
}

func TestWhatIsNoJobIsDeliveredWithItsReason(t *testing.T) {
	inFakeTime(t, queue.Options{}, func(t *testing.T, f *fixture) {
		w := f.consume()
		tests := []struct{ subject, body, id, problem string }{
			{"invites.jobs.100.alice", `not json`, "INVITES:1", "not valid JSON"},
			{"invites.jobs.100.alice", `{"id":"mine","invitedUsers":[]}`, "mine", "invitedUsers: is empty"},
			{"invites.jobs.zero.alice", `{"id":"x","invitedUsers":["1"]}`, "x", `titleId "zero"`},
			{"invites.jobs.007.alice", `{"id":"y","invitedUsers":["1"]}`, "y", "without leading zeros"},
			{"invites.jobs.100.al$ce", `{"id":"z","invitedUsers":["1"]}`, "z", `sender "al$ce"`},
		}
		for _, test := range tests {
			f.raw(test.subject, test.body)
			d := w.next()
			require.ErrorContains(t, d.Invalid, test.problem)
			assert.Equal(t, test.id, d.ID())
			assert.Equal(t, test.subject, d.Subject())
			require.NoError(t, d.Ack())
		}
	})
}

func TestEveryJobIsDeliveredOnceToOneOwner(t *testing.T) {
	inFakeTime(t, queue.Options{Partitions: 4}, func(t *testing.T, f *fixture) {
		second := connect(t, f.server)
		second.open(queue.Options{})
		workers := []*worker{f.consume(), second.consume()}
		time.Sleep(5 * time.Second) // they have shared the partitions
		const jobs = 2000
		for i := range jobs {
			f.publish(queue.Address{TitleID: 7, Sender: fmt.Sprint("s", i%50)}, job(fmt.Sprint(i)))
		}
		seen := map[string]bool{}
		ownerOf := map[string]int{}
		for range jobs {
			var d *queue.Delivery
			owner := 0
			select {
			case d = <-workers[0].deliveries:
			case d = <-workers[1].deliveries:
				owner = 1
			case <-time.After(time.Minute):
				require.FailNow(t, "jobs are missing", "%d of %d came", len(seen), jobs)
			}
			require.False(t, seen[d.ID()], "job %s came twice", d.ID())
			seen[d.ID()] = true
			if before, ok := ownerOf[d.Address.Sender]; ok {
				require.Equal(t, before, owner, "a key has one owner")
			}
			ownerOf[d.Address.Sender] = owner
			require.NoError(t, d.Ack())
		}
		workers[0].none(2 * time.Minute)
		require.Zero(t, f.count("INVITES"))
	})
}

func TestAStopGivesBackAtOnceWhatWasNotHandedOver(t *testing.T) {
	inFakeTime(t, queue.Options{}, func(t *testing.T, f *fixture) {
		const jobs = 500
		for i := range jobs {
			f.publish(alice, job(fmt.Sprint(i)))
		}
		release := make(chan struct{})
		handed := make(chan *queue.Delivery, jobs)
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() {
			ended <- f.queue.Consume(ctx, queue.DeliverFunc(func(d *queue.Delivery) {
				handed <- d
				<-release
			}))
		}()
		mine := <-handed
		time.Sleep(time.Second) // the prefetch is here
		cancel()
		began := time.Now()
		close(release)
		require.NoError(t, <-ended)
		require.Less(t, time.Since(began), time.Second)
		require.Empty(t, handed, "after the end nothing is handed over")

		second := connect(t, f.server)
		second.open(queue.Options{})
		w := second.consume()
		seen := map[string]bool{}
		for range jobs - 1 {
			d := w.next()
			require.False(t, seen[d.ID()])
			seen[d.ID()] = true
			require.NoError(t, d.Ack())
		}
		require.Less(t, time.Since(began), 5*time.Second, "no job waits for its lease to end")
		require.NoError(t, mine.Ack(), "what was handed over is still the first worker's")
		w.none(2 * time.Minute)
		require.Zero(t, f.count("INVITES"))
	})
}

func TestABlockedHandlerKeepsItsLeases(t *testing.T) {
	inFakeTime(t, queue.Options{}, func(t *testing.T, f *fixture) {
		release := make(chan struct{})
		var handed []*queue.Delivery
		f.consumeWith(func(d *queue.Delivery) {
			<-release
			handed = append(handed, d)
		})
		for i := range 100 {
			f.publish(alice, job(fmt.Sprint(i)))
		}
		for range 10 { // five minutes, of leases of thirty seconds
			time.Sleep(30 * time.Second)
		}
		close(release)
		synctest.Wait()
		seen := map[string]bool{}
		for _, d := range handed {
			require.NoError(t, d.Ack())
			if d.Redelivered {
				require.Equal(t, "0", d.ID(), "only the one that was handed over is the handler's to extend")
			}
			seen[d.ID()] = true
		}
		require.Len(t, seen, 100)
		time.Sleep(time.Second)
		require.Zero(t, f.count("INVITES"))
	})
}

func TestAReleasedJobComesAgainAfterItsDelay(t *testing.T) {
	inFakeTime(t, queue.Options{}, func(t *testing.T, f *fixture) {
		w := f.consume()
		f.publish(alice, job("a"))
		d := w.next()
		began := time.Now()
		require.NoError(t, d.Release(10*time.Second))
		d = w.next()
		require.True(t, d.Redelivered)
		require.InDelta(t, 10, time.Since(began).Seconds(), 1)
		began = time.Now()
		require.NoError(t, d.Release(0))
		w.next()
		require.Less(t, time.Since(began), time.Second)
	})
}

func TestAnExtendedLeaseLasts(t *testing.T) {
	inFakeTime(t, queue.Options{AckWait: 10 * time.Second}, func(t *testing.T, f *fixture) {
		w := f.consume()
		f.publish(alice, job("a"))
		d := w.next()
		for range 20 {
			time.Sleep(4 * time.Second)
			require.NoError(t, d.Extend())
		}
		require.Empty(t, w.deliveries)
		began := time.Now()
		require.True(t, w.next().Redelivered, "without extension it ends")
		require.InDelta(t, 10, time.Since(began).Seconds(), 2)
	})
}

func TestAWorkerHoldsNoMoreThanItsWindow(t *testing.T) {
	inFakeTime(t, queue.Options{MaxInHand: 10}, func(t *testing.T, f *fixture) {
		w := f.consume()
		for i := range 25 {
			f.publish(alice, job(fmt.Sprint(i)))
		}
		var held []*queue.Delivery
		for range 10 {
			held = append(held, w.next())
		}
		w.none(5 * time.Second)
		for _, d := range held {
			require.NoError(t, d.Ack())
		}
		for range 10 {
			w.next()
		}
		w.none(time.Second)
	})
}

func TestADeletedConsumerIsCreatedAgain(t *testing.T) {
	inFakeTime(t, queue.Options{Partitions: 1}, func(t *testing.T, f *fixture) {
		w := f.consume()
		f.publish(alice, job("a"))
		require.NoError(t, w.next().Ack())
		f.eventually("INVITES", 0)
		require.NoError(t, f.js.DeleteConsumer(t.Context(), "INVITES", "partition-0"))
		began := time.Now()
		f.publish(alice, job("b"))
		require.Equal(t, "b", w.next().ID())
		require.Less(t, time.Since(began), 3*time.Second)
	})
}

func TestChangedOptionsReachAnExistingConsumerAndItsPauseStays(t *testing.T) {
	inFakeTime(t, queue.Options{Partitions: 1}, func(t *testing.T, f *fixture) {
		first := f.consume()
		synctest.Wait() // until its consumers are there
		first.stop()
		until := time.Now().Add(2 * time.Minute)
		_, err := f.js.PauseConsumer(t.Context(), "INVITES", "partition-0", until)
		require.NoError(t, err)
		second := connect(t, f.server)
		second.open(queue.Options{AckWait: time.Minute, MaxInHand: 77})
		w := second.consume()
		f.publish(alice, job("a"))
		w.none(110 * time.Second)
		c, err := f.js.Consumer(t.Context(), "INVITES", "partition-0")
		require.NoError(t, err)
		require.Equal(t, 77*32, c.CachedInfo().Config.MaxAckPending)
		require.Equal(t, time.Minute, c.CachedInfo().Config.AckWait)
		w.next()
	})
}

func TestConsumingGoesOnAfterAServerRestart(t *testing.T) {
	dir := t.TempDir()
	server := embeddedtest.StartWith(t, embedded.Options{DataDir: dir, Listen: embeddedtest.FreeAddress(t)})
	url := server.ClientURL()
	nc, err := queue.Connect(queue.ConnectOptions{URL: url, Logger: discard()})
	require.NoError(t, err)
	t.Cleanup(nc.Close)
	f := &fixture{T: t, server: server, nc: nc}
	f.js, err = jetstream.New(nc)
	require.NoError(t, err)
	f.pub, err = queue.NewPublisher(nc)
	require.NoError(t, err)
	f.open(queue.Options{})
	w := f.consume()
	f.publish(alice, job("a"))
	f.publish(alice, job("b"))
	require.NoError(t, w.next().Ack())
	require.Equal(t, "b", w.next().ID())
	require.NoError(t, nc.Flush())
	server.Shutdown()

	embeddedtest.StartWith(t, embedded.Options{DataDir: dir, Listen: url[len("nats://"):]})
	require.Equal(t, "b", w.next().ID(), "what was not acknowledged comes again")
	require.Eventually(t, func() bool {
		_, err := f.pub.Publish(t.Context(), alice, job("c"), queue.WithMsgID("c"))
		return err == nil
	}, 30*time.Second, 10*time.Millisecond)
	require.Equal(t, "c", w.next().ID())
}

func TestABigBacklogIsWorkedOff(t *testing.T) {
	f := open(t, embeddedtest.Start(t), queue.Options{Partitions: 4})
	const jobs = 10_000
	var last *queue.Future
	for i := range jobs {
		var err error
		last, err = f.pub.PublishAsync(t.Context(), queue.Address{TitleID: 1, Sender: fmt.Sprint("s", i%100)}, job(fmt.Sprint(i)))
		require.NoError(t, err)
	}
	_, err := last.Wait(t.Context())
	require.NoError(t, err)
	done := make(chan error, jobs)
	f.consumeWith(func(d *queue.Delivery) {
		f.queue.Settle(t.Context(), d, queue.Ending{Sent: 1, EndedAt: time.Now()}, func(err error) { done <- err })
	})
	for range jobs {
		require.NoError(t, <-done)
	}
	f.eventually("INVITES", 0)
	require.Equal(t, jobs, f.count("INVITE_RESULTS"), "each job has one result")
}

func TestADeletedStreamIsCreatedAgain(t *testing.T) {
	inFakeTime(t, queue.Options{}, func(t *testing.T, f *fixture) {
		w := f.consume()
		for _, name := range []string{queue.JobsStream, queue.ResultsStream} {
			require.NoError(t, f.js.DeleteStream(t.Context(), name))
		}
		<-time.After(30 * time.Second)
		f.publish(alice, job("after"))
		d := w.next()
		assert.Equal(t, "after", d.ID(), "jobs come again from the new stream")
		f.settle(d, queue.Ending{Sent: 1, EndedAt: time.Now()})
		assert.Len(t, f.results(queue.Filter{}), 1, "and results are stored")
	})
}

// A server that reads a configuration file allows 1,000 consumers of a stream
// that does not ask for more; the embedded one has no such limit to run into.
func TestACampaignStreamAsksForMoreConsumersThanAServersDefault(t *testing.T) {
	f := open(t, embeddedtest.Start(t), queue.Options{})
	stream, err := f.js.Stream(t.Context(), queue.CampaignsStream)
	require.NoError(t, err)
	assert.Equal(t, 20_000, stream.CachedInfo().Config.MaxConsumers)
}

func TestConsumeEndsWithAClosedConnection(t *testing.T) {
	inFakeTime(t, queue.Options{}, func(t *testing.T, f *fixture) {
		ended := make(chan error, 1)
		go func() { ended <- f.queue.Consume(t.Context(), queue.DeliverFunc(func(*queue.Delivery) {})) }()
		time.Sleep(time.Second)
		f.nc.Close()
		require.ErrorIs(t, <-ended, nats.ErrConnectionClosed)
	})
}
