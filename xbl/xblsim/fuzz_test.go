package xblsim_test

import (
	"encoding/json"
	"io"
	"net/http"
	"strconv"
	"strings"
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

// FuzzRequest: what stands around a body decides whether it is taken, and no answer repeats a token.
func FuzzRequest(f *testing.F) {
	f.Add(alice, "/titles/730/invites", "", "application/json", "1")
	f.Add("XBL3.0 x=1;", "/titles/0/invites", "a=b", "application/json; charset=UTF-8", "01")
	f.Add("Bearer "+alice, "/titles/4294967296/invites/server", "", "text/json", "")
	f.Add("XBL3.0 x=;a", "/titles//invites", "%", "application/json; q=\"", "1,1")
	f.Add("XBL3.0 x=1;\xff", "//", "", "", "\x00")
	f.Fuzz(func(t *testing.T, authorization, path, query, contentType, version string) {
		sim := inProcess(t, xblsim.Options{})
		r := validRequest()
		r.header = http.Header{"Authorization": {authorization}, "Content-Type": {contentType}, "X-Xbl-Contract-Version": {version}}
		request := r.http(sim)
		request.URL.Path, request.URL.RawQuery = path, query
		response, err := sim.send(request)
		require.NoError(t, err)
		defer response.Body.Close()
		body, err := io.ReadAll(response.Body)
		require.NoError(t, err)
		sent := sim.Ledger().Recipients
		if response.StatusCode == http.StatusNoContent {
			hash, token, found := strings.Cut(strings.TrimPrefix(authorization, "XBL3.0 x="), ";")
			require.True(t, found && hash != "" && token != "" && version == "1" && query == "", "%q", authorization)
			require.Regexp(t, `^/titles/[1-9][0-9]{0,9}/invites$`, path)
			require.Equal(t, 1, sent)
			return
		}
		require.True(t, response.StatusCode >= 400 && response.StatusCode < 500, "%d", response.StatusCode)
		require.Zero(t, sent)
		if _, token, _ := strings.Cut(authorization, ";"); len(token) >= 16 {
			require.NotContains(t, string(body), token)
		}
	})
}
