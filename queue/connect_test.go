package queue_test

import (
	"bytes"
	"errors"
	"log/slog"
	"strings"
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
		"nats://user:sec,ret@host":                "nats://***,***@host",
		"nats://user:1,2,3@host,nats://other":     "nats://***,***,***@host,nats://other",
		"nats://user:sec@ret,et@host":             "nats://***,***@host",
		"nats://other,nats://user:secret@host":    "nats://other,nats://***@host",
		"":                                        "",
	} {
		assert.Equal(t, want, queue.RedactURL(in))
	}
}

// FuzzRedactURL: no part of a password is left, whatever signs are in it.
func FuzzRedactURL(f *testing.F) {
	for _, password := range []string{"secret", "se,cret", "a@b", "1234,5678", "a b", "p://q", "%zz", "\xff", "/", "#", "?", ",", "@,@", "://", "a,b://c"} {
		f.Add("nats", "user", password, "host:4222")
		f.Add("", "", password, "host:4222,nats://other:1")
	}
	f.Fuzz(func(t *testing.T, scheme, user, password, host string) {
		if len(password) < 6 || strings.Contains(password, "://") || strings.ContainsAny(user+scheme+host, "@/,\x00") {
			return // such a password is no part of any URL; and the others are not what is tried here
		}
		url := user + ":" + password + "@" + host
		if scheme != "" {
			url = scheme + "://" + url
		}
		shown := queue.RedactURL("nats://first," + url + ",nats://last")
		for i := range len(password) - 5 {
			part := password[i : i+6]
			if strings.Contains("nats://first,"+scheme+"://***@"+host+",nats://last,***", part) || strings.Trim(part, "*@,") == "" {
				continue
			}
			require.NotContains(t, shown, part)
		}
		require.Equal(t, shown, queue.RedactURL(shown), "what is hidden stays so")
		require.True(t, strings.HasSuffix(shown, strings.TrimSpace(host)+",nats://last"), "the host is shown: %q", shown)
	})
}

func TestConnectErrorsAreClearAndShowNoSecret(t *testing.T) {
	free := embeddedtest.FreeAddress(t)
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

func TestNoURLIsTakenForAnotherKind(t *testing.T) {
	for _, url := range []string{"https://user:secret@localhost:4222", "http://localhost", "nats://localhost, mqtt://user:secret@localhost"} {
		_, err := queue.Connect(queue.ConnectOptions{URL: url, RetryOnFailedConnect: true, Logger: discard()})
		require.ErrorContains(t, err, "is no NATS URL: write nats://host:4222, tls://", url)
		require.NotContains(t, err.Error(), "secret")
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
	require.Eventually(t, nc.IsConnected, 30*time.Second, 10*time.Millisecond)
}

func TestATokenInTheURLIsInNoLineOfTheLog(t *testing.T) {
	address := embeddedtest.FreeAddress(t)
	server := embeddedtest.StartWith(t, embedded.Options{Listen: address})
	lines := make(logLines, 64)
	nc, err := queue.Connect(queue.ConnectOptions{URL: "nats://s3cret@" + address, Logger: slog.New(slog.NewTextHandler(lines, nil))})
	require.NoError(t, err)
	t.Cleanup(nc.Close)
	server.Shutdown()
	embeddedtest.StartWith(t, embedded.Options{Listen: address})
	for again := false; !again; {
		select {
		case line := <-lines:
			assert.NotContains(t, line, "s3cret")
			again = strings.Contains(line, "connected to NATS again")
		case <-time.After(10 * time.Second):
			require.Fail(t, "nothing is told of the connection")
		}
	}
}

// logLines is a log whose lines are received.
type logLines chan string

func (l logLines) Write(line []byte) (int, error) {
	l <- string(line)
	return len(line), nil
}

func TestNothingIsBufferedWhileDisconnected(t *testing.T) {
	server := embeddedtest.StartWith(t, embedded.Options{Listen: "127.0.0.1:0"})
	nc, err := queue.Connect(queue.ConnectOptions{URL: server.ClientURL(), Name: "test", Logger: discard()})
	require.NoError(t, err)
	t.Cleanup(nc.Close)
	require.Equal(t, "test", nc.Opts.Name)
	server.Shutdown()
	require.Eventually(t, nc.IsReconnecting, 30*time.Second, time.Millisecond)
	require.ErrorIs(t, nc.Publish("x", nil), nats.ErrReconnectBufExceeded, "else it would seem sent")

	_, err = queue.NewOrganizer(t.Context(), nc)
	require.ErrorContains(t, err, "there is no connection to NATS", "and not only that a buffer is full")
}
