package xblsim_test

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/invitedhq/invited/xbl/xblsim"
)

// discard is a ResponseWriter without the cost of keeping the answer.
type discard struct{ header http.Header }

func (d discard) Header() http.Header         { return d.header }
func (d discard) Write(b []byte) (int, error) { return len(b), nil }
func (d discard) WriteHeader(int)             {}

// BenchmarkInvite is a call to 16 players, without the network: the share of the simulator in a load test.
func BenchmarkInvite(b *testing.B) {
	sim := xblsim.New(xblsim.Options{Quota: quota(b, "1000000000/15s,1000000000/300s")})
	var calls atomic.Uint64
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		header := http.Header{
			"Authorization":          {"XBL3.0 x=1;" + strings.Repeat("t", 1500)},
			"Content-Type":           {"application/json"},
			"X-Xbl-Contract-Version": {"1"},
		}
		var body []byte
		for pb.Next() {
			n := player + 16*(calls.Add(1)%100_000)
			body = append(body[:0], `{"invitedUsers":[`...)
			for i := range uint64(16) {
				body = fmt.Appendf(body, `"%d",`, n+i)
			}
			body = append(body[:len(body)-1], "]}"...)
			sim.ServeHTTP(discard{http.Header{}}, &http.Request{
				Method: http.MethodPost,
				URL:    &url.URL{Path: "/titles/1/invites"},
				Header: header,
				Body:   io.NopCloser(bytes.NewReader(body)),
			})
		}
	})
	if sent := sim.Ledger().Recipients; sent != 16*b.N {
		b.Fatalf("%d recipients recorded, not %d", sent, 16*b.N)
	}
}
