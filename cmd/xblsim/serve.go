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

// serve runs sim until ctx ends, and writes its ledger to out.
func serve(ctx context.Context, address string, sim *xblsim.Server, out io.Writer, log *slog.Logger) error {
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", address)
	if err != nil {
		return fmt.Errorf("--listen: %w", err)
	}
	server := &http.Server{
		Handler:           sim,
		ReadHeaderTimeout: 10 * time.Second,
		Protocols:         new(http.Protocols),
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelWarn),
	}
	server.Protocols.SetHTTP1(true)
	server.Protocols.SetUnencryptedHTTP2(true)
	log.Info("listening on http://" + listener.Addr().String()) //nolint:sloglint // one line to read and to copy from

	ended := make(chan error, 1)
	go func() { ended <- server.Serve(listener) }()
	select {
	case err = <-ended:
		return fmt.Errorf("serve: %w", err)
	case <-ctx.Done():
	}
	stop(ctx, server)
	if err := <-ended; !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve: %w", err)
	}
	if err := json.MarshalWrite(out, sim.Ledger()); err != nil {
		return fmt.Errorf("write the ledger: %w", err)
	}
	_, err = io.WriteString(out, "\n")
	return err
}

// stop lets calls in progress end, for as long as grace, and then cuts them off.
func stop(ctx context.Context, server *http.Server) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), grace)
	defer cancel()
	if err := server.Shutdown(ctx); errors.Is(err, context.DeadlineExceeded) {
		_ = server.Close()
	}
}
