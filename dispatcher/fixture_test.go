package dispatcher_test

import (
	"context"
	"encoding/json"
	"errors"
	"iter"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/invitedhq/invited/dispatcher"
	"github.com/invitedhq/invited/dispatcher/plan"
	"github.com/invitedhq/invited/queue"
	"github.com/invitedhq/invited/queue/embedded/embeddedtest"
	"github.com/invitedhq/invited/xbl"
	"github.com/invitedhq/invited/xbl/xblsim"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// system is everything around a worker, for real, inside one bubble of fake
// time: an embedded JetStream, the simulated service over net/http on pipes,
// and as many workers as a test starts, one after the other.
type system struct {
	t      *testing.T
	server *embeddedtest.Site
	conn   *nats.Conn
	sim    *xblsim.Server
	api    *pipeListener
	tokens string // directory of the token files
	cfg    dispatcher.Config
	client xbl.Options
	wrap   func(dispatcher.Store) dispatcher.Store // nil: the queue itself is the store
	tenure func(dispatcher.Tenure) dispatcher.Tenure

	observer dispatcher.Observer

	publisher *queue.Publisher
	reader    *queue.Reader
	results   []queue.Result
	mu        sync.Mutex
}

// inFakeTime runs a test in a bubble.
func inFakeTime(t *testing.T, o xblsim.Options, test func(t *testing.T, s *system)) {
	t.Helper()
	inFakeTimeWith(t, o, queue.Options{}, test)
}

// inFakeTimeWith is inFakeTime with options of the queue.
func inFakeTimeWith(t *testing.T, o xblsim.Options, q queue.Options, test func(t *testing.T, s *system)) {
	t.Helper()
	embeddedtest.HoldClock(t)
	synctest.Test(t, func(t *testing.T) {
		t.Helper()
		test(t, newSystem(t, o, q))
	})
}

func newSystem(t *testing.T, o xblsim.Options, q queue.Options) *system {
	t.Helper()
	o.CallLog = 100_000
	s := &system{t: t, sim: xblsim.New(o), api: newPipeListener(), tokens: t.TempDir(), observer: nobody{}}
	server := &http.Server{Handler: s.sim, ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)}
	served := make(chan struct{})
	go func() { defer close(served); _ = server.Serve(s.api) }()
	t.Cleanup(func() { _ = server.Close(); <-served })

	s.server = embeddedtest.StartSite(t)
	t.Cleanup(func() { pass(time.Second) }) // the server's shutdown sleeps with a lock that a late request waits for, which stops fake time
	s.conn = embeddedtest.Connect(t, s.server)
	s.cfg = dispatcher.Config{
		Plan: plan.Config{
			Limits:      plan.Limits{MaxInFlight: 4},
			MaxInFlight: 256, MaxAttempts: 8,
			Retry: dispatcher.Retries(time.Second, time.Minute), Probe: dispatcher.Probes(),
		},
		InteractiveTTL: 5 * time.Minute, AckWait: 30 * time.Second, Grace: 20 * time.Second,
		Logger: slog.New(slog.DiscardHandler),
	}
	s.client = xbl.Options{
		BaseURL: "http://127.0.0.1", Tokens: xbl.File(s.tokens),
		Transport: &http.Transport{DialContext: s.api.dial, MaxIdleConnsPerHost: 256},
	}
	for _, sender := range []string{"ada", "bob", "cup"} {
		s.setToken(sender, tokenOf(sender))
	}
	s.listen(q)
	return s
}

// listen collects results and makes the producer's side.
func (s *system) listen(o queue.Options) {
	o.Logger = s.cfg.Logger
	q, err := queue.Open(s.t.Context(), s.conn, o) // the streams, before anybody publishes
	require.NoError(s.t, err)
	q.Close()
	s.publisher, err = queue.NewPublisher(s.conn)
	require.NoError(s.t, err)
	s.reader, err = queue.NewReader(s.conn)
	require.NoError(s.t, err)
	watch, err := s.reader.WatchResults(s.t.Context())
	require.NoError(s.t, err)
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			r, err := watch.Next(ctx)
			if err != nil {
				return
			}
			s.mu.Lock()
			s.results = append(s.results, r)
			s.mu.Unlock()
		}
	}()
	s.t.Cleanup(func() { stop(); <-done; watch.Stop() })
}

func tokenOf(sender string) string { return "XBL3.0 x=hash;token-of-" + sender }

// setToken writes a sender's token file; an empty one removes it.
func (s *system) setToken(sender, authorization string) {
	path := filepath.Join(s.tokens, sender)
	if authorization == "" {
		require.NoError(s.t, os.Remove(path))
		return
	}
	require.NoError(s.t, os.WriteFile(path, []byte(authorization), 0o600))
}

// worker is one running worker, on a connection of its own.
type worker struct {
	conn     *nats.Conn
	stop     func() error // in order
	handOver func()       // all partitions, in order, and go on with what it holds
	d        *dispatcher.Dispatcher
}

// work starts a worker and returns what stops it in order.
func (s *system) work() (stop func() error) {
	s.t.Helper()
	return s.join().stop
}

func (s *system) join() *worker {
	s.t.Helper()
	return s.joinOver(s.server)
}

