package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cenkalti/backoff/v4"
	"github.com/nats-io/nats.go"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/invitedhq/invited/cmd/internal/console"
	"github.com/invitedhq/invited/cmd/internal/sources"
	"github.com/invitedhq/invited/configs"
	"github.com/invitedhq/invited/dispatcher"
	"github.com/invitedhq/invited/metrics"
	"github.com/invitedhq/invited/queue"
	"github.com/invitedhq/invited/queue/embedded"
	"github.com/invitedhq/invited/xbl"
)

// worker is one invited: everything it is made of, begun in order and ended in
// the reverse. The admin server is the first to come and the last to go, so
// that a health check is answered all the time.
type worker struct {
	cfg      configs.Config // that it began with
	log      *slog.Logger
	reload   *reloader // nil: its configuration stays
	otel     lookup    // variables that say whether calls are traced; nil: they are not
	registry *prometheus.Registry
	metrics  *metrics.Metrics

	started chan struct{}               // closed once it takes jobs
	state   atomic.Pointer[workerState] // nil until it takes jobs, and again once it stops
	denied  atomic.Pointer[denial]      // the last permission that was missing; nil: none

	// Set when started:
	adminAddress string
	natsURL      string // of the embedded server, else empty
	conn         *nats.Conn
}

// workerState is what the health checks ask.
type workerState struct {
	dispatcher *dispatcher.Dispatcher
	queue      *queue.Queue
}

// denial is when NATS did not allow something.
type denial struct {
	at  time.Time
	err *queue.AccessError
}

// lease is how long JetStream waits before it gives a job of a worker that is
// gone to another one.
const lease = 30 * time.Second

func newWorker(cfg configs.Config, log *slog.Logger) *worker {
	registry := prometheus.NewRegistry()
	registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	m := metrics.New(registry, metrics.Build(buildOf()))
	m.Know(titlesOf(cfg.Quota)...)
	return &worker{cfg: cfg, log: log, registry: registry, metrics: m, started: make(chan struct{})}
}

// run works until ctx ends, and then stops in order.
func (w *worker) run(ctx context.Context) (err error) {
	source, err := sources.New(w.cfg.Tokens, w.metrics.TokenRefreshed)
	if err != nil {
		return err
	}
	tokens := newReplaceable(source)
	defer tokens.close()
	options, err := clientOptions(w.cfg, tokens)
	if err != nil {
		return err
	}
	client, err := xbl.NewClient(options)
	if err != nil {
		return err
	}
	defer client.CloseIdleConnections()
	metrics.WatchTokens(w.registry, tokens)

	pages, err := console.New(console.Options{
		Admin: w.cfg.Admin, Version: buildOf().Version, SendersAreXUIDs: w.cfg.XBL.Audience == configs.AudienceServer, Log: w.log,
	})
	if err != nil {
		return err
	}
	handler := metrics.Handler(w.registry, w.alive, w.ready)
	handler.Handle("/", pages)
	admin, err := serveAdmin(ctx, w.cfg.Admin.Listen, handler, w.log)
	if err != nil {
		return err
	}
	defer admin.stop(context.WithoutCancel(ctx))
	w.adminAddress = admin.address

	tracer := w.trace(options)
	defer tracer.Shutdown()

	ctx, refuse := context.WithCancelCause(ctx)
	defer refuse(nil)
	conn, another, disconnect, err := w.connect(refuse)
	if err != nil {
		return err
	}
	defer disconnect()
	w.conn = conn

	qo := queueOptions(w.cfg.NATS, w.log)
	qo.AckWait = lease
	q, err := openQueue(ctx, conn, qo, w.log)
	if err != nil {
		if ctx.Err() != nil {
			return refusal(ctx) // or nil: told to stop while it waited for NATS
		}
		return err
	}
	defer q.Close()
	q.AnnounceQuota(announcedQuota(w.cfg.Quota))
	d := dispatcher.New(dispatcherConfig(w.cfg, qo, w.log), client, q, q, tracer.Observe(pages.Observe(w.metrics)))
	stop := w.reload.begin(w, tokens, d, q)
	defer stop()
	closePages := pages.Begin(console.Worker{Queue: q, Dispatcher: d, Conn: conn, Connect: another})
	defer closePages()
	err = w.work(ctx, q, d)
	return errors.Join(refusal(ctx), err)
}

// refused ends the worker while it starts: what NATS refuses then is a mistake
// that waiting does not mend. Later it may be a change that is going on, and the
// worker tries again, but not without a subscription, which nobody makes again.
func (w *worker) refused(err *queue.AccessError, end context.CancelCauseFunc) {
	select {
	case <-w.started:
		if err.Subject != "" {
			w.denied.Store(&denial{time.Now(), err})
		}
		if !err.Lasting() {
			return
		}
	default:
	}
	end(err)
}

