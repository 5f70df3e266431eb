package xbl

import (
	"context"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// testAuthorization has the length and alphabet of a real value, so that a leak of a part of it would be seen.
const testAuthorization = "XBL3.0 x=1234567890123456789;eyJlbmMiOiJBMTI4Q0JDLUhTMjU2IiwiYWxnIjoiUlNBLU9BRVAifQ.c2VjcmV0LXZhbHVl/+aGVyZQ=="

var testInvite = Invite{TitleID: 42, Sender: "alice", InvitedUsers: []uint64{2533274790395904}}

// newTestClient is a client of the service at base; change sets further options.
func newTestClient(t testing.TB, base string, change ...func(*Options)) *Client {
	t.Helper()
	o := Options{BaseURL: base, Tokens: Static(testAuthorization)}
	for _, c := range change {
		c(&o)
	}
	client, err := NewClient(o)
	require.NoError(t, err)
	t.Cleanup(client.CloseIdleConnections)
	return client
}

// serve runs handler and returns a client of it.
func serve(t testing.TB, handler http.HandlerFunc, change ...func(*Options)) *Client {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	return newTestClient(t, server.URL, change...)
}

// send makes a call that must not end as sent.
func send(ctx context.Context, t testing.TB, c *Client) *Error {
	t.Helper()
	err := c.SendInvites(ctx, testInvite)
	require.Error(t, err, "the call must not count as sent")
	var e *Error
	require.ErrorAs(t, err, &e)
	return e
}

func testToken(t testing.TB) Token {
	t.Helper()
	token, err := NewToken(testAuthorization)
	require.NoError(t, err)
	return token
}