func (s *system) joinOver(provider nats.InProcessConnProvider, opts ...nats.Option) *worker {
	s.t.Helper()
	client, err := xbl.NewClient(s.client)
	require.NoError(s.t, err)
	w := &worker{conn: embeddedtest.Connect(s.t, s.server, append(opts, nats.InProcessServer(provider))...)}
	q, err := queue.Open(s.t.Context(), w.conn, queue.Options{Logger: s.cfg.Logger, AckWait: s.cfg.AckWait})
	require.NoError(s.t, err)
	var store dispatcher.Store = q
	if s.wrap != nil {
		store = s.wrap(q)
	}
	var tenure dispatcher.Tenure = q
	if s.tenure != nil {
		tenure = s.tenure(q)
	}
	d := dispatcher.New(s.cfg, client, store, tenure, s.observer)
	w.d = d
	ctx, cancel := context.WithCancel(context.Background())
	consuming, handOver := context.WithCancel(ctx)
	w.handOver = handOver
	var consumed, ran error
	var both sync.WaitGroup
	both.Go(func() { consumed = q.Consume(consuming, d) })
	both.Go(func() { ran = d.Run(ctx) })
	var begun atomic.Bool
	ended := make(chan struct{})
	w.stop = func() error {
		if !begun.Swap(true) { // no sync.Once: who waits for one stops fake time
			defer close(ended)
			cancel()
			both.Wait()
			q.Close()
			client.CloseIdleConnections()
			if !w.conn.IsClosed() { // see crash
				ran = errors.Join(ran, consumed)
			}
			return ran
		}
		<-ended
		return ran
	}
	s.t.Cleanup(func() { _ = w.stop() })
	return w
}

// crash ends a worker without a word to NATS: what it had in hand is nobody's,
// and nobody hears what becomes of its calls in flight.
func (w *worker) crash() {
	w.conn.Close()
	_ = w.stop()
}

// publish publishes one job for n recipients that nobody else has.
func (s *system) publish(a queue.Address, n int, change ...func(*queue.Job)) queue.Job {
	s.t.Helper()
	j := queue.Job{InvitedUsers: someone(n)}
	for _, c := range change {
		c(&j)
	}
	_, err := s.publisher.Publish(s.t.Context(), a, j)
	require.NoError(s.t, err)
	return j
}

// ended are the results so far, as a producer sees them.
func (s *system) ended() []queue.Result {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]queue.Result(nil), s.results...)
}

// storedResults are in INVITE_RESULTS; ended also has what came twice, or was replaced.
func (s *system) storedResults() []queue.Result {
	s.t.Helper()
	return all(s.t, s.reader.Results(s.t.Context(), queue.Filter{}))
}

func (s *system) deadLetters() []queue.DeadLetter {
	s.t.Helper()
	return all(s.t, s.reader.DeadLetters(s.t.Context(), queue.Filter{}))
}

// all reads to the end.
func all[T any](t *testing.T, items iter.Seq2[T, error]) (read []T) {
	t.Helper()
	for x, err := range items {
		require.NoError(t, err)
		read = append(read, x)
	}
	return read
}

// ask asks NATS, and reads the answer's JSON.
func (s *system) ask(subject string, question []byte, answer any) {
	s.t.Helper()
	m, err := s.conn.Request(subject, question, time.Minute)
	require.NoError(s.t, err)
	require.NoError(s.t, json.Unmarshal(m.Data, answer))
}

// requireQueuesEmpty checks that every job was acknowledged.
func (s *system) requireQueuesEmpty() {
	s.t.Helper()
	q, err := queue.Open(s.t.Context(), s.conn, queue.Options{Logger: s.cfg.Logger})
	require.NoError(s.t, err)
	defer q.Close()
	stats, err := q.Stats(s.t.Context())
	require.NoError(s.t, err)
	require.Empty(s.t, stats.Waiting, "every job must be acknowledged")
}

const title = 730

func to(sender string) queue.Address { return queue.Address{TitleID: title, Sender: sender} }

func campaign(sender, name string) queue.Address {
	return queue.Address{TitleID: title, Sender: sender, Campaign: name}
}

var nextXUID struct {
	sync.Mutex
	n queue.XUID
}

func someone(n int) []queue.XUID {
	nextXUID.Lock()
	defer nextXUID.Unlock()
	users := make([]queue.XUID, n)
	for i := range users {
		nextXUID.n++
		users[i] = 2_533_274_790_000_000 + nextXUID.n
	}
	return users
}

// pipeListener is a listener in memory: sockets would stop fake time.
type pipeListener struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func newPipeListener() *pipeListener {
	return &pipeListener{conns: make(chan net.Conn), closed: make(chan struct{})}
}

func (l *pipeListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *pipeListener) Close() error {
	l.once.Do(func() { close(l.closed) })
	return nil
}

func (l *pipeListener) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 80} }

func (l *pipeListener) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	client, server := net.Pipe()
	select {
	case l.conns <- server:
		return client, nil
	case <-l.closed:
		return nil, &net.OpError{Op: "dial", Err: net.ErrClosed}
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func planWindow(w xblsim.Window) plan.Window { return plan.Window{Max: w.Max, Per: w.Per} }

// pass lets fake time pass. What is due in it happens first.
func pass(d time.Duration) { <-time.After(d) }

// nobody observes.
type nobody struct{}

func (nobody) JobDelivered(queue.Lane, bool)  {}
func (nobody) CallEnded(dispatcher.CallEnded) {}
func (nobody) JobEnded(dispatcher.JobEnded)   {}
