package embedded_test

import (
	"bytes"
	"log/slog"
	"os"
	"path/filepath"
	"testing"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"github.com/invitedhq/invited/queue/embedded"
	"github.com/invitedhq/invited/queue/embedded/embeddedtest"
)

// The server deals with acknowledgements after it has read them, and after their client is gone.
func TestWhatWasAcknowledgedJustBeforeTheEndIsNoLoss(t *testing.T) {
	dir, _ := filled(t)
	var log bytes.Buffer
	for range 2 {
		s, err := embedded.Start(embedded.Options{DataDir: dir, Logger: slog.New(slog.NewTextHandler(&log, nil))})
		require.NoError(t, err)
		nc := embeddedtest.Connect(t, s)
		js, err := jetstream.New(nc)
		require.NoError(t, err)
		c, err := js.CreateOrUpdateConsumer(t.Context(), "S", jetstream.ConsumerConfig{Durable: "C", AckPolicy: jetstream.AckExplicitPolicy})
		require.NoError(t, err)
		batch, err := c.FetchNoWait(kept)
		require.NoError(t, err)
		var all []jetstream.Msg
		for m := range batch.Messages() {
			all = append(all, m)
		}
		for _, m := range all {
			require.NoError(t, m.Ack())
		}
		require.NoError(t, nc.Flush())
		nc.Close()
		s.Shutdown()
	}
	require.NotContains(t, log.String(), "messages are gone")
}

func TestAServerStartsThoughItCantNoteDownWhatIsThere(t *testing.T) {
	dir, _ := filled(t)
	require.NoError(t, os.Mkdir(filepath.Join(dir, "invited.streams.next"), 0o700))
	var log bytes.Buffer
	s, err := embedded.Start(embedded.Options{DataDir: dir, Logger: slog.New(slog.NewTextHandler(&log, nil))})
	require.NoError(t, err, "its jobs can be sent all the same")
	s.Shutdown()
	require.Contains(t, log.String(), "could not be noted down")
	require.NoFileExists(t, filepath.Join(dir, "invited.streams"), "what was there before would tell of losses that are none")
}
