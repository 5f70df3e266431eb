package queue_test

import (
	"context"
	"log/slog"
	"strconv"
	"sync"
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

// fixture is a real JetStream server and a client of it.
type fixture struct {
	*testing.T
	server *embedded.Server
	nc     *nats.Conn
	js     jetstream.JetStream // to look behind the package
	queue  *queue.Queue
	pub    *queue.Publisher
	reader *queue.Reader
}

// inFakeTime runs a test in a bubble, with its server and the queue opened.
func inFakeTime(t *testing.T, o queue.Options, test func(t *testing.T, f *fixture)) {
	t.Helper()
	embeddedtest.HoldClock(t)
	synctest.Test(t, func(t *testing.T) {
		server := embeddedtest.Start(t)
		// The server's shutdown sleeps with a lock that a late request waits for, which stops fake time.
		t.Cleanup(func() { time.Sleep(time.Second) })
		test(t, open(t, server, o))
	})
}

func open(t *testing.T, server *embedded.Server, o queue.Options) *fixture {
	t.Helper()
	f := connect(t, server)
	f.open(o)
	return f
}

func connect(t *testing.T, server *embedded.Server) *fixture {
	t.Helper()
	return dial(t, server)
}

func dial(t *testing.T, server *embedded.Server, opts ...nats.Option) *fixture {
	t.Helper()
	f := &fixture{T: t, server: server, nc: embeddedtest.Connect(t, server, opts...)}
	var err error
	f.js, err = jetstream.New(f.nc)
	require.NoError(t, err)
	f.pub, err = queue.NewPublisher(f.nc)
	require.NoError(t, err)
	f.reader, err = queue.NewReader(f.nc)
	require.NoError(t, err)
	return f
}

func (f *fixture) open(o queue.Options) {
	f.Helper()
	o.Logger = discard()
	if o.Partitions == 0 {
		o.Partitions = 4
	}
	var err error
	f.queue, err = queue.Open(f.Context(), f.nc, o)
	require.NoError(f, err)
	f.Cleanup(f.queue.Close)
}

func discard() *slog.Logger { return slog.New(slog.DiscardHandler) }

var (
	alice    = queue.Address{TitleID: 100, Sender: "alice"}
	campaign = queue.Address{TitleID: 100, Sender: "alice", Campaign: "spring"}
)

func job(id string, users ...queue.XUID) queue.Job {
	if len(users) == 0 {
		users = []queue.XUID{1}
	}
	return queue.Job{ID: id, InvitedUsers: users}
}

func (f *fixture) publish(a queue.Address, j queue.Job, opts ...queue.PublishOption) queue.Receipt {
	f.Helper()
	r, err := f.pub.Publish(f.Context(), a, j, opts...)
	require.NoError(f, err)
	return r
}

// raw publishes what the publisher would refuse.
func (f *fixture) raw(subject, body string, headers ...string) {
	f.Helper()
	m := &nats.Msg{Subject: subject, Data: []byte(body), Header: nats.Header{}}
	for i := 0; i < len(headers); i += 2 {
		m.Header[headers[i]] = []string{headers[i+1]}
	}
	_, err := f.js.PublishMsg(f.Context(), m)
	require.NoError(f, err)
}

// worker is a running Consume.
type worker struct {
	*fixture
	deliveries chan *queue.Delivery
	stop       func() // in order, and wait
}

// consume starts a worker whose deliveries can be taken one by one. It is
// stopped at the end of the test.
func (f *fixture) consume() *worker {
	f.Helper()
	w := &worker{fixture: f, deliveries: make(chan *queue.Delivery, 100_000)}
	w.stop = f.consumeWith(func(d *queue.Delivery) { w.deliveries <- d })
	return w
}

func (f *fixture) consumeWith(handle func(*queue.Delivery)) (stop func()) {
	f.Helper()
	return f.work(queue.DeliverFunc(handle))
}

func (f *fixture) work(w queue.Worker) (stop func()) {
	f.Helper()
	ctx, cancel := context.WithCancel(context.WithoutCancel(f.Context()))
	ended := make(chan error, 1)
	go func() { ended <- f.queue.Consume(ctx, w) }()
	var once sync.Once
	stop = func() {
		once.Do(func() {
			cancel()
			if err := <-ended; !f.nc.IsClosed() { // see die
				assert.NoError(f, err)
			}
		})
	}
	f.Cleanup(stop)
	return stop
}

// die ends the worker without a word, as a crash does: what it had in hand is nobody's.
func (w *worker) die() {
	w.Helper()
	w.nc.Close()
	w.stop()
}

// next waits for the next delivery.
func (w *worker) next() *queue.Delivery {
	w.Helper()
	select {
	case d := <-w.deliveries:
		return d
	case <-time.After(time.Minute):
		require.FailNow(w, "no delivery came within a minute")
		return nil
	}
}

// none makes sure that no delivery comes for some (fake) time.
func (w *worker) none(wait time.Duration) {
	w.Helper()
	select {
	case d := <-w.deliveries:
		require.FailNow(w, "an unexpected delivery", "job %s, redelivered %t", d.ID(), d.Redelivered)
	case <-time.After(wait):
	}
}

// settle settles and waits.
func (f *fixture) settle(d *queue.Delivery, e queue.Ending) {
	f.Helper()
	if e.EndedAt.IsZero() {
		e.EndedAt = time.Now()
	}
	done := make(chan error, 1)
	f.queue.Settle(f.Context(), d, e, func(err error) { done <- err })
	select {
	case err := <-done:
		require.NoError(f, err)
	case <-time.After(time.Minute):
		require.FailNow(f, "an ending was not stored within a minute")
	}
}

func (f *fixture) save(d *queue.Delivery, p queue.Progress) {
	f.Helper()
	done := make(chan error, 1)
	f.queue.SaveProgress(f.Context(), d, p, func(err error) { done <- err })
	require.NoError(f, <-done)
}

// count is how many messages a stream has.
func (f *fixture) count(stream string) int {
	f.Helper()
	s, err := f.js.Stream(f.Context(), stream)
	require.NoError(f, err)
	return int(s.CachedInfo().State.Msgs)
}

// eventually waits until a stream has n messages.
func (f *fixture) eventually(stream string, n int) {
	f.Helper()
	require.Eventually(f, func() bool { return f.count(stream) == n }, 30*time.Second, 5*time.Millisecond,
		"stream %s must come to have %d messages", stream, n)
}

func (f *fixture) letters(filter queue.Filter) (all []queue.DeadLetter) {
	f.Helper()
	for l, err := range f.reader.DeadLetters(f.Context(), filter) {
		require.NoError(f, err)
		all = append(all, l)
	}
	return all
}

func (f *fixture) results(filter queue.Filter) (all []queue.Result) {
	f.Helper()
	for r, err := range f.reader.Results(f.Context(), filter) {
		require.NoError(f, err)
		all = append(all, r)
	}
	return all
}

func base36(n int64) string { return strconv.FormatInt(n, 36) }
