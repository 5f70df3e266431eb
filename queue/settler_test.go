package queue_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
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

func TestAResultHasTheContractsForm(t *testing.T) {
	inFakeTime(t, queue.Options{}, func(t *testing.T, f *fixture) {
		w := f.consume()
		f.publish(campaign, job("order-1", 1, 2, 3), queue.WithTraceparent("00-aa-bb-01"))
		d := w.next()
		f.settle(d, queue.Ending{
			Sent: 1, Attempts: 2, MaybeDuplicate: true,
			Dead: []queue.Dead{
				{Reason: queue.Expired, Recipients: []queue.XUID{2}},
				{Reason: queue.Rejected, Recipients: []queue.XUID{3, 4}},
			},
		})
		s, err := f.js.Stream(t.Context(), "INVITE_RESULTS")
		require.NoError(t, err)
		m, err := s.GetMsg(t.Context(), 1)
		require.NoError(t, err)
		assert.Equal(t, "invites.results.100.alice.spring", m.Subject)
		assert.Equal(t, "00-aa-bb-01", m.Header.Get("traceparent"))
		assert.Equal(t, "INVITE_CAMPAIGNS:1", m.Header.Get("Invite-Job"))
		var fields map[string]any
		require.NoError(t, json.Unmarshal(m.Data, &fields))
		assert.Equal(t, d.PublishedAt.UTC().Format(time.RFC3339Nano), fields["publishedAt"])
		assert.NotEmpty(t, fields["endedAt"])
		delete(fields, "publishedAt")
		delete(fields, "endedAt")
		assert.Equal(t, map[string]any{
			"id": "order-1", "titleId": 100.0, "sender": "alice", "campaign": "spring", "sent": 1.0, "dead": 3.0,
			"reason": "rejected", "attempts": 2.0, "maybeDuplicate": true,
		}, fields)
		f.eventually("INVITE_CAMPAIGNS", 0)
	})
}

func TestAResultWithNothingToSayHasAllItsFields(t *testing.T) {
	inFakeTime(t, queue.Options{}, func(t *testing.T, f *fixture) {
		w := f.consume()
		f.raw("invites.jobs.nonsense.x", "{")
		f.settle(w.next(), queue.Ending{Dead: []queue.Dead{{Reason: queue.Invalid, Detail: "why"}}})
		s, err := f.js.Stream(t.Context(), "INVITE_RESULTS")
		require.NoError(t, err)
		m, err := s.GetMsg(t.Context(), 1)
		require.NoError(t, err)
		assert.Equal(t, "invites.results.0.-.-", m.Subject)
		var fields map[string]any
		require.NoError(t, json.Unmarshal(m.Data, &fields))
		for _, name := range []string{
			"id", "titleId", "sender", "campaign", "sent", "dead", "reason", "attempts", "publishedAt", "endedAt", "maybeDuplicate",
		} {
			assert.Contains(t, fields, name)
		}
		assert.Equal(t, "INVITES:1", fields["id"])
		assert.Len(t, f.letters(queue.Filter{TitleID: new(uint32), Reason: queue.Invalid}), 1)
	})
}

func TestADeadLetterIsTheJobWithOnlyTheUnsent(t *testing.T) {
	inFakeTime(t, queue.Options{}, func(t *testing.T, f *fixture) {
		w := f.consume()
		original := queue.Job{ID: "order-1", InvitedUsers: []queue.XUID{1, 2, 3}, ConnectionString: "c", Platform: "Win32"}
		f.publish(alice, original, queue.WithTraceparent("00-aa-bb-01"))
		d := w.next()
		f.settle(d, queue.Ending{
			Sent: 1, Attempts: 3,
			Dead: []queue.Dead{{
				Reason: queue.Rejected, Detail: "not\r\nInvite-Reason: forged " + strings.Repeat("é", 1000),
				Status: 400, ErrorCode: "RequestValidationError", Recipients: []queue.XUID{1, 3},
			}},
		})
		letters := f.letters(queue.Filter{})
		require.Len(t, letters, 1)
		l := letters[0]
		job, err := queue.DecodeJob(l.Body)
		require.NoError(t, err)
		want := original
		want.InvitedUsers = []queue.XUID{1, 3}
		assert.Equal(t, want, job)
		assert.Equal(t, alice, l.Address)
		assert.Equal(t, queue.Rejected, l.Reason, "a header can't be forged by a detail")
		assert.LessOrEqual(t, len(l.Detail), 1024)
		assert.Contains(t, l.Detail, "not  Invite-Reason: forged é")
		assert.Equal(t, 400, l.Status)
		assert.Equal(t, "RequestValidationError", l.ErrorCode)
		assert.Equal(t, 3, l.Attempts)
		assert.Equal(t, "order-1", l.JobID)
		assert.Equal(t, "invites.jobs.100.alice", l.Subject)
		assert.True(t, d.PublishedAt.Equal(l.PublishedAt))
		assert.False(t, l.DeadAt.IsZero())
		assert.Equal(t, "00-aa-bb-01", l.Traceparent)
		assert.EqualValues(t, 1, l.Sequence)

		// A replay: the body again, on Invite-Subject.
		f.raw(l.Subject, string(l.Body))
		assert.Equal(t, want, w.next().Job)
	})
}

