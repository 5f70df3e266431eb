package main

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/invitedhq/invited/cmd/internal/cli"
	"github.com/invitedhq/invited/cmd/internal/harness"
	"github.com/invitedhq/invited/dispatcher"
	"github.com/invitedhq/invited/dispatcher/plan"
	"github.com/invitedhq/invited/queue"
	"github.com/invitedhq/invited/xbl"
	"github.com/invitedhq/invited/xbl/xblsim"
)

// service is a simulated API over loopback.
func service(t *testing.T, o xblsim.Options) (sim *xblsim.Server, url string) {
	t.Helper()
	sim = xblsim.New(o)
	server := httptest.NewServer(sim)
	t.Cleanup(server.Close)
	return sim, server.URL
}

// serve runs a worker without a quota that calls the API, until the test ends.
func serve(t *testing.T, conn *nats.Conn, api string) {
	t.Helper()
	log := slog.New(slog.DiscardHandler)
	q, err := queue.Open(t.Context(), conn, queue.Options{Logger: log})
	require.NoError(t, err)
	client, err := xbl.NewClient(xbl.Options{BaseURL: api, Tokens: xbl.Static(harness.Token)})
	require.NoError(t, err)
	d := dispatcher.New(dispatcher.Config{
		Plan: plan.Config{
			Limits: plan.Limits{MaxInFlight: 4}, MaxInFlight: 256, MaxAttempts: 8,
			Retry: dispatcher.Retries(time.Second, time.Minute), Probe: dispatcher.Probes(),
		},
		InteractiveTTL: 5 * time.Minute, AckWait: 30 * time.Second, Grace: 5 * time.Second, Logger: log,
	}, client, q, q, nobody{})
	ctx, stop := context.WithCancel(t.Context())
	var both sync.WaitGroup
	both.Go(func() { assert.NoError(t, q.Consume(ctx, d)) })
	both.Go(func() { assert.NoError(t, d.Run(ctx)) })
	t.Cleanup(func() {
		stop()
		both.Wait()
		q.Close()
		client.CloseIdleConnections()
	})
}

// nobody observes.
type nobody struct{}

func (nobody) JobDelivered(queue.Lane, bool)  {}
func (nobody) CallEnded(dispatcher.CallEnded) {}
func (nobody) JobEnded(dispatcher.JobEnded)   {}

// measure runs a bench and reads its figures.
func measure(t *testing.T, want int, args ...string) (r benchReport) {
	t.Helper()
	status, out, errOut := run(t, append([]string{"bench", "--title", "730", "--json"}, args...)...)
	require.Equal(t, want, status, "%s%s", out, errOut)
	require.NoError(t, json.Unmarshal([]byte(out), &r))
	return r
}

const firstPlayer = "2533274790000000"

func TestABenchOfWorkersSaysWhatTheirAPISays(t *testing.T) {
	conn, url := emptyQueue(t)
	sim, api := service(t, xblsim.Options{})
	serve(t, conn, api)

	r := measure(t, cli.Done, "--nats-url", url, "--yes-send", "--xuids-from", firstPlayer, "--senders", "4", "--jobs", "300", "--recipients", "1-8")
	ledger := sim.Ledger()
	assert.True(t, r.Complete)
	assert.Equal(t, 300, r.Published.N)
	assert.Equal(t, 300, r.Ended.N)
	assert.Equal(t, ledger.Recipients, r.Recipients.N)
	assert.Equal(t, ledger.Recipients, ledger.Unique, "each player once")
	assert.GreaterOrEqual(t, r.Attempts, ledger.Calls, "jobs that share a call count it each")
	assert.Nil(t, r.Calls, "they share calls, and nobody but the worker knows how many there were")
	assert.Positive(t, r.Latency.P50)
	assert.LessOrEqual(t, r.Latency.P50, r.Latency.P99)
	assert.LessOrEqual(t, r.Latency.Max, r.Ended.Seconds)

	r = measure(t, cli.Done, "--nats-url", url, "--yes-send", "--xuids-from", "2533274791000000", "--jobs", "100", "--campaign", "staging")
	assert.Equal(t, sim.Ledger().Calls-ledger.Calls, r.Calls.N, "full calls are counted")
	assert.InDelta(t, 16, r.PerCall, 0)
	assert.Zero(t, sim.Ledger().Duplicates)
}

