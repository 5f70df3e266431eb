package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/invitedhq/invited/xbl/xblsim"
)

// grace is how long calls that wait for their answer keep the command from ending. Slow answers are cut off.
const grace = time.Second

// serve runs sim, and with auth the services beside it, until ctx ends, and writes sim's ledger to out.
func serve(ctx context.Context, address string, sim *xblsim.Server, auth *authServer, out io.Writer, log *slog.Logger) error {
	var open []*endpoint
	defer func() {
		for _, e := range open {
			e.listener.Close()
		}
	}()
	invites, err := newEndpoint(ctx, "--listen", address, sim, log)
	if err != nil {
		return err
	}
	open = append(open, invites)
	invites.server.Protocols.SetUnencryptedHTTP2(true)
	if auth != nil {
		tokens, err := newEndpoint(ctx, "--auth-listen", auth.address, auth.service, log)
		if err != nil {
			return err
		}
		open = append(open, tokens)
		tokens.server.TLSConfig = auth.tls
	}
	for _, e := range open {
		log.Info("listening on " + e.url()) //nolint:sloglint // one line to read and to copy from
	}
	if err := serveAll(ctx, open); err != nil {
		return fmt.Errorf("serve: %w", err)
	}
	if err := json.MarshalWrite(out, sim.Ledger()); err != nil {
		return fmt.Errorf("write the ledger: %w", err)
	}
	_, err = io.WriteString(out, "\n")
	return err
}

// endpoint is a server and where it listens.
type endpoint struct {
	listener net.Listener
	server   *http.Server // with TLS where it has a TLSConfig
}

func newEndpoint(ctx context.Context, flag, address string, handler http.Handler, log *slog.Logger) (*endpoint, error) {
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", address)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", flag, err)
	}
	server := &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: 10 * time.Second,
		Protocols:         new(http.Protocols),
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelWarn),
	}
	server.Protocols.SetHTTP1(true)
	return &endpoint{listener, server}, nil
}

func (e *endpoint) url() string {
	if e.server.TLSConfig != nil {
		return "https://" + e.listener.Addr().String()
	}
	return "http://" + e.listener.Addr().String()
}

func (e *endpoint) serve() error {
	if e.server.TLSConfig != nil {
		return e.server.ServeTLS(e.listener, "", "")
	}
	return e.server.Serve(e.listener)
}

// serveAll serves until ctx or one of the servers ends, and then stops them all.
func serveAll(ctx context.Context, endpoints []*endpoint) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	ended := make(chan error, len(endpoints))
	for _, e := range endpoints {
		go func() {
			defer cancel()
			ended <- e.serve()
		}()
	}
	<-ctx.Done()
	for _, e := range endpoints {
		stop(ctx, e.server)
	}
	var errs []error
	for range endpoints {
		if err := <-ended; !errors.Is(err, http.ErrServerClosed) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// stop lets calls in progress end, for as long as grace, and then cuts them off.
func stop(ctx context.Context, server *http.Server) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), grace)
	defer cancel()
	if err := server.Shutdown(ctx); errors.Is(err, context.DeadlineExceeded) {
		_ = server.Close()
	}
}
