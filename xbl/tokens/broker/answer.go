package broker

import (
	"bytes"
	"encoding/json"
	"errors"
	"time"

	"github.com/invitedhq/invited/xbl"
)

// parse reads an answer. Fields that are not known are fine: a broker may say more than is asked. Its errors repeat
// nothing of the answer.
func parse(body []byte) (xbl.Token, time.Time, error) {
	var answer struct {
		Authorization string `json:"authorization"`
		NotAfter      string `json:"notAfter"`
	}
	body = bytes.TrimPrefix(body, []byte("\xef\xbb\xbf")) // some frameworks put a byte order mark before what they write
	if err := json.Unmarshal(body, &answer); err != nil {
		return xbl.Token{}, time.Time{}, errors.New(`its answer is not {"authorization":"…","notAfter":"…"}`)
	}
	token, err := xbl.NewToken(answer.Authorization)
	if err != nil {
		return xbl.Token{}, time.Time{}, errors.New("authorization: " + err.Error())
	}
	end, err := time.Parse(time.RFC3339, answer.NotAfter)
	if err != nil || end.Year() > 9999 {
		return xbl.Token{}, time.Time{}, errors.New("notAfter is no time of RFC 3339, such as 2026-12-24T20:00:00Z")
	}
	return token, end, nil
}