func TestWhatIsNoJobIsKeptByteForByte(t *testing.T) {
	inFakeTime(t, queue.Options{}, func(t *testing.T, f *fixture) {
		w := f.consume()
		body := "\x00\xff{\"id\":1}\r\n\r\nNATS/1.0\r\n"
		f.raw("invites.jobs.100.alice", body, "X-Secret", "s", "Traceparent", "00-1-2-01", "Invite-Reason", "forged")
		d := w.next()
		f.settle(d, queue.Ending{Dead: []queue.Dead{{Reason: queue.Invalid, Detail: d.Invalid.Error()}}})
		s, err := f.js.Stream(t.Context(), "INVITE_DEAD")
		require.NoError(t, err)
		m, err := s.GetMsg(t.Context(), 1)
		require.NoError(t, err)
		assert.Equal(t, body, string(m.Data))
		assert.Equal(t, "invites.dead.100.invalid", m.Subject)
		assert.Equal(t, []string{"invalid"}, m.Header["Invite-Reason"])
		assert.Equal(t, "00-1-2-01", m.Header.Get("traceparent"))
		assert.NotContains(t, m.Header, "X-Secret", "a producer's other headers end here")
	})
}

func TestTheDeadLetterOfTheLargestJobFits(t *testing.T) {
	f := open(t, embeddedtest.Start(t), queue.Options{})
	w := f.consume()
	largest := int(f.nc.MaxPayload()) - 8<<10
	_, refused := f.js.Publish(t.Context(), "invites.jobs.100.alice", make([]byte, largest+1))
	require.Error(t, refused, "a larger one is refused, where its producer sees it")
	f.raw("invites.jobs.100.alice", strings.Repeat("x", largest-100))
	f.settle(w.next(), queue.Ending{Dead: []queue.Dead{{
		Reason: queue.Invalid, Detail: strings.Repeat("d", 5000), ErrorCode: strings.Repeat("e", 5000),
	}}})
	letters := f.letters(queue.Filter{})
	require.Len(t, letters, 1)
	require.Len(t, letters[0].Body, largest-100)
	require.Len(t, letters[0].Detail, 1024)
}

func TestALetterIsStoredEvenIfAnOperatorsStreamTakesLargerJobs(t *testing.T) {
	f := open(t, embeddedtest.Start(t), queue.Options{})
	s, err := f.js.Stream(t.Context(), "INVITES")
	require.NoError(t, err)
	c := s.CachedInfo().Config
	c.MaxMsgSize = -1
	_, err = f.js.UpdateStream(t.Context(), c)
	require.NoError(t, err)
	w := f.consume()
	whole := int(f.nc.MaxPayload()) - 20
	f.raw("invites.jobs.100.alice", strings.Repeat("x", whole))
	d := w.next()
	f.settle(d, queue.Ending{Dead: []queue.Dead{{Reason: queue.Invalid, Detail: "no JSON"}}})
	letters := f.letters(queue.Filter{})
	require.Len(t, letters, 1)
	require.Contains(t, letters[0].Detail, fmt.Sprintf("the body of %d bytes was cut", whole))
	require.Greater(t, len(letters[0].Body), whole-2000)
}

func TestAJobThatIsSettledTwiceHasOneResultAndOneLetter(t *testing.T) {
	inFakeTime(t, queue.Options{}, func(t *testing.T, f *fixture) {
		w := f.consume()
		f.publish(alice, job("a", 1, 2))
		d := w.next()
		e := queue.Ending{Sent: 1, Dead: []queue.Dead{{Reason: queue.Rejected, Recipients: []queue.XUID{2}}}}
		f.settle(d, e)
		f.settle(d, e)
		require.Equal(t, 1, f.count("INVITE_RESULTS"))
		require.Equal(t, 1, f.count("INVITE_DEAD"))
		e.Dead[0].Recipients = []queue.XUID{1}
		f.settle(d, e)
		require.Equal(t, 2, f.count("INVITE_DEAD"), "another letter is no repeat")
	})
}

