package s2s

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/invitedhq/invited/xbl"
	"github.com/invitedhq/invited/xbl/tokens/wire"
)

func FuzzGiven(f *testing.F) {
	f.Add(`{"IssueInstant":"2026-01-01T00:00:00.0000000Z","NotAfter":"2026-01-01T08:00:00.1234567Z","Token":"s3cret-token","DisplayClaims":{"xui":[{"gtg":"Ada","xid":"1","uhs":"2"}]}}`)
	f.Add(`{"NotAfter":"x","Token":"s3cret-token\r\n"}`)
	f.Add(`{"Token":"s3cret-token","NotAfter":"2026-01-01T08:00:00Z","DisplayClaims":{"xui":[{"uhs":"-","gtg":"\u202e\u0000"}]}}`)
	f.Fuzz(func(t *testing.T, body string) {
		g, err := readGiven([]byte(body))
		if err != nil {
			if strings.Contains(err.Error(), "s3cret-token") {
				t.Errorf("the error shows the token: %v", err)
			}
			return
		}
		hash := g.userHash
		if hash == "" {
			hash = "-"
		}
		if _, err := xbl.NewToken("XBL3.0 x=" + hash + ";" + g.token); err != nil {
			t.Errorf("accepted is what no header can hold: %v", err)
		}
		if len(g.owner.Gamertag) > 300 || strings.ContainsAny(g.owner.Gamertag, "\r\n\x00\x1b\u202e") {
			t.Errorf("the gamertag can't be shown: %q", g.owner.Gamertag)
		}
	})
}

func FuzzRefusal(f *testing.F) {
	f.Add(401, `{"Identity":"0","XErr":2148916233,"Message":"no eyJzZWNyZXQ.c2VjcmV0LXNlY3JldA","Redirect":""}`, "")
	f.Add(403, `{"XErr":-1,"Message":["a"]}`, `XSTS error="title_usage_by_device_exceeded"`)
	f.Add(200, `{"XErr":"0x8015DC1F"}`, "\xff")
	const secret = "eyJzZWNyZXQ.c2VjcmV0LXNlY3JldA"
	f.Fuzz(func(t *testing.T, status int, body, header string) {
		r := readRefusal(wire.Answer{Status: status, Body: []byte(body), Header: http.Header{"Www-Authenticate": {header}}}, secret)
		problem, _ := r.problem("XSTS")
		words := problem.Error()
		if !utf8.ValidString(words) || len(words) > 900 || strings.ContainsAny(words, "\r\n\x1b\x00") {
			t.Errorf("%q is no short line", words)
		}
		if strings.Contains(words, secret) || strings.Contains(words, secret[10:24]) {
			t.Errorf("%q shows the secret", words)
		}
		if r.XErr != 0 && !json.Valid([]byte(body)) {
			t.Error("a number out of what is no JSON")
		}
	})
}

func FuzzDelegation(f *testing.F) {
	f.Add([]byte("eyJhbGciOi.ZGVsZWdhdGlvbg.c2lnbg\r\n"))
	f.Add([]byte("a b"))
	f.Add([]byte("\xef\xbb\xbftoken"))
	f.Fuzz(func(t *testing.T, content []byte) {
		token, problem := parseDelegation(content)
		if (token == "") == (problem == "") {
			t.Fatalf("a token of %d bytes, and the problem %q", len(token), problem)
		}
		if problem != "" {
			return
		}
		text, err := json.Marshal(token)
		var back string
		if err != nil || json.Unmarshal(text, &back) != nil || back != token || strings.ContainsAny(token, " \r\n\x00") {
			t.Errorf("%q is not what is sent", token)
		}
	})
}
