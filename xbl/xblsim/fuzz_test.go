package xblsim_test

import (
	"encoding/json"
	"net/http"
	"strconv"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/invitedhq/invited/xbl/xblsim"
)

// FuzzRequestBody compares with encoding/json: whoever is recorded must be what another reader finds in the body.
func FuzzRequestBody(f *testing.F) {
	for _, seed := range []string{
		users(1), users(16), users(17), with(`"connectionString":"x"`), with(`"platform":"Win32"`), with(`"sender":"1"`),
		`{}`, `null`, `[`, `{"invitedUsers":[1]}`, `{"invitedUsers":["1","1"]}`, `{"invitedUsers":["01"]}`,
		`{"invitedUsers":["\u0031"]}`, "\xff", `{"a":{"b":[`, users(1) + users(1), ` {"invitedUsers" : [ "1" ] } `,
	} {
		f.Add(seed, false)
		f.Add(seed, true)
	}
	f.Fuzz(func(t *testing.T, body string, server bool) {
		sim := inProcess(t, xblsim.Options{})
		r := validRequest()
		r.body = body
		if server {
			r.path += "/server"
		}
		a := sim.do(r)
		if a.status != http.StatusNoContent {
			require.Equal(t, http.StatusBadRequest, a.status)
			require.NotEmpty(t, a.errorResponse(t).DebugMessage)
			require.Empty(t, sim.Sent(title))
			return
		}
		var other struct{ InvitedUsers []string }
		require.NoError(t, json.Unmarshal([]byte(body), &other))
		want := map[uint64]int{}
		for _, text := range other.InvitedUsers {
			xuid, err := strconv.ParseUint(text, 10, 64)
			require.NoError(t, err)
			want[xuid]++
		}
		require.Equal(t, want, sim.Sent(title))
		require.Len(t, want, len(other.InvitedUsers))
	})
}

func FuzzParseQuota(f *testing.F) {
	for _, seed := range []string{"", "7/15s", "7/15s,50/300s", "1/1ns", "x", "9999999999999999999/1s", "1/9999999h"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		windows, err := xblsim.ParseQuota(text)
		if err != nil {
			return
		}
		assert.NoError(t, xblsim.Options{Quota: windows}.Validate())
		for _, w := range windows {
			again, err := xblsim.ParseQuota(w.String())
			require.NoError(t, err)
			assert.Equal(t, []xblsim.Window{w}, again)
		}
	})
}

func FuzzPutFaults(f *testing.F) {
	for _, seed := range []string{
		`{}`, `{"slow":1,"slowBy":"1ns"}`, `{"expiredTokens":["` + alice + `"]}`, `{"outage":true}`, `{"error500":1e-9}`, `[`,
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, body string) {
		sim := inProcess(t, xblsim.Options{})
		if a := sim.putFaults(body); a.status != http.StatusNoContent {
			require.Equal(t, http.StatusBadRequest, a.status)
			require.NotEmpty(t, a.errorResponse(t).DebugMessage)
			return
		}
		require.NoError(t, sim.Faults().Validate())
	})
}
