package queue_test

import (
	"bytes"
	"errors"
	"log/slog"
	"net"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/invitedhq/invited/queue"
	"github.com/invitedhq/invited/queue/embedded"
	"github.com/invitedhq/invited/queue/embedded/embeddedtest"
)

func TestRedactURLHidesUserInformation(t *testing.T) {
	for in, want := range map[string]string{
		"nats://host:4222":                        "nats://host:4222",
		"nats://user:secret@host:4222":            "nats://***@host:4222",
		"tls://token@host":                        "tls://***@host",
		"user:secret@host":                        "***@host",
		"nats://u:a@b@host,nats://u:secret@other": "nats://***@host,nats://***@other",
		"": "",
	} {
		assert.Equal(t, want, queue.RedactURL(in))
	}
}

func TestConnectErrorsAreClearAndShowNoSecret(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	free := l.Addr().String()
	require.NoError(t, l.Close())
	for name, o := range map[string]queue.ConnectOptions{
		"nobody there":        {URL: "nats://user:secret@" + free},
		"a bad URL":           {URL: "nats://user:sec ret%zz@" + free},
		"no credentials":      {URL: "nats://user:secret@" + free, CredentialsFile: "absent.creds"},
		"no authorities":      {URL: "nats://user:secret@" + free, CAFile: "absent.pem"},
		"half a certificate":  {URL: "nats://user:secret@" + free, CertFile: "absent.pem"},
		"several, none there": {URL: "nats://user:secret@" + free + ",nats://user:secret@" + free},
	} {
		o.Logger = discard()
		_, err := queue.Connect(o)
		require.ErrorContains(t, err, "connecting to NATS", name)
		for ; err != nil; err = errors.Unwrap(err) {
			assert.NotContains(t, err.Error(), "sec", name)
		}
	}
}

func TestConnectCanWaitForAServerThatIsNotThereYet(t *testing.T) {
	address := embeddedtest.FreeAddress(t)
	var log bytes.Buffer
	nc, err := queue.Connect(queue.ConnectOptions{
		URL: "nats://" + address, RetryOnFailedConnect: true, Logger: slog.New(slog.NewTextHandler(&log, nil)),
	})
	require.NoError(t, err)
	t.Cleanup(nc.Close)
	require.False(t, nc.IsConnected())
	embeddedtest.StartWith(t, embedded.Options{Listen: address})
	require.Eventually(t, nc.IsConnected, 10*time.Second, 10*time.Millisecond)
}

func TestNothingIsBufferedWhileDisconnected(t *testing.T) {
	server := embeddedtest.StartWith(t, embedded.Options{Listen: "127.0.0.1:0"})
	nc, err := queue.Connect(queue.ConnectOptions{URL: server.ClientURL(), Name: "test", Logger: discard()})
	require.NoError(t, err)
	t.Cleanup(nc.Close)
	require.Equal(t, "test", nc.Opts.Name)
	server.Shutdown()
	require.Eventually(t, nc.IsReconnecting, 10*time.Second, time.Millisecond)
	require.ErrorIs(t, nc.Publish("x", nil), nats.ErrReconnectBufExceeded, "else it would seem sent")
}
