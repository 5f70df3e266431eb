package embedded_test

import (
	"bytes"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"github.com/invitedhq/invited/queue/embedded"
	"github.com/invitedhq/invited/queue/embedded/embeddedtest"
)

const kept = 100 // messages

// filled is a data directory with a stream of 100 messages in one block, and nobody there.
func filled(t *testing.T) (dir, store string) {
	t.Helper()
	dir = t.TempDir()
	s, err := embedded.Start(embedded.Options{DataDir: dir, Logger: quiet()})
	require.NoError(t, err)
	nc := embeddedtest.Connect(t, s)
	js, err := jetstream.New(nc)
	require.NoError(t, err)
	_, err = js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "S", Subjects: []string{"s.*"}, Retention: jetstream.WorkQueuePolicy})
	require.NoError(t, err)
	for i := range kept {
		_, err := js.Publish(t.Context(), fmt.Sprint("s.", i), []byte(strings.Repeat("x", 200)))
		require.NoError(t, err)
	}
	nc.Close()
	s.Shutdown()
	return dir, filepath.Join(dir, "jetstream", "$G", "streams", "S")
}

// change rewrites a file.
func change(t *testing.T, file string, how func([]byte) []byte) {
	t.Helper()
	b, err := os.ReadFile(file)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(file, how(b), 0o600))
}

func half(b []byte) []byte { return b[:len(b)/2] }

func flipped(b []byte) []byte { b[len(b)/2] ^= 0xff; return b }

func zeroed(b []byte) []byte { clear(b[len(b)/2:]); return b }

func TestAStreamThatCantBeReadIsNotMadeAnew(t *testing.T) {
	for name, damage := range map[string]func(t *testing.T, store string){
		"its description is damaged": func(t *testing.T, store string) { change(t, filepath.Join(store, "meta.inf"), flipped) },
		"its description is cut":     func(t *testing.T, store string) { change(t, filepath.Join(store, "meta.inf"), half) },
		"its description is gone":    func(t *testing.T, store string) { require.NoError(t, os.Remove(filepath.Join(store, "meta.inf"))) },
		"its checksum is gone":       func(t *testing.T, store string) { require.NoError(t, os.Remove(filepath.Join(store, "meta.sum"))) },
	} {
		t.Run(name, func(t *testing.T) {
			dir, store := filled(t)
			block := filepath.Join(store, "msgs", "1.blk")
			before, err := os.ReadFile(block)
			require.NoError(t, err)
			damage(t, store)
			_, err = embedded.Start(embedded.Options{DataDir: dir, Logger: quiet()})
			require.ErrorIs(t, err, embedded.ErrDamaged)
			require.ErrorContains(t, err, "stream S in "+dir)
			require.ErrorContains(t, err, "move "+store+" away", "the way out is named")
			after, err := os.ReadFile(block)
			require.NoError(t, err)
			require.Equal(t, before, after, "nothing is changed")

			require.NoError(t, os.Rename(store, filepath.Join(t.TempDir(), "S")))
			s, err := embedded.Start(embedded.Options{DataDir: dir, Logger: quiet()})
			require.NoError(t, err, "the way out works")
			s.Shutdown()
		})
	}
}

func TestMessagesThatAreGoneFromTheDiskAreToldOf(t *testing.T) {
	index := func(store string) string { return filepath.Join(store, "msgs", "index.db") }
	for name, c := range map[string]struct {
		damage func(t *testing.T, block, index string)
		lost   bool
	}{
		"a byte of a block is another": {func(t *testing.T, block, index string) {
			change(t, block, flipped)
			require.NoError(t, os.Remove(index))
		}, true},
		"a block is cut": {func(t *testing.T, block, _ string) { change(t, block, half) }, true},
		"the end of a block is nil": {func(t *testing.T, block, index string) {
			change(t, block, zeroed)
			require.NoError(t, os.Remove(index))
		}, true},
		"a block is gone":      {func(t *testing.T, block, _ string) { require.NoError(t, os.Remove(block)) }, true},
		"the index is gone":    {func(t *testing.T, _, index string) { require.NoError(t, os.Remove(index)) }, false},
		"the index is wrong":   {func(t *testing.T, _, index string) { change(t, index, flipped) }, false},
		"nothing has happened": {func(*testing.T, string, string) {}, false},
	} {
		t.Run(name, func(t *testing.T) {
			dir, store := filled(t)
			c.damage(t, filepath.Join(store, "msgs", "1.blk"), index(store))
			var log bytes.Buffer
			s, err := embedded.Start(embedded.Options{DataDir: dir, Logger: slog.New(slog.NewTextHandler(&log, nil))})
			require.NoError(t, err)
			defer s.Shutdown()
			require.Equal(t, c.lost, strings.Contains(log.String(), "messages are gone"), "the log says:\n%s", log.String())
			if c.lost {
				require.Contains(t, log.String(), "level=ERROR")
				require.Contains(t, log.String(), fmt.Sprint("before=", kept))
			}
		})
	}
}

func TestWhatWasTakenAsUsualIsNoLoss(t *testing.T) {
	dir, _ := filled(t)
	var log bytes.Buffer
	for range 2 {
		s, err := embedded.Start(embedded.Options{DataDir: dir, Logger: slog.New(slog.NewTextHandler(&log, nil))})
		require.NoError(t, err)
		nc := embeddedtest.Connect(t, s)
		js, err := jetstream.New(nc)
		require.NoError(t, err)
		stream, err := js.Stream(t.Context(), "S")
		require.NoError(t, err)
		require.NoError(t, stream.Purge(t.Context(), jetstream.WithPurgeKeep(10)))
		s.Shutdown() // with a client connected
		nc.Close()
	}
	require.NotContains(t, log.String(), "messages are gone")
}