func TestARecreatedStreamsJobsAreNoRepeats(t *testing.T) {
	inFakeTime(t, queue.Options{}, func(t *testing.T, f *fixture) {
		for i := range 2 {
			w := f.consume()
			f.publish(alice, job(fmt.Sprint(i)))
			d := w.next()
			require.EqualValues(t, 1, d.Sequence)
			f.settle(d, queue.Ending{Sent: 1})
			w.stop()
			require.Equal(t, i+1, f.count("INVITE_RESULTS"))
			require.NoError(t, f.js.DeleteStream(t.Context(), "INVITES"))
			again := connect(t, f.server)
			again.open(queue.Options{})
			f.queue = again.queue
			time.Sleep(time.Millisecond) // in fake time two jobs could be published at one instant
		}
	})
}

func TestAnEndingIsStoredBeforeItsJobIsAcknowledged(t *testing.T) {
	inFakeTime(t, queue.Options{}, func(t *testing.T, f *fixture) {
		require.NoError(t, f.js.DeleteStream(t.Context(), "INVITE_RESULTS"))
		w := f.consumeQuietly()
		f.publish(alice, job("a", 1, 2))
		d := w.next()
		done := make(chan error, 2)
		e := queue.Ending{
			Sent: 1, Dead: []queue.Dead{{Reason: queue.Rejected, Recipients: []queue.XUID{2}}}, EndedAt: time.Now(),
		}
		f.queue.Settle(t.Context(), d, e, func(err error) { done <- err })
		time.Sleep(10 * time.Second)
		require.Equal(t, 1, f.count("INVITE_DEAD"))
		require.Equal(t, 1, f.count("INVITES"), "the job stays while its result can't be stored")
		require.Empty(t, done)

		connect(t, f.server).open(queue.Options{}) // creates the stream again
		require.NoError(t, <-done)
		f.eventually("INVITES", 0)
		require.Equal(t, 1, f.count("INVITE_RESULTS"))
		require.Equal(t, 1, f.count("INVITE_DEAD"))
		time.Sleep(time.Minute)
		require.Empty(t, done, "done is called once")
	})
}

// consumeQuietly starts consuming although learning would fail: the stream of
// results is put back for the start.
func (f *fixture) consumeQuietly() *worker {
	s, err := f.js.CreateStream(f.Context(), jetstream.StreamConfig{
		Name: "INVITE_RESULTS", Subjects: []string{"invites.results.*.*.*"}, Duplicates: time.Minute,
	})
	require.NoError(f, err)
	w := f.consume()
	f.publish(alice, job("warm"))
	require.NoError(f, w.next().Ack())
	f.eventually("INVITES", 0)
	require.NoError(f, f.js.DeleteStream(f.Context(), s.CachedInfo().Config.Name))
	return w
}

func TestALetterThatCantBeStoredDelaysNothingElse(t *testing.T) {
	inFakeTime(t, queue.Options{}, func(t *testing.T, f *fixture) {
		require.NoError(t, f.js.DeleteStream(t.Context(), "INVITE_DEAD"))
		w := f.consume()
		f.publish(alice, job("dead"))
		f.publish(alice, job("sent"))
		ctx, cancel := context.WithCancelCause(t.Context())
		done := make(chan error, 1)
		f.queue.Settle(ctx, w.next(), queue.Ending{
			Dead: []queue.Dead{{Reason: queue.Rejected, Recipients: []queue.XUID{1}}}, EndedAt: time.Now(),
		}, func(err error) { done <- err })
		f.settle(w.next(), queue.Ending{Sent: 1})
		require.Empty(t, done)
		require.Len(t, f.results(queue.Filter{}), 1, "a result is never stored before its dead letters")

		stop := errors.New("stop")
		cancel(stop)
		require.Error(t, <-done, "a settlement ends with its context")
		require.Equal(t, 1, f.count("INVITES"), "and leaves the job in its queue")
	})
}

func TestSettlingGoesOnAfterALostConnection(t *testing.T) {
	dir := t.TempDir()
	server := embeddedtest.StartWith(t, embedded.Options{DataDir: dir, Listen: embeddedtest.FreeAddress(t)})
	url := server.ClientURL()
	f := overTCP(t, url)
	w := f.consume()
	const jobs = 200
	var held []*queue.Delivery
	for i := range jobs {
		f.publish(alice, job(fmt.Sprint(i)))
	}
	for range jobs {
		held = append(held, w.next())
	}
	done := make(chan error, jobs)
	for i, d := range held {
		if i == jobs/2 {
			server.Shutdown() // half of them are on their way
		}
		f.queue.Settle(t.Context(), d, queue.Ending{Sent: 1, EndedAt: time.Now()}, func(err error) { done <- err })
	}
	embeddedtest.StartWith(t, embedded.Options{DataDir: dir, Listen: url[len("nats://"):]})
	settled := map[string]bool{}
	for range jobs {
		require.NoError(t, <-done)
	}
	results := f.results(queue.Filter{})
	w.die()
	for _, r := range results {
		require.False(t, settled[r.ID], "job %s has two results", r.ID)
		settled[r.ID] = true
	}
	require.Len(t, settled, jobs)
	// Acknowledgements may have been lost with the server. Whoever consumes next
	// sees the results and hands over none of these jobs.
	next := overTCP(t, url)
	next.consumeWith(func(d *queue.Delivery) { assert.Fail(t, "handed over again", "job %s", d.ID()) })
	next.eventually("INVITES", 0)
}

