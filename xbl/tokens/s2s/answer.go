package s2s

import (
	"encoding/json"
	"errors"
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/invitedhq/invited/xbl/tokens"
	"github.com/invitedhq/invited/xbl/tokens/wire"
)

// given is a token as an auth service gives it.
type given struct {
	token    string
	userHash string // empty: it is the service's own
	end      time.Time
	owner    tokens.Owner
}

// maxToken is more than any known token has, and what still fits into a header.
const maxToken = 24 << 10

// readGiven reads an answer with a token. Its errors repeat nothing of it.
func readGiven(body []byte) (given, error) {
	var answer struct {
		NotAfter      string
		Token         string
		DisplayClaims struct {
			Users []struct {
				Gamertag string `json:"gtg"`
				XUID     string `json:"xid"`
				UserHash string `json:"uhs"`
			} `json:"xui"`
		}
	}
	if err := json.Unmarshal(body, &answer); err != nil {
		return given{}, errors.New("its answer is no JSON with a Token and its NotAfter")
	}
	end, err := time.Parse(time.RFC3339, answer.NotAfter)
	switch {
	case !isVisible(answer.Token) || len(answer.Token) > maxToken:
		return given{}, errors.New("the Token in its answer is empty, too long, or not in visible ASCII")
	case err != nil:
		return given{}, errors.New("the NotAfter in its answer is no time of RFC 3339")
	}
	g := given{token: answer.Token, end: end, owner: tokens.Owner{Service: true}}
	if users := answer.DisplayClaims.Users; len(users) > 0 {
		u := users[0]
		if !isVisible(u.UserHash) || len(u.UserHash) > 64 || strings.Contains(u.UserHash, ";") {
			return given{}, errors.New("the user hash (uhs) in its answer is none")
		}
		g.userHash = u.UserHash
		g.owner = tokens.Owner{Gamertag: wire.Words(u.Gamertag), XUID: wire.Words(u.XUID)}
	}
	return g, nil
}

func isVisible(s string) bool {
	return s != "" && !strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r > '~' })
}

// readRefusal reads an answer without a token. secrets are what was sent: it may repeat them.
func readRefusal(a wire.Answer, secrets ...string) *RefusalError {
	var body struct {
		XErr    json.RawMessage
		Message json.RawMessage
	}
	_ = json.Unmarshal(a.Body, &body) // a page of a proxy, say, has neither
	var words string
	_ = json.Unmarshal(body.Message, &words) // nor has one of another type
	r := &RefusalError{Status: a.Status, XErr: readXErr(body.XErr), Message: wire.Words(words, secrets...)}
	if r.Message == "" && a.Status == http.StatusUnauthorized {
		r.Message = wire.Words(a.Header.Get("WWW-Authenticate"), secrets...)
	}
	return r
}

// readXErr reads a number, or one as text, in decimal or with 0x. It is a uint32; some write it as a negative int32.
func readXErr(raw json.RawMessage) XErr {
	text := strings.Trim(strings.TrimSpace(string(raw)), `"`)
	if n, err := strconv.ParseInt(text, 0, 64); err == nil && n >= math.MinInt32 && n <= math.MaxUint32 {
		return XErr(uint32(n)) // that is how an int32 becomes the uint32 it stands for
	}
	return 0
}
