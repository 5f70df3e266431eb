package harness

import (
	"context"
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"strings"
	"testing"
	"time"
)

// Get asks for a page. Status 0 says that nobody answered.
func Get(t testing.TB, url string) (status int, body string) {
	t.Helper()
	status, body, _ = ask(t, http.MethodGet, url, nil, "")
	return status, body
}

// answerTime bounds each question: a paused process takes connections and never answers, and a busy machine answers late.
const answerTime = 20 * time.Second

// ask uses a connection of its own, which is closed at the end: nothing is left behind, and nothing left over is used after a
// restart.
func ask(t testing.TB, method, url string, header http.Header, body string) (status int, answer string, got http.Header) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), answerTime)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, url, strings.NewReader(body))
	if err != nil {
		t.Fatalf("%s must be a URL: %v", url, err)
	}
	maps.Copy(req.Header, header)
	transport := &http.Transport{DisableKeepAlives: true}
	defer transport.CloseIdleConnections()
	resp, err := transport.RoundTrip(req)
	if err != nil {
		return 0, "", nil
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return 0, "", nil
	}
	return resp.StatusCode, string(text), resp.Header
}

// getJSON asks for a page that must be there.
func getJSON(t testing.TB, url string, into any) {
	t.Helper()
	status, body := Get(t, url)
	if status != http.StatusOK {
		t.Fatalf("%s answers %d: %s", url, status, body)
	}
	if err := json.Unmarshal([]byte(body), into); err != nil {
		t.Fatalf("%s: %v", url, err)
	}
}
