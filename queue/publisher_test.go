package queue_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/invitedhq/invited/queue"
	"github.com/invitedhq/invited/queue/embedded/embeddedtest"
)

func TestARepeatWithinTenMinutesIsDropped(t *testing.T) {
	inFakeTime(t, queue.Options{}, func(t *testing.T, f *fixture) {
		first := f.publish(alice, job("a"), queue.WithMsgID("once"))
		require.Equal(t, queue.Receipt{Stream: "INVITES", Sequence: 1}, first)
		time.Sleep(9 * time.Minute)
		again := f.publish(alice, job("a"), queue.WithMsgID("once"))
		require.Equal(t, queue.Receipt{Stream: "INVITES", Sequence: 1, Duplicate: true}, again)
		time.Sleep(2 * time.Minute)
		require.False(t, f.publish(alice, job("a"), queue.WithMsgID("once")).Duplicate)
	})
}

func TestPublishAsyncKeepsOrderAndReportsEach(t *testing.T) {
	f := open(t, embeddedtest.Start(t), queue.Options{})
	futures := make([]*queue.Future, 10_000)
	for i := range futures {
		var err error
		futures[i], err = f.pub.PublishAsync(t.Context(), campaign, job(fmt.Sprint(i)))
		require.NoError(t, err, "more than may be on their way at once: it waits")
	}
	for i, future := range futures {
		r, err := future.Wait(t.Context())
		require.NoError(t, err)
		require.EqualValues(t, i+1, r.Sequence)
		require.Equal(t, "INVITE_CAMPAIGNS", r.Stream)
	}
}

func TestAPublisherServesManyGoroutines(t *testing.T) {
	f := open(t, embeddedtest.Start(t), queue.Options{})
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			for range 100 {
				_, err := f.pub.Publish(t.Context(), alice, job(""))
				assert.NoError(t, err)
			}
		})
	}
	group.Wait()
	require.Equal(t, 800, f.count("INVITES"))
}

func TestPublishRefusesBeforeItSends(t *testing.T) {
	f := open(t, embeddedtest.Start(t), queue.Options{})
	var addressError *queue.AddressError
	for _, a := range []queue.Address{
		{}, {TitleID: 1}, {Sender: "s"}, {TitleID: 1, Sender: "a.b"}, {TitleID: 1, Sender: "s", Campaign: "*"}, {TitleID: 1, Sender: "é"},
	} {
		_, err := f.pub.Publish(t.Context(), a, job(""))
		require.ErrorAs(t, err, &addressError, "%+v", a)
	}
	var jobError *queue.JobError
	_, err := f.pub.PublishAsync(t.Context(), alice, queue.Job{})
	require.ErrorAs(t, err, &jobError)
	require.Zero(t, f.count("INVITES"))
}

func TestWhyAJobWasNotStored(t *testing.T) {
	f := connect(t, embeddedtest.Start(t))
	publish := func(ctx context.Context) (sync, async error) {
		_, sync = f.pub.Publish(ctx, alice, job("a"))
		future, async := f.pub.PublishAsync(ctx, alice, job("a"))
		if async == nil {
			_, async = future.Wait(ctx)
		}
		return sync, async
	}
	check := func(want error) {
		t.Helper()
		for _, err := range []error{first(publish(t.Context())), second(publish(t.Context()))} {
			require.ErrorIs(t, err, want)
			require.ErrorContains(t, err, "invites.jobs.100.alice")
		}
	}
	check(queue.ErrNoQueue)

	f.open(queue.Options{})
	s, err := f.js.Stream(t.Context(), "INVITES")
	require.NoError(t, err)
	c := s.CachedInfo().Config
	change := func(f2 func(*jetstream.StreamConfig)) {
		c := c
		f2(&c)
		_, err := f.js.UpdateStream(t.Context(), c)
		require.NoError(t, err)
	}
	f.publish(alice, job("a"))
	change(func(c *jetstream.StreamConfig) { c.MaxMsgs = 1 })
	check(queue.ErrFull)
	change(func(c *jetstream.StreamConfig) { c.MaxBytes = 10 })
	check(queue.ErrFull)
	require.Equal(t, 1, f.count("INVITES"), "a full queue drops nothing")
	change(func(c *jetstream.StreamConfig) { c.MaxMsgSize = 8 })
	check(queue.ErrTooLarge)

	ended, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = f.pub.Publish(ended, alice, job("a"))
	require.ErrorIs(t, err, queue.ErrNoAnswer)
	require.ErrorIs(t, err, context.Canceled)
	f.nc.Close()
	check(queue.ErrDisconnected)
}

func first(err, _ error) error  { return err }
func second(_, err error) error { return err }