// refusal is why NATS made the worker end; nil: it did not.
func refusal(ctx context.Context) error {
	if err, refused := errors.AsType[*queue.AccessError](context.Cause(ctx)); refused {
		return err
	}
	return nil
}

// work takes jobs until ctx ends, or until the queue can't be consumed any more.
func (w *worker) work(ctx context.Context, q *queue.Queue, d *dispatcher.Dispatcher) error {
	w.metrics.Watch(w.registry, d, q)
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	consumed := make(chan error, 1)
	go func() {
		defer stop()
		consumed <- q.Consume(ctx, d)
	}()
	context.AfterFunc(ctx, func() { w.state.Store(nil) })
	w.state.Store(&workerState{d, q})
	var attending sync.WaitGroup
	attending.Go(func() { supervisor{w.log}.attend(ctx, w.ready, w.alive) })
	defer attending.Wait()
	defer stop()
	close(w.started)
	w.log.Info("working", "nats", cmp.Or(w.natsURL, queue.RedactURL(w.conn.ConnectedUrl())),
		"admin", "http://"+w.adminAddress, "api", w.cfg.XBL.BaseURL)

	err := d.Run(ctx)
	w.log.Info("stopped")
	return errors.Join(err, <-consumed)
}

// connect reaches the configured NATS, or starts the embedded one. another opens a further connection, whose refusals are nobody's
// but its own.
func (w *worker) connect(end context.CancelCauseFunc) (conn *nats.Conn, another func() (*nats.Conn, error), disconnect func(), err error) {
	if !w.cfg.NATS.URL.IsZero() {
		o := connectOptions(w.cfg.NATS, w.log)
		another = func() (*nats.Conn, error) {
			of := o
			of.Name, of.Timeout = consoleName, consoleConnect
			return queue.Connect(of)
		}
		own := o
		own.Refused = func(err *queue.AccessError) { w.refused(err, end) }
		if conn, err = queue.Connect(own); err != nil {
			return nil, nil, nil, err
		}
		return conn, another, conn.Close, nil
	}
	server, err := embedded.Start(embeddedOptions(w.cfg.NATS.Embedded, w.log))
	if err != nil {
		return nil, nil, nil, err
	}
	another = func() (*nats.Conn, error) { return server.Conn(nats.Name(consoleName)) }
	if conn, err = server.Conn(nats.Name("invited")); err != nil {
		server.Shutdown()
		return nil, nil, nil, err
	}
	w.natsURL = server.ClientURL()
	return conn, another, func() { conn.Close(); server.Shutdown() }, nil
}

// consoleName is what the server's monitoring calls the console's connection.
const consoleName = "invited console"

// consoleConnect is how long the console tries a server for: a worker that is told to stop waits for it.
const consoleConnect = 2 * time.Second

// openQueue waits for NATS as long as ctx allows. Streams that are not as they
// must be, and a server that is too old, are mistakes that waiting does not mend.
func openQueue(ctx context.Context, conn *nats.Conn, o queue.Options, log *slog.Logger) (*queue.Queue, error) {
	wait := backoff.NewExponentialBackOff(backoff.WithMaxInterval(5*time.Second), backoff.WithMaxElapsedTime(0))
	return backoff.RetryNotifyWithData(func() (*queue.Queue, error) {
		q, err := queue.Open(ctx, conn, o)
		_, wrong := errors.AsType[*queue.TopologyError](err)
		if wrong || errors.Is(err, queue.ErrServerTooOld) {
			return nil, backoff.Permanent(err)
		}
		return q, err
	}, backoff.WithContext(wait, ctx), func(err error, next time.Duration) {
		log.Warn("the streams can't be opened yet", "error", err, "again_in", next.Round(time.Millisecond))
	})
}

var errNotReady = errors.New("not taking jobs: starting, or stopping")

// alive says whether the worker's loop still turns.
func (w *worker) alive(ctx context.Context) error {
	s := w.state.Load()
	if s == nil {
		return nil // waiting for NATS, or stopping, is no reason to be killed
	}
	_, err := s.dispatcher.Snapshot(ctx)
	if w.state.Load() != s {
		return nil // it stopped meanwhile
	}
	return err
}

// ready says whether the worker takes jobs.
func (w *worker) ready(ctx context.Context) error {
	s := w.state.Load()
	if s == nil {
		return errNotReady
	}
	if d := w.denied.Load(); d != nil && time.Since(d.at) < deniedFor {
		return d.err
	}
	if err := s.queue.Check(ctx); err != nil {
		return fmt.Errorf("NATS: %w", err)
	}
	return nil
}

// deniedFor is how long a worker that was denied something is not ready. What it needs for its work it asks for again sooner.
const deniedFor = 15 * time.Second

// listen is net.Listen with an error that names the key to change.
func listen(ctx context.Context, key, address string) (net.Listener, error) {
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", address)
	if err != nil {
		return nil, fmt.Errorf("%s: %w; choose another address", key, err)
	}
	return l, nil
}