func TestABenchSaysWhoWasRefusedAndFails(t *testing.T) {
	conn, url := emptyQueue(t)
	_, api := service(t, xblsim.Options{Faults: xblsim.Faults{RefusedXUIDs: []uint64{2533274790000005}}})
	serve(t, conn, api)
	r := measure(t, cli.Failed, "--nats-url", url, "--yes-send", "--xuids-from", firstPlayer, "--jobs", "10")
	assert.False(t, r.Complete)
	assert.Equal(t, counts{"rejected": 1}, r.Dead)
	assert.Equal(t, 159, r.Recipients.N)
	assert.Equal(t, 10, r.Ended.N)
}

func TestABenchKeepsToItsRateAndItsTime(t *testing.T) {
	conn, url := emptyQueue(t)
	_, api := service(t, xblsim.Options{})
	serve(t, conn, api)
	slow := []string{"--nats-url", url, "--yes-send", "--xuids-from", firstPlayer, "--recipients", "2"}
	r := measure(t, cli.Done, append(slow, "--rate", "100/s", "--jobs", "20")...)
	assert.GreaterOrEqual(t, r.Published.Seconds, 0.38, "38 recipients come before the last job's")
	r = measure(t, cli.Done, append(slow, "--rate", "1/s", "--duration", "2s")...)
	assert.Equal(t, 1, r.Published.N, "the next would be due when the time is over")
}

func TestABenchPublishesNoMoreThanMayWait(t *testing.T) {
	t.Parallel()
	_, url := emptyQueue(t)
	r := measure(t, cli.Failed, "--nats-url", url, "--yes-send", "--xuids-from", firstPlayer, "--waiting", "3", "--patience", "1s")
	assert.Equal(t, 3, r.Published.N)
}

func TestABenchOfAnAPISaysWhatItWasAnswered(t *testing.T) {
	sim, api := service(t, xblsim.Options{})
	direct := []string{"--api", api, "--token-file", tokenFile(t), "--connections", "8", "--xuids-from", firstPlayer}
	r := measure(t, cli.Done, append(direct, "--jobs", "200", "--recipients", "1-16")...)
	assert.Equal(t, sim.Ledger().Calls, r.Calls.N)
	assert.Equal(t, sim.Ledger().Recipients, r.Recipients.N)
	assert.Equal(t, 200, r.Calls.N)

	sim.SetFaults(xblsim.Faults{ExpiredTokens: []string{xblsim.TokenKey(harness.Token)}})
	status, out, errOut := run(t, append([]string{"bench", "--title", "730"}, direct...)...)
	assert.Equal(t, cli.Failed, status)
	assert.Contains(t, out, "stopped: the token was refused")
	assert.NotContains(t, out+errOut, "s3cret")
}

// tokenFile is a file with a token for the simulator.
func tokenFile(t *testing.T) (name string) {
	t.Helper()
	name = filepath.Join(t.TempDir(), "token")
	require.NoError(t, os.WriteFile(name, []byte(harness.Token+"\n"), 0o600))
	return name
}

func TestABenchWaitsAsLongAsTheAPISays(t *testing.T) {
	t.Parallel()
	sim, api := service(t, xblsim.Options{Quota: []xblsim.Window{{Max: 3, Per: time.Hour}}})
	r := measure(t, cli.Failed, "--api", api, "--token-file", tokenFile(t), "--connections", "2", "--xuids-from", firstPlayer, "--patience", "1s")
	assert.Equal(t, 3, r.Calls.N)
	assert.Equal(t, counts{"throttled": 2}, r.NotSent, "one by each connection, which waits then")
	assert.Contains(t, r.Why, "no call was sent for 1s")
	assert.Equal(t, 5, sim.Ledger().Calls)
}

func TestABenchNeverCallsXboxLive(t *testing.T) {
	t.Setenv(envAuthorization, harness.Token)
	for _, api := range []string{
		xbl.DefaultBaseURL, "https://MultiplayerActivity.XboxLive.com", "https://multiplayeractivity.xboxlive.com.:443/", "https://xboxlive.com", "https://a.b.xboxlive.com",
	} {
		status, out, errOut := run(t, "bench", "--title", "730", "--xuids-from", firstPlayer, "--api", api, "--yes-send")
		assert.Equal(t, cli.WrongUse, status, api)
		assert.Empty(t, out)
		assert.Contains(t, errOut, "is Xbox Live; bench is for staging endpoints only")
	}
}

