package main

import (
	"context"
	"log/slog"
	"net/http"
	"time"
)

// adminServer is the listener of metrics and health checks.
type adminServer struct {
	server  *http.Server
	address string
	ended   chan struct{}
}

// adminGrace is how long a scrape may go on once everything else has stopped.
const adminGrace = time.Second

func serveAdmin(ctx context.Context, address string, handler http.Handler, log *slog.Logger) (*adminServer, error) {
	l, err := listen(ctx, "admin.listen", address)
	if err != nil {
		return nil, err
	}
	a := &adminServer{
		server: &http.Server{
			Handler:           handler,
			ReadHeaderTimeout: 5 * time.Second,
			IdleTimeout:       time.Minute,
			ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelWarn),
		},
		address: l.Addr().String(),
		ended:   make(chan struct{}),
	}
	go func() {
		defer close(a.ended)
		_ = a.server.Serve(l) // ends by stop only
	}()
	return a, nil
}

func (a *adminServer) stop(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, adminGrace)
	defer cancel()
	if a.server.Shutdown(ctx) != nil {
		_ = a.server.Close()
	}
	<-a.ended
}
