package main

import (
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/invitedhq/invited/cmd/internal/sources"
	"github.com/invitedhq/invited/configs"
	"github.com/invitedhq/invited/queue"
	"github.com/invitedhq/invited/xbl"
	"github.com/invitedhq/invited/xbl/xblsim"
)

func TestTheMetricsOfAWorkerLeadToTheTraceOfAJob(t *testing.T) {
	const trace = "4bf92f3577b34da6a3ce929d0e0e4736"
	sim := httptest.NewServer(xblsim.New(xblsim.Options{}))
	defer sim.Close()
	defer http.DefaultClient.CloseIdleConnections()
	cfg := workerConfig(t, sim.URL)
	cfg.Quota.Titles = map[uint32]configs.Title{1739947436: {}}
	w, stop := begin(t, cfg)
	<-w.started
	assert.Regexp(t, `(?m)^invited_calls_total\{result="throttled",title="1739947436"\} 0`, scraped(t, w), "quota.titles names it")

	publisher, err := queue.NewPublisher(w.conn)
	require.NoError(t, err)
	_, err = publisher.Publish(t.Context(), queue.Address{TitleID: 730, Sender: "ada"}, queue.Job{InvitedUsers: []queue.XUID{1}},
		queue.WithTraceparent("00-"+trace+"-00f067aa0ba902b7-01"))
	require.NoError(t, err)

	for _, line := range []string{
		`(?m)^invited_call_duration_seconds_bucket\{title="730",le="\S+"\} 1 # \{.*trace_id="` + trace + `"`,
		`(?m)^invited_delivery_seconds_bucket\{lane="interactive",le="\S+"\} 1 # \{.*trace_id="` + trace + `"`,
		`(?m)^go_goroutines `, `(?m)^process_start_time_seconds `,
	} {
		require.EventuallyWithT(t, func(c *assert.CollectT) { assert.Regexp(c, line, scraped(t, w)) }, 30*time.Second, 20*time.Millisecond)
	}
	assert.NotContains(t, scraped(t, w), "invited_token_expiry_timestamp_seconds", "a static token has no date")
	stop()
}

// dated stands for a token source that knows when its tokens end.
type dated struct {
	xbl.TokenSource
	at time.Time
}

func (d dated) EarliestExpiry() time.Time { return d.at }

func TestTheExpiryIsThatOfTheTokenSourceOfNow(t *testing.T) {
	at := time.Unix(1_800_000_000, 0)
	source := newReplaceable(&sources.Source{TokenSource: dated{at: at}})
	assert.Equal(t, at, source.EarliestExpiry())
	source.replace(&sources.Source{TokenSource: xbl.Static("XBL3.0 x=hash;s3cret")})
	assert.Zero(t, source.EarliestExpiry(), "it has no date")
	assert.Zero(t, source.CertificateEnds(), "and no certificate")
	source.replace(&sources.Source{TokenSource: dated{at: at.Add(time.Hour)}})
	assert.Equal(t, at.Add(time.Hour), source.EarliestExpiry())
}

// scraped is what Prometheus gets from a worker.
func scraped(t *testing.T, w *worker) string {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+w.adminAddress+"/metrics", nil)
	require.NoError(t, err)
	req.Header.Set("Accept", "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.3")
	resp, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	defer resp.Body.Close()
	require.Contains(t, resp.Header.Get("Content-Type"), "application/openmetrics-text")
	text, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	return string(text)
}