func TestABenchThatNobodyHasAgreedToPublishesNothing(t *testing.T) {
	conn, url := emptyQueue(t)
	status, _, errOut := run(t, "bench", "--title", "730", "--xuids-from", firstPlayer, "--nats-url", url)
	assert.Equal(t, cli.WrongUse, status)
	assert.Contains(t, errOut, "--yes-send says that the workers there call a staging endpoint")

	at := programs.Terminal(t, 160, 24, nil, harness.Invitectl, "bench", "--title", "730", "--xuids-from", firstPlayer, "--nats-url", url)
	assert.Contains(t, at.Await(`\[y/N\]`), "1,000 jobs of 16 recipients, title 730, sender default, to 2533274790000000 and the players after it.")
	at.Type("n\r")
	assert.Equal(t, cli.Failed, at.End())
	assert.Contains(t, at.Screen(), "nothing was sent")
	assert.Zero(t, queued(t, conn))
}

func queued(t *testing.T, conn *nats.Conn) (jobs int) {
	t.Helper()
	reader, err := queue.NewReader(conn)
	require.NoError(t, err)
	seen, err := reader.Overview(t.Context())
	require.NoError(t, err)
	for _, lane := range seen.Lanes {
		jobs += lane.Jobs
	}
	return jobs
}

func TestABenchThatIsStoppedPrintsItsFiguresSoFar(t *testing.T) {
	conn, url := emptyQueue(t)
	worker := work(t, conn)
	bench := background(t, "bench", "--title", "730", "--xuids-from", firstPlayer, "--jobs", "5", "--json", "--yes-send", "--nats-url", url)
	worker.end(2, 0)
	harness.Until(t, 30*time.Second, "the others wait", func() bool { return queued(t, conn) == 3 })
	bench.ctrlC()
	var r benchReport
	require.NoError(t, json.Unmarshal([]byte(bench.line()), &r))
	assert.Equal(t, cli.Failed, <-bench.status)
	assert.Equal(t, "stopped before its end", r.Why)
	assert.Equal(t, 5, r.Published.N)
	assert.Equal(t, 3, r.NoResult)
}

func TestABenchShowsWhoeverSitsThereHowItGetsOn(t *testing.T) {
	conn, url := emptyQueue(t)
	worker := work(t, conn)
	at := programs.Terminal(t, 100, 24, nil, harness.Invitectl, "bench", "--title", "730", "--xuids-from", firstPlayer, "--jobs", "5", "--yes-send",
		"--nats-url", url)
	worker.end(2, 0)
	at.Await(`2 of 5 jobs ended, \d+/s`)
	at.Type("\x03")
	assert.Equal(t, cli.Failed, at.End())
	assert.Regexp(t, `jobs ended +2 `, at.Screen())
	assert.Contains(t, at.Screen(), "stopped before its end")
	assert.NotContains(t, at.Screen(), "2 of 5", "what was only for the time it ran is gone")
}

func TestABenchFindsTheResultsThatCameWhileItsConnectionWasLost(t *testing.T) {
	conn, url := emptyQueue(t)
	worker := work(t, conn)
	network := harness.NewProxy(t, strings.TrimPrefix(url, "nats://"))
	bench := background(t, "bench", "--title", "730", "--xuids-from", firstPlayer, "--jobs", "5", "--json", "--yes-send",
		"--nats-url", "nats://"+network.Address)
	worker.end(2, 0)
	harness.Until(t, 30*time.Second, "all are published", func() bool { return queued(t, conn) == 3 })
	network.Refuse()
	worker.end(3, 0)
	network.Heal()
	var r benchReport
	require.NoError(t, json.Unmarshal([]byte(bench.line()), &r))
	assert.Equal(t, cli.Done, <-bench.status)
	assert.Equal(t, 5, r.Ended.N)
}

