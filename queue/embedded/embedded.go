package embedded

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"strconv"
	"sync"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
)

// Sync says when the server makes writes durable.
type Sync string

const (
	// Always means that a write that was acknowledged survives a power failure.
	Always Sync = "always"
	// Interval means that it survives a crash of the process; a power failure may take the last two minutes.
	Interval Sync = "interval"
)

// MaxPayload is the most bytes of a message, headers included: a body of 1 MiB
// and room for the headers of its dead letter.
const MaxPayload = 1<<20 + 64<<10

const (
	startTimeout = 30 * time.Second
	// maxMemory is for consumers' state, the only thing kept in memory: some 100 bytes for each unacknowledged job.
	maxMemory = 256 << 20
	// syncInterval is the server's own default, written out because [Interval] promises it.
	syncInterval = 2 * time.Minute
)

// Options of a Server.
type Options struct {
	Listen  string       // host:port; empty: reachable in this process only. Port 0 picks a free one
	DataDir string       // required; created if missing
	Sync    Sync         // empty: Always
	Logger  *slog.Logger // gets the server's warnings and errors; nil: slog.Default()
}

// Server is a running NATS server with JetStream. It is safe for concurrent use.
type Server struct {
	nats *server.Server
	dir  string
	log  *slog.Logger
	lock *dirLock
	stop sync.Once
}

// Start starts a server and waits until JetStream is ready. Errors name what is
// in the way: a data directory in use, an address in use, a directory that
// can't be written, a stream that is damaged ([ErrDamaged]).
func Start(o Options) (*Server, error) {
	opts, err := serverOptions(o)
	if err != nil {
		return nil, err
	}
	lock, err := lockDir(o.DataDir)
	if err != nil {
		return nil, err
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	s, err := start(opts, o.Logger)
	if err != nil {
		return nil, errors.Join(err, lock.release())
	}
	return &Server{nats: s, dir: o.DataDir, log: o.Logger, lock: lock}, nil
}

func serverOptions(o Options) (*server.Options, error) {
	if o.DataDir == "" {
		return nil, errors.New("embedded NATS needs a data directory")
	}
	opts := &server.Options{
		ServerName:             "invited",
		NoSigs:                 true, // the process has its own signal handling
		JetStream:              true,
		StoreDir:               o.DataDir,
		JetStreamMaxMemory:     maxMemory, // the limit on disk is 75 % of what is free
		DisableJetStreamBanner: true,
		MaxPayload:             MaxPayload,
		SyncInterval:           syncInterval,
		DontListen:             o.Listen == "",
	}
	switch o.Sync {
	case Always, "":
		opts.SyncAlways = true
	case Interval:
	default:
		return nil, fmt.Errorf("embedded NATS: sync %q is neither %q nor %q", o.Sync, Always, Interval)
	}
	if o.Listen == "" {
		return opts, nil
	}
	host, port, err := net.SplitHostPort(o.Listen)
	if err != nil {
		return nil, fmt.Errorf("embedded NATS: listen address %q is not host:port: %w", o.Listen, err)
	}
	if opts.Port, err = strconv.Atoi(port); err != nil || opts.Port < 0 || opts.Port > 65535 {
		return nil, fmt.Errorf("embedded NATS: listen address %q: the port must be a number from 0 to 65535", o.Listen)
	}
	opts.Host = host
	if opts.Port == 0 {
		opts.Port = server.RANDOM_PORT
	}
	return opts, addressIsFree(o.Listen)
}

// addressIsFree asks before the server does, because the server only logs it.
func addressIsFree(listen string) error {
	l, err := new(net.ListenConfig).Listen(context.Background(), "tcp", listen)
	if err != nil {
		return fmt.Errorf("embedded NATS can't listen on %s (set nats.embedded.listen to another address, "+
			"or nats.url to use the server that is there): %w", listen, err)
	}
	return l.Close()
}

// healthOf asks a server that is ready. Its answer has a limit of a millisecond
// inside, which a busy machine may miss, so a bad one is asked for again.
func healthOf(s *server.Server) (h *server.HealthStatus) {
	for range 100 {
		if h = s.Healthz(&server.HealthzOptions{JSEnabledOnly: true}); h.StatusCode == 200 {
			break
		}
		<-time.After(20 * time.Millisecond)
	}
	return h
}

func start(opts *server.Options, log *slog.Logger) (*server.Server, error) {
	s, err := server.NewServer(opts)
	if err != nil {
		return nil, fmt.Errorf("embedded NATS: %w", err)
	}
	logger := &serverLog{log: log, fatal: make(chan string, 1)}
	s.SetLoggerV2(logger, false, false, false)
	ready := make(chan bool, 1)
	go func() {
		s.Start()
		ready <- s.ReadyForConnections(startTimeout)
	}()
	select {
	case ok := <-ready:
		health := healthOf(s)
		if !ok || health.StatusCode != 200 {
			err = errors.New("embedded NATS was not ready in time: " + health.Error)
			break
		}
		if err = checkStore(s, opts.StoreDir, log); err == nil {
			return s, nil
		}
	case why := <-logger.fatal:
		err = errors.New("embedded NATS: " + why)
	}
	s.Shutdown()
	s.WaitForShutdown()
	return nil, err
}

// ClientURL is where clients connect; empty without a listener.
func (s *Server) ClientURL() string {
	if s.nats.Addr() == nil {
		return ""
	}
	return s.nats.ClientURL()
}

// Conn connects in process, past the network. The options come after the ones
// that every worker needs: reconnect for ever, and never report as sent what
// was only buffered.
func (s *Server) Conn(opts ...nats.Option) (*nats.Conn, error) {
	all := append([]nats.Option{
		nats.InProcessServer(s.nats), nats.MaxReconnects(-1), nats.ReconnectBufSize(-1),
	}, opts...)
	nc, err := nats.Connect("", all...)
	if err != nil {
		return nil, fmt.Errorf("embedded NATS: %w", err)
	}
	return nc, nil
}

// InProcessConn is a client's end of a new connection without a socket. It makes
// the server a nats.InProcessConnProvider, for who puts something in between.
func (s *Server) InProcessConn() (net.Conn, error) { return s.nats.InProcessConn() }

// Shutdown stops the server and waits until its files are closed. Drain clients
// first. It may be called more than once.
func (s *Server) Shutdown() {
	s.stop.Do(func() {
		alone := s.deserted() // else somebody may still take messages
		last, err := takeLast(s.nats)
		s.nats.Shutdown()
		s.nats.WaitForShutdown()
		if err == nil {
			last.Clean = alone
			err = last.write(s.dir)
		}
		if err != nil {
			s.log.Warn(notNoted, "error", err)
		}
		_ = s.lock.release() // the system releases it with the process at the latest
	})
}

// deserted says whether all clients are gone. The server hears of a client's end a moment after the client.
func (s *Server) deserted() bool {
	for range 20 {
		if s.nats.NumClients() == 0 {
			return true
		}
		<-time.After(2 * time.Millisecond)
	}
	return false
}

// makeDir creates the data directory, readable for its owner only: jobs hold
// personal data.
func makeDir(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("embedded NATS can't create its data directory: %w", err)
	}
	return nil
}
