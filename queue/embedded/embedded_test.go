package embedded_test

import (
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/invitedhq/invited/queue/embedded"
	"github.com/invitedhq/invited/queue/embedded/embeddedtest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

func TestClientsReachItOverTCPAndInProcess(t *testing.T) {
	s := embeddedtest.StartWith(t, embedded.Options{Listen: "127.0.0.1:0"})
	require.Contains(t, s.ClientURL(), "nats://127.0.0.1:")
	over, err := nats.Connect(s.ClientURL())
	require.NoError(t, err)
	defer over.Close()
	within := embeddedtest.Connect(t, s)
	for _, nc := range []*nats.Conn{over, within} {
		require.NoError(t, nc.Flush())
		require.EqualValues(t, embedded.MaxPayload, nc.MaxPayload())
	}
}

func TestWithoutListenerItHasNoURL(t *testing.T) {
	require.Empty(t, embeddedtest.Start(t).ClientURL())
}

func TestWhatWasStoredIsThereAfterARestart(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "new", "data")
	for want := uint64(1); want <= 2; want++ {
		s, err := embedded.Start(embedded.Options{DataDir: dir, Logger: quiet()})
		require.NoError(t, err)
		nc := embeddedtest.Connect(t, s)
		js, err := jetstream.New(nc)
		require.NoError(t, err)
		_, err = js.CreateOrUpdateStream(t.Context(), jetstream.StreamConfig{Name: "S", Subjects: []string{"s"}})
		require.NoError(t, err)
		ack, err := js.Publish(t.Context(), "s", nil)
		require.NoError(t, err)
		require.Equal(t, want, ack.Sequence)
		nc.Close()
		s.Shutdown()
		s.Shutdown() // twice does no harm
	}
}

func TestADirectoryServesOneServer(t *testing.T) {
	dir := t.TempDir()
	first, err := embedded.Start(embedded.Options{DataDir: dir, Logger: quiet()})
	require.NoError(t, err)
	_, err = embedded.Start(embedded.Options{DataDir: dir, Logger: quiet()})
	require.ErrorIs(t, err, embedded.ErrInUse)
	require.ErrorContains(t, err, dir)
	require.ErrorContains(t, err, "nats.embedded.data_dir")
	first.Shutdown()
	second, err := embedded.Start(embedded.Options{DataDir: dir, Logger: quiet()})
	require.NoError(t, err, "the lock ends with the server")
	second.Shutdown()
}

func TestAnAddressInUseIsNamed(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	_, err = embedded.Start(embedded.Options{Listen: l.Addr().String(), DataDir: t.TempDir(), Logger: quiet()})
	require.ErrorIs(t, err, syscall.EADDRINUSE)
	require.ErrorContains(t, err, l.Addr().String())
	require.ErrorContains(t, err, "nats.embedded.listen")
}

func TestBadOptionsAreRefused(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	for want, o := range map[string]embedded.Options{
		"needs a data directory":          {},
		"is not host:port":                {DataDir: t.TempDir(), Listen: "localhost"},
		"the port must be a number":       {DataDir: t.TempDir(), Listen: "127.0.0.1:70000"},
		`sync "sometimes" is neither`:     {DataDir: t.TempDir(), Sync: "sometimes"},
		"can't create its data directory": {DataDir: file},
	} {
		_, err := embedded.Start(o)
		require.ErrorContains(t, err, want)
	}
}

func TestItRunsInFakeTime(t *testing.T) {
	embeddedtest.HoldClock(t)
	began := time.Now()
	synctest.Test(t, func(t *testing.T) {
		js, err := jetstream.New(embeddedtest.Connect(t, embeddedtest.Start(t)))
		require.NoError(t, err)
		stream, err := js.CreateStream(t.Context(), jetstream.StreamConfig{
			Name: "S", Subjects: []string{"s"}, MaxAge: time.Hour, Storage: jetstream.FileStorage,
		})
		require.NoError(t, err)
		_, err = js.Publish(t.Context(), "s", nil)
		require.NoError(t, err)
		time.Sleep(2 * time.Hour)
		info, err := stream.Info(t.Context())
		require.NoError(t, err)
		require.Zero(t, info.State.Msgs, "an hour is an hour of the bubble")
	})
	require.Less(t, time.Since(began), time.Minute, "and takes no time")
}
