package wire

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// ErrorResponse is how the service says what is wrong with a request.
type ErrorResponse struct {
	ErrorCode    string `json:"errorCode"`
	DebugMessage string `json:"debugMessage"`
}

// WriteJSON answers with v.
func WriteJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.MarshalWrite(w, v) // fails only when the client is gone
}

// ReadBody returns the body. If it is longer than limit bytes, what is within is returned with the error.
func ReadBody(r io.Reader, limit int64) ([]byte, error) {
	body, err := io.ReadAll(io.LimitReader(r, limit+1))
	if err != nil {
		return nil, errors.New("body: it ended early")
	}
	if int64(len(body)) > limit {
		return body[:limit], fmt.Errorf("body: longer than %d bytes", limit)
	}
	return body, nil
}

// Decode reads a body that is one JSON value, without fields that v does not have. Its errors repeat no value.
func Decode(body []byte, v any) error {
	if err := json.Unmarshal(body, v, json.RejectUnknownMembers(true)); err != nil {
		return withoutValues(err)
	}
	return nil
}

// withoutValues describes a decoding error by its place. Its own words may repeat a value, which may be a token.
func withoutValues(err error) error {
	if semantic, ok := errors.AsType[*json.SemanticError](err); ok {
		place := strings.TrimPrefix(string(semantic.JSONPointer), "/")
		if errors.Is(err, json.ErrUnknownName) {
			return fmt.Errorf("%.40q: no such field", place)
		}
		return fmt.Errorf("%s: a JSON %s is not what belongs here", cmp.Or(place, "body"), semantic.JSONKind)
	}
	if syntactic, ok := errors.AsType[*jsontext.SyntacticError](err); ok {
		if errors.Is(err, jsontext.ErrDuplicateName) {
			return fmt.Errorf("%.40q: given twice", strings.TrimPrefix(string(syntactic.JSONPointer), "/"))
		}
		return fmt.Errorf("body: no JSON after byte %d", syntactic.ByteOffset)
	}
	return errors.New("body: it ended early")
}