func TestABenchWithoutWorkersGivesUp(t *testing.T) {
	t.Parallel()
	_, url := emptyQueue(t)
	r := measure(t, cli.Failed, "--nats-url", url, "--yes-send", "--xuids-from", firstPlayer, "--jobs", "3", "--patience", "1s")
	assert.Contains(t, r.Why, "given up: nothing has ended for 1s")
	assert.Equal(t, 3, r.NoResult)
	assert.Zero(t, r.Ended.N)
}

func TestABenchThatCantPublishSaysWhy(t *testing.T) {
	_, url := emptyQueue(t)
	conn, err := nats.Connect(url)
	require.NoError(t, err)
	defer conn.Close()
	_, err = conn.Request("$JS.API.STREAM.DELETE.INVITES", nil, 5*time.Second)
	require.NoError(t, err)
	r := measure(t, cli.Failed, "--nats-url", url, "--yes-send", "--xuids-from", firstPlayer, "--jobs", "3")
	assert.Contains(t, r.Why, queue.ErrNoQueue.Error())
	assert.Zero(t, r.Published.N)
}

func TestALoadIsTheSameEachTime(t *testing.T) {
	l := load{least: 2, most: 4, players: players{from: 100}}
	next := queue.XUID(100)
	for n, size := range []int{2, 3, 4, 2, 3, 4, 2} {
		users := l.recipients(n)
		require.Len(t, users, size)
		for _, x := range users {
			require.Equal(t, next, x, "each player once, in order")
			next++
		}
	}
	l = load{least: 2, most: 2, players: players{list: []queue.XUID{7, 8, 9}}}
	assert.Equal(t, []queue.XUID{9, 7}, l.recipients(1), "a file is begun again")
}

func TestALatencyIsOneThatWasMeasured(t *testing.T) {
	var took []time.Duration
	for ms := range 200 {
		took = append([]time.Duration{time.Duration(ms+1) * time.Millisecond}, took...)
	}
	assert.Equal(t, latency{P50: 0.1, P90: 0.18, P99: 0.198, Max: 0.2}, latencyOf(took))
	assert.Equal(t, latency{P50: 0.001, P90: 0.001, P99: 0.001, Max: 0.001}, latencyOf([]time.Duration{time.Millisecond}))
	assert.Zero(t, latencyOf(nil))
}

func TestGoldenBench(t *testing.T) {
	took := latency{P50: 0.0021, P90: 0.0038, P99: 0.0124, Max: 1.25}
	workers := &load{
		addresses: []queue.Address{{TitleID: 730, Sender: "bench-1"}, {TitleID: 730, Sender: "bench-2"}}, least: 16, most: 16, jobs: 20_000,
		players: players{from: 2533274790000000},
	}
	shared := &load{
		addresses: []queue.Address{{TitleID: 730, Sender: "cup", Campaign: "staging"}}, least: 1, most: 8, jobs: 5000, duration: 30 * time.Second,
		rate: 2000, players: players{list: make([]queue.XUID, 1200)},
	}
	published, ended, calls := ratedOf(20_000, 2*time.Second), ratedOf(20_000, 4*time.Second), ratedOf(20_000, 4*time.Second)
	some, fewer := ratedOf(5000, 30*time.Second), ratedOf(4990, 31*time.Second)
	var text strings.Builder
	for _, r := range []benchReport{
		{Load: workers.inWords(), Complete: true, Published: &published, Ended: &ended, Calls: &calls, PerCall: 16, Attempts: 20_000,
			Recipients: ratedOf(320_000, 4*time.Second), Latency: took},
		{Load: shared.inWords(), Why: "stopped before its end", Published: &some, Ended: &fewer, NotStored: 2, NoResult: 10, Attempts: 5100,
			Recipients: ratedOf(22_440, 31*time.Second), Dead: counts{"rejected": 12, "expired": 3}, MaybeTwice: 4, Latency: took},
		{Load: workers.inWords(), Why: "the last call that was not sent: 429", Calls: &calls, PerCall: 16, NotSent: counts{"throttled": 7, "transient": 1},
			Recipients: ratedOf(320_000, 4*time.Second), Latency: took},
	} {
		for _, asJSON := range []bool{false, true} {
			err := (&tool{out: &text, zone: time.UTC, json: asJSON}).printBench(r)
			assert.Equal(t, r.Complete, err == nil, "the status says whether all was sent")
			fmt.Fprintln(&text)
		}
	}
	requireGolden(t, "bench.golden", text.String())
}
