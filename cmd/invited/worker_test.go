package main

import (
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/invitedhq/invited/configs"
	"github.com/invitedhq/invited/queue"
	"github.com/invitedhq/invited/queue/embedded"
	"github.com/invitedhq/invited/queue/embedded/embeddedtest"
	"github.com/invitedhq/invited/xbl/xblsim"
)

func workerConfig(t *testing.T, api string) configs.Config {
	t.Helper()
	cfg := configs.Default()
	cfg.NATS.Embedded.Listen, cfg.NATS.Embedded.DataDir = "127.0.0.1:0", t.TempDir()
	cfg.XBL.BaseURL = api
	cfg.Tokens.Static.Authorization = configs.NewSecret("XBL3.0 x=hash;s3cret")
	cfg.Admin.Listen = embeddedtest.FreeAddress(t)
	return cfg
}

// begin runs a worker until the test ends or stop is called.
func begin(t *testing.T, cfg configs.Config) (w *worker, stop func()) {
	t.Helper()
	w = newWorker(cfg, slog.New(slog.DiscardHandler))
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context())) // a cleanup stops it, in order
	ended := make(chan error, 1)
	go func() { ended <- w.run(ctx) }()
	stopped := false
	stop = func() {
		if !stopped {
			stopped = true
			cancel()
			require.NoError(t, <-ended)
		}
	}
	t.Cleanup(stop)
	return w, stop
}

func TestAWorkerWaitsForNATSAndSaysSo(t *testing.T) {
	sim := httptest.NewServer(xblsim.New(xblsim.Options{}))
	defer sim.Close()
	defer http.DefaultClient.CloseIdleConnections()
	cfg := workerConfig(t, sim.URL)
	address := embeddedtest.FreeAddress(t)
	cfg.NATS.URL = configs.NewURL("nats://" + address)
	w, stop := begin(t, cfg)
	admin := "http://" + cfg.Admin.Listen

	require.Eventually(t, func() bool { return answers(t, admin+"/readyz", http.StatusServiceUnavailable) }, 30*time.Second, 20*time.Millisecond,
		"not ready without NATS")
	require.True(t, answers(t, admin+"/livez", http.StatusOK), "but alive: a restart would not help")

	nats := embeddedtest.StartWith(t, embedded.Options{Listen: address})
	<-w.started
	require.True(t, answers(t, admin+"/readyz", http.StatusOK))

	nats.Shutdown()
	require.Eventually(t, func() bool { return answers(t, admin+"/readyz", http.StatusServiceUnavailable) }, 30*time.Second, 20*time.Millisecond,
		"not ready once NATS is gone")
	require.True(t, answers(t, admin+"/livez", http.StatusOK))
	stop()
}

func TestAWorkerThatIsToldToStopWhileItWaitsForNATSStops(t *testing.T) {
	cfg := workerConfig(t, "http://127.0.0.1:1")
	cfg.NATS.URL = configs.NewURL("nats://" + embeddedtest.FreeAddress(t))
	_, stop := begin(t, cfg)
	require.Eventually(t, func() bool { return answers(t, "http://"+cfg.Admin.Listen+"/livez", http.StatusOK) }, 30*time.Second, 20*time.Millisecond)
	http.DefaultClient.CloseIdleConnections()
	begun := time.Now()
	stop()
	assert.Less(t, time.Since(begun), 3*time.Second)
}

func TestAWorkerRefusesStreamsThatAreNotAsTheyMustBe(t *testing.T) {
	cfg := workerConfig(t, "http://127.0.0.1:1")
	nats := embeddedtest.StartWith(t, embedded.Options{Listen: embeddedtest.FreeAddress(t)})
	conn := embeddedtest.Connect(t, nats)
	_, err := conn.Request("$JS.API.STREAM.CREATE.INVITES",
		[]byte(`{"name":"INVITES","subjects":["invites.jobs.*.*"],"retention":"limits","storage":"file","num_replicas":1}`), 5*time.Second)
	require.NoError(t, err)
	cfg.NATS.URL = configs.NewURL(nats.ClientURL())
	err = newWorker(cfg, slog.New(slog.DiscardHandler)).run(t.Context())
	require.Error(t, err, "waiting would not mend it")
	assert.Contains(t, err.Error(), "INVITES")
	assert.Contains(t, err.Error(), "retention")
}

func TestJobsSurviveARestartWithTheEmbeddedServer(t *testing.T) {
	simulator := xblsim.New(xblsim.Options{})
	sim := httptest.NewServer(simulator)
	defer sim.Close()
	cfg := workerConfig(t, sim.URL)
	cfg.Tokens.Static.Authorization = configs.NewSecret("") // so that nothing is sent
	w, stop := begin(t, cfg)
	<-w.started
	publisher, err := queue.NewPublisher(w.conn)
	require.NoError(t, err)
	for i := range queue.XUID(20) {
		_, err := publisher.Publish(t.Context(), queue.Address{TitleID: 730, Sender: "ada"}, queue.Job{InvitedUsers: []queue.XUID{i + 1}})
		require.NoError(t, err)
	}
	stop()
	assert.Zero(t, simulator.Ledger().Calls)

	cfg.Tokens.Static.Authorization = configs.NewSecret("XBL3.0 x=hash;s3cret")
	cfg.Admin.Listen = embeddedtest.FreeAddress(t)
	_, stop = begin(t, cfg)
	require.Eventually(t, func() bool { return simulator.Ledger().Unique == 20 }, 20*time.Second, 20*time.Millisecond)
	stop()
	assert.Zero(t, simulator.Ledger().Duplicates)
}

func answers(t *testing.T, url string, status int) bool {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	require.NoError(t, err)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return false
	}
	defer resp.Body.Close()
	return resp.StatusCode == status
}
