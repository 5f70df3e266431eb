package queue_test

import (
	"bytes"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"testing"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nkeys"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/invitedhq/invited/queue"
	"github.com/invitedhq/invited/queue/embedded/embeddedtest"
)

func TestEachUserHasAnInboxOfItsOwn(t *testing.T) {
	address := embeddedtest.FreeAddress(t)
	for _, c := range []struct {
		what, urls, creds, want string
	}{
		{"no user", "nats://" + address, "", "_INBOX"},
		{"a user", "nats://worker:s3cret@" + address, "", "_INBOX.worker"},
		{"the first URL that has one", "nats://" + address + ", nats://worker:s3cret@" + address, "", "_INBOX.worker"},
		{"a token, which is a secret", "nats://s3cret@" + address, "", "_INBOX"},
		{"a name that is no part of a subject", "nats://a.b%3E:s3cret@" + address, "", "_INBOX"},
		{"credentials", "nats://other:s3cret@" + address, credentialsOf(t, "operator"), "_INBOX.operator"},
	} {
		var log bytes.Buffer
		nc, err := queue.Connect(queue.ConnectOptions{
			URL: c.urls, CredentialsFile: c.creds, RetryOnFailedConnect: true, Logger: slog.New(slog.NewTextHandler(&log, nil)),
		})
		require.NoError(t, err, c.what)
		nc.Close()
		assert.Equal(t, c.want, nc.Opts.InboxPrefix, c.what)
	}
}

func credentialsOf(t *testing.T, name string) (file string) {
	t.Helper()
	account, err := nkeys.CreateAccount()
	require.NoError(t, err)
	user, err := nkeys.CreateUser()
	require.NoError(t, err)
	public, err := user.PublicKey()
	require.NoError(t, err)
	claims := jwt.NewUserClaims(public)
	claims.Name = name
	token, err := claims.Encode(account)
	require.NoError(t, err)
	seed, err := user.Seed()
	require.NoError(t, err)
	text, err := jwt.FormatUserConfig(token, seed)
	require.NoError(t, err)
	file = filepath.Join(t.TempDir(), "user.creds")
	require.NoError(t, os.WriteFile(file, text, 0o600))
	return file
}

func TestARefusalSaysWhatAndTheWayOut(t *testing.T) {
	why := errors.New("why")
	assert.Equal(t, "NATS does not let this user publish to invites.jobs.…: ask for it",
		(&queue.AccessError{Operation: "publish", Subject: "invites.jobs.730.ada", WayOut: "ask for it", Err: why}).Error(),
		"ada may be a player")
	assert.Equal(t, "NATS does not let this user publish to $JS.API.CONSUMER.CREATE.INVITE_DEAD.x.invites.dead.…: ask for it",
		(&queue.AccessError{Operation: "publish", Subject: "$JS.API.CONSUMER.CREATE.INVITE_DEAD.x.invites.dead.730.*", WayOut: "ask for it"}).Error())
	connect := &queue.AccessError{Operation: "connect", WayOut: "another password", Err: why}
	assert.Equal(t, "why: another password", connect.Error())
	require.ErrorIs(t, connect, why)
	assert.False(t, connect.Lasting(), "the next attempt may succeed")
	assert.True(t, (&queue.AccessError{Operation: "subscribe"}).Lasting(), "nobody subscribes again")
}
