package xbl

import (
	"bytes"
	"encoding/json"
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// answerBody is the union of the bodies the API is known to answer with. All fields are raw: one of an unexpected type
// must not hide the others.
type answerBody struct {
	isObject bool // it was JSON of that form

	// ErrorResponse, and what other services of the platform call the same.
	ErrorCode    json.RawMessage `json:"errorCode"`
	Code         json.RawMessage `json:"code"`
	DebugMessage json.RawMessage `json:"debugMessage"`
	ErrorMessage json.RawMessage `json:"errorMessage"`
	Description  json.RawMessage `json:"description"`
	Message      json.RawMessage `json:"message"`
	// ThrottledEntity. Type is an older name of LimitType.
	LimitType       json.RawMessage `json:"limitType"`
	Type            json.RawMessage `json:"type"`
	CurrentRequests json.RawMessage `json:"currentRequests"`
	MaxRequests     json.RawMessage `json:"maxRequests"`
	PeriodInSeconds json.RawMessage `json:"periodInSeconds"`
}

// readBody reads a body as far as it can be read. The zero answerBody stands for one that is no JSON object.
func readBody(body []byte) answerBody {
	var b answerBody
	body = bytes.TrimSpace(bytes.TrimPrefix(body, []byte("\xef\xbb\xbf")))
	if len(body) == 0 || body[0] != '{' || json.Unmarshal(body, &b) != nil {
		return answerBody{}
	}
	b.isObject = true
	return b
}

// throttle returns the numbers of a ThrottledEntity, and whether the body is one: whether it names a kind of limit, a
// maximum or a period.
func (b *answerBody) throttle() (Throttle, bool) {
	t := Throttle{
		LimitType:       limitType(b.LimitType),
		CurrentRequests: number(b.CurrentRequests, 0, 1e9),
		MaxRequests:     number(b.MaxRequests, 1, 1e9),
		Period:          time.Duration(number(b.PeriodInSeconds, 1, 24*60*60)) * time.Second,
	}
	if t.LimitType == "" {
		t.LimitType = limitType(b.Type)
	}
	return t, t.LimitType != "" || t.MaxRequests != 0 || t.Period != 0
}

func limitType(raw json.RawMessage) string {
	switch strings.ToLower(strings.TrimSpace(text(raw))) {
	case "rate", "burst": // burst: an older edition's name
		return "rate"
	case "concurrency":
		return "concurrency"
	default:
		return ""
	}
}

// code returns the error code and what follows it after a colon.
func (b *answerBody) code() (code, rest string) {
	s := text(b.ErrorCode)
	if s == "" {
		s = text(b.Code)
	}
	code, rest, _ = strings.Cut(s, ":")
	return strings.TrimSpace(code), strings.TrimSpace(rest)
}

func (b *answerBody) message() string {
	for _, raw := range []json.RawMessage{b.DebugMessage, b.ErrorMessage, b.Description, b.Message} {
		if s := strings.TrimSpace(text(raw)); s != "" {
			return s
		}
	}
	_, rest := b.code()
	return rest
}

// plain returns a body that is neither JSON nor a page as text: some limits are told in a plain sentence.
func plain(header http.Header, body []byte) string {
	body = bytes.TrimSpace(body)
	if len(body) == 0 || bytes.IndexByte([]byte("{[<"), body[0]) >= 0 || header.Get("Content-Encoding") != "" {
		return ""
	}
	return string(body)
}

// text returns a JSON string's or number's text, "" for anything else.
func text(raw json.RawMessage) string {
	switch {
	case len(raw) == 0:
		return ""
	case raw[0] == '"':
		var s string
		_ = json.Unmarshal(raw, &s) // It was read as JSON already, so it can't fail.
		return s
	case raw[0] == '-' || raw[0] >= '0' && raw[0] <= '9':
		return string(raw)
	default:
		return ""
	}
}

// number returns a whole number between least and most, from a JSON number or a string; 0 for anything else. The range
// is checked before the conversion: a float out of the range of int has no defined one.
func number(raw json.RawMessage, least, most float64) int {
	f, err := strconv.ParseFloat(strings.TrimSpace(text(raw)), 64)
	if err != nil || f < least || f > most || f != math.Trunc(f) { // NaN is not equal to itself
		return 0
	}
	return int(f)
}
