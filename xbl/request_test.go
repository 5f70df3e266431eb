package xbl

import (
	"encoding/json"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func TestRequestBodies(t *testing.T) {
	tests := []struct {
		name     string
		invite   Invite
		audience Audience
		want     string
	}{
		{"empty fields are left out", Invite{InvitedUsers: []uint64{1}, Sender: "alice"}, AudienceClient, `{"invitedUsers":["1"]}`},
		{"all fields", Invite{InvitedUsers: []uint64{2533274790395904, 18446744073709551615}, ConnectionString: "lobby\"\\\n/ü", Platform: "Scarlett"},
			AudienceClient, `{"invitedUsers":["2533274790395904","18446744073709551615"],"connectionString":"lobby\"\\\n/ü","platform":"Scarlett"}`},
		{"server mode names the sender", Invite{InvitedUsers: []uint64{1}, Sender: "99"}, AudienceServer, `{"invitedUsers":["1"],"sender":"99"}`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			require.Nil(t, tt.invite.check(tt.audience))
			got, problem := tt.invite.appendBody(nil, tt.audience)
			require.Nil(t, problem)
			assert.Equal(t, tt.want, string(got))
		})
	}
}

func TestRequestBodyReadsBackAsTheInvite(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		inv := Invite{
			InvitedUsers:     rapid.SliceOfN(rapid.Uint64Min(1), 1, MaxInvitedUsers).Draw(t, "users"),
			ConnectionString: strings.ToValidUTF8(rapid.String().Draw(t, "connection"), ""),
			Platform:         rapid.SampledFrom([]string{"", "Win32"}).Draw(t, "platform"),
			Sender:           strconv.FormatUint(rapid.Uint64Min(1).Draw(t, "sender"), 10),
		}
		body, problem := inv.appendBody(nil, AudienceServer)
		require.Nil(t, problem)
		var got struct {
			InvitedUsers                       []string
			ConnectionString, Platform, Sender string
		}
		require.NoError(t, json.Unmarshal(body, &got))
		require.Equal(t, []string{inv.ConnectionString, inv.Platform, inv.Sender}, []string{got.ConnectionString, got.Platform, got.Sender})
		require.Len(t, got.InvitedUsers, len(inv.InvitedUsers))
		for i, xuid := range inv.InvitedUsers {
			require.Equal(t, strconv.FormatUint(xuid, 10), got.InvitedUsers[i])
		}
	})
}

func TestBadInvitesMakeNoCall(t *testing.T) {
	tests := []struct {
		name     string
		invite   Invite
		audience Audience
		kind     Kind
		detail   string
	}{
		{"nobody", Invite{}, AudienceClient, Rejected, "invitedUsers is empty; a call takes 1 to 16 users"},
		{"17 users", Invite{InvitedUsers: make([]uint64, 17)}, AudienceClient, Rejected, "invitedUsers has 17 users; a call takes 1 to 16"},
		{"user 0", Invite{InvitedUsers: []uint64{1, 0}}, AudienceClient, Rejected, "invitedUsers[1] is 0, which is no XUID"},
		{"bad UTF-8", Invite{InvitedUsers: []uint64{1}, ConnectionString: "a\xff"}, AudienceClient, Rejected, "connectionString is no valid UTF-8"},
		{"server mode with a name", Invite{InvitedUsers: []uint64{1}, Sender: "alice"}, AudienceServer, Misconfigured,
			"with xbl.audience: server the sender is the inviting user's XUID, a decimal number above 0"},
		{"server mode with a leading zero", Invite{InvitedUsers: []uint64{1}, Sender: "01"}, AudienceServer, Misconfigured,
			"with xbl.audience: server the sender is the inviting user's XUID, a decimal number above 0"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			client := newTestClient(t, "http://127.0.0.1:1", func(o *Options) { o.Audience = tt.audience })
			var e *Error
			require.ErrorAs(t, client.SendInvites(t.Context(), tt.invite), &e)
			assert.Equal(t, &Error{Kind: tt.kind, Detail: tt.detail}, e, "no status, not written")
		})
	}
}

// BenchmarkRequestBody builds the body of a full call: one allocation.
func BenchmarkRequestBody(b *testing.B) {
	inv := Invite{InvitedUsers: make([]uint64, 16), ConnectionString: "a-lobby-of-the-usual-length", Platform: "Scarlett"}
	for i := range inv.InvitedUsers {
		inv.InvitedUsers[i] = 2533274790395904 + uint64(i)
	}
	b.ReportAllocs()
	for b.Loop() {
		_, _ = inv.appendBody(make([]byte, 0, inv.bodySize()), AudienceClient)
	}
}
