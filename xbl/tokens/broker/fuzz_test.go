package broker

import (
	"net/http"
	"strings"
	"testing"
	"time"
)

func FuzzBrokerAnswer(f *testing.F) {
	f.Add(`{"authorization":"XBL3.0 x=me;s3cret-token","notAfter":"2126-12-24T20:00:00Z"}`)
	f.Add(`{"authorization":"XBL3.0 x=me;s3cret-token\r\nX: y","notAfter":"0000-01-01T00:00:00Z"}`)
	f.Add(`{"authorization":null,"notAfter":[]}`)
	f.Fuzz(func(t *testing.T, body string) {
		token, end, err := parse([]byte(body))
		if err != nil {
			if strings.Contains(err.Error(), "s3cret-token") {
				t.Errorf("the error shows the token: %v", err)
			}
			return
		}
		if token.IsZero() || strings.ContainsAny(token.Authorization(), "\r\n ") && strings.Count(token.Authorization(), " ") > 1 {
			t.Error("accepted is what no header can hold")
		}
		if _, err := time.Parse(time.RFC3339, end.Format(time.RFC3339)); err != nil {
			t.Errorf("%v can't be written again", end)
		}
	})
}

func FuzzHeaders(f *testing.F) {
	f.Add("X-Api-Key: s3cret\n# no\nAuthorization: Basic x\n")
	f.Add("a:b\r\nHost: x\n:")
	f.Fuzz(func(t *testing.T, content string) {
		h, err := parseHeaders(content)
		if err != nil {
			return
		}
		r := &http.Request{Header: h}
		var b strings.Builder
		if err := r.Header.Write(&b); err != nil {
			t.Fatal(err)
		}
		lines := 0
		for name, values := range h {
			lines += len(values)
			if ours(name) {
				t.Errorf("%s would change how the request is framed", name)
			}
		}
		if n := strings.Count(b.String(), "\r\n"); n != lines || strings.Count(b.String(), "\n") != n {
			t.Errorf("%d headers are %d lines", lines, n)
		}
	})
}