func overTCP(t *testing.T, url string) *fixture {
	t.Helper()
	nc, err := queue.Connect(queue.ConnectOptions{URL: url, Logger: discard()})
	require.NoError(t, err)
	t.Cleanup(nc.Close)
	f := &fixture{T: t, nc: nc}
	f.js, err = jetstream.New(nc)
	require.NoError(t, err)
	f.pub, err = queue.NewPublisher(nc)
	require.NoError(t, err)
	f.reader, err = queue.NewReader(nc)
	require.NoError(t, err)
	f.open(queue.Options{})
	return f
}

func TestAJobWhoseResultIsStoredIsNeverHandedOverAgain(t *testing.T) {
	inFakeTime(t, queue.Options{}, func(t *testing.T, f *fixture) {
		dying := connect(t, f.server)
		dying.open(queue.Options{})
		w := dying.consume()
		for i := range 10 {
			f.publish(alice, job(fmt.Sprint(i)))
		}
		for range 10 {
			d := w.next()
			if d.ID() == "3" {
				continue // had no result when the worker died
			}
			// The worker dies between the result and the acknowledgement.
			m := nats.NewMsg("invites.results.100.alice.-")
			id := "result:" + d.Stream + ":" + fmt.Sprint(d.Sequence) + ":" + base36(d.PublishedAt.UnixNano())
			if d.ID() == "4" {
				id += ":again" // it took the place of one that came late
			}
			m.Header.Set("Nats-Msg-Id", id)
			m.Data = []byte(`{}`)
			_, err := f.js.PublishMsg(t.Context(), m)
			require.NoError(t, err)
		}
		w.die()
		next := connect(t, f.server)
		next.open(queue.Options{})
		taker := next.consume()
		d := taker.next()
		require.Equal(t, "3", d.ID())
		taker.none(20 * time.Second)
		require.Equal(t, 1, f.count("INVITES"), "the others are acknowledged in its place")
	})
}

func TestSettleBlocksWhileTooManyAreOnTheirWayAndEndsWithItsContext(t *testing.T) {
	inFakeTime(t, queue.Options{MaxPending: 2}, func(t *testing.T, f *fixture) {
		w := f.consume()
		for range 3 {
			f.publish(alice, job("a"))
		}
		held := []*queue.Delivery{w.next(), w.next(), w.next()}
		require.NoError(t, f.js.DeleteStream(t.Context(), "INVITE_RESULTS"))
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 3)
		returned := make(chan struct{})
		go func() {
			for _, d := range held {
				f.queue.Settle(ctx, d, queue.Ending{Sent: 1, EndedAt: time.Now()}, func(err error) { done <- err })
			}
			close(returned)
		}()
		time.Sleep(time.Second)
		synctest.Wait()
		select {
		case <-returned:
			require.FailNow(t, "the third must wait")
		default:
		}
		cancel()
		<-returned
		for range 3 {
			require.Error(t, <-done)
		}
	})
}

func BenchmarkSettle(b *testing.B) {
	server := embeddedtest.Start(b)
	nc := embeddedtest.Connect(b, server)
	q, err := queue.Open(b.Context(), nc, queue.Options{Logger: discard(), MaxInHand: 1 << 20})
	require.NoError(b, err)
	defer q.Close()
	pub, err := queue.NewPublisher(nc)
	require.NoError(b, err)
	ctx, cancel := context.WithCancel(b.Context())
	held := make(chan *queue.Delivery, 1<<20)
	ended := make(chan error)
	go func() { ended <- q.Consume(ctx, queue.DeliverFunc(func(d *queue.Delivery) { held <- d })) }()
	var last *queue.Future
	for i := range b.N {
		last, err = pub.PublishAsync(ctx, queue.Address{TitleID: 1, Sender: fmt.Sprint("s", i%100)}, job("job", 1, 2, 3))
		require.NoError(b, err)
	}
	_, err = last.Wait(ctx)
	require.NoError(b, err)
	deliveries := make([]*queue.Delivery, b.N)
	for i := range deliveries {
		deliveries[i] = <-held
	}
	done := make(chan error, b.N)
	b.ReportAllocs()
	b.ResetTimer()
	for _, d := range deliveries {
		q.Settle(ctx, d, queue.Ending{Sent: 3, Attempts: 1, EndedAt: time.Now()}, func(err error) { done <- err })
	}
	for range deliveries {
		require.NoError(b, <-done)
	}
	b.StopTimer()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "endings/s")
	cancel()
	require.NoError(b, <-ended)
}
