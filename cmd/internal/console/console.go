package console

import (
	"context"
	"crypto/rand"
	"errors"
	"log/slog"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/invitedhq/invited/configs"
	"github.com/invitedhq/invited/dispatcher"
	"github.com/invitedhq/invited/queue"
)

// Options say what a console may show and do. Log is required.
type Options struct {
	Admin   configs.Admin
	Version string // shown at the foot of each page
	// SendersAreXUIDs is true in server mode: then a sender is a player, and masked as one.
	SendersAreXUIDs bool
	Log             *slog.Logger
}

// Worker is the worker whose console it is.
type Worker struct {
	Queue      *queue.Queue
	Dispatcher *dispatcher.Dispatcher
	// Conn is the worker's own connection. Three counts of streams are read by it, every five seconds.
	Conn *nats.Conn
	// Connect opens a connection of the console's own, when a page first needs one: what
	// somebody looks at must neither delay the worker's own requests nor make it
	// unready, where NATS does not allow it. The console closes it.
	Connect func() (*nats.Conn, error)
}

// Console serves the pages. It is an http.Handler, safe for concurrent use.
type Console struct {
	opts   Options
	log    *slog.Logger
	auth   *auth // nil: whoever reaches the listener may look
	pages  *pages
	counts counts
	key    []byte // of names that stand for others in addresses: see alias
	serve  http.Handler
	live   *hub
	now    atomic.Pointer[running] // nil: the worker is starting, or stopping
	// searches holds a token for each search that is being made.
	searches chan struct{}
}

// New returns a console that says that its worker is starting. An error is
// admin.auth_file's.
func New(o Options) (*Console, error) {
	c := &Console{opts: o, log: o.Log, key: make([]byte, 16), live: newHub(), searches: make(chan struct{}, maxSearches)}
	_, _ = rand.Read(c.key) // never fails
	if o.Admin.AuthFile != "" {
		var err error
		if c.auth, err = newAuth(o.Admin.AuthFile, o.Log); err != nil {
			return nil, err
		}
	}
	c.pages = parsePages()
	c.serve = c.guarded(c.routes())
	return c, nil
}

// ServeHTTP implements http.Handler.
func (c *Console) ServeHTTP(w http.ResponseWriter, r *http.Request) { c.serve.ServeHTTP(w, r) }

// running is a console's worker, and what was gathered of all.
type running struct {
	Worker
	*collector

	mu        sync.Mutex
	ended     bool       // no connection is opened any more
	conn      *nats.Conn // nil: nobody has needed it yet
	reader    *queue.Reader
	organizer *queue.Organizer
	replayer  *queue.Replayer
	followers map[queue.Address]*followed
}

// Begin shows a worker that takes jobs, until end is called: that closes the
// pages that are open, and returns once nothing of the console runs any more. Call it before the queue is consumed.
func (c *Console) Begin(w Worker) (end func()) {
	ctx, stop := context.WithCancel(context.Background())
	r := &running{Worker: w, followers: make(map[queue.Address]*followed)}
	counter, err := queue.NewReader(w.Conn)
	if err != nil { // only of a context's name, and there is none
		c.log.Error("the console can't count what waits", "error", err)
	}
	r.collector = newCollector(c, r, counter)
	w.Queue.ReportActivity(r.activity)
	c.now.Store(r)
	var gathering sync.WaitGroup
	gathering.Go(func() { r.gather(ctx) })
	return func() {
		c.now.Store(nil)
		stop()
		c.live.close()
		gathering.Wait()
		r.mu.Lock()
		defer r.mu.Unlock()
		if r.ended = true; r.conn != nil {
			r.conn.Close()
		}
	}
}

var errStarting = errors.New("this worker is starting, or stopping: there is nothing to show yet")

// connection opens the console's own.
func (r *running) connection() (*nats.Conn, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.ended { // a page that was asked for before
		return nil, errStarting
	}
	if r.conn != nil && !r.conn.IsClosed() {
		return r.conn, nil
	}
	conn, err := r.Connect()
	if err != nil {
		return nil, err
	}
	r.conn, r.reader, r.organizer, r.replayer = conn, nil, nil, nil
	r.followers = make(map[queue.Address]*followed)
	return conn, nil
}

// made returns what was made of the connection before, or makes it.
func made[T any](r *running, kept **T, build func(*nats.Conn) (*T, error)) (*T, error) {
	conn, err := r.connection()
	if err != nil {
		return nil, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if *kept == nil {
		t, err := build(conn)
		if err != nil {
			return nil, err
		}
		*kept = t
	}
	return *kept, nil
}

func (r *running) theReader() (*queue.Reader, error) { return made(r, &r.reader, queue.NewReader) }

func (r *running) theOrganizer(ctx context.Context) (*queue.Organizer, error) {
	return made(r, &r.organizer, func(conn *nats.Conn) (*queue.Organizer, error) { return queue.NewOrganizer(ctx, conn) })
}

func (r *running) theReplayer(ctx context.Context) (*queue.Replayer, error) {
	return made(r, &r.replayer, func(conn *nats.Conn) (*queue.Replayer, error) { return queue.NewReplayer(ctx, conn) })
}

// pageTime bounds what a page waits for.
const pageTime = 10 * time.Second
