//go:build prometheus

package monitoring

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/invitedhq/invited/cmd/internal/harness"
	"github.com/invitedhq/invited/queue"
)

const title = 730

// TestAnOutageIsSeenAndSoIsItsEnd is the whole way: calls that fail, counters, a scrape, a rule, an alert. While all is well it also
// asks what the dashboards ask, and each panel has something to show.
func TestAnOutageIsSeenAndSoIsItsEnd(t *testing.T) {
	var programs harness.Programs
	t.Cleanup(programs.Remove)
	sim := programs.Sim(t, "--latency", "5ms")
	options := harness.WorkerOptions{
		API: sim.URL, Quota: "20/1s,600/60s", Config: "dispatch: {retry: {initial: 200ms, max: 1s}}",
	}
	first := programs.Worker(t, options)
	options.NATS = first.NATS
	second := programs.Worker(t, options)
	publish(t, first.NATS)
	p := startPrometheus(t, first, second)

	began := time.Now()
	logf := func(format string, args ...any) {
		t.Logf("%5.1f s  %s", time.Since(began).Seconds(), fmt.Sprintf(format, args...))
	}
	harness.Until(t, 30*time.Second, "invites flow, and no alert fires", func() bool {
		return p.answers(`sum(rate(invited_calls_total{result="sent"}[5s])) > 0`) == 1 && len(p.firing()) == 0
	})
	logf("invites flow from %d workers, and no alert fires", len(p.ask("up == 1")))
	dashboards := queriesOfDashboards(t)
	missing, late := dashboards, time.Now().Add(15*time.Second)
	harness.Until(t, 20*time.Second, "each panel was asked for", func() bool {
		missing = p.withoutData(missing)
		return len(missing) == 0 || time.Now().After(late)
	})
	require.Empty(t, missing, "these queries of dashboards have no data")
	logf("each of the %d queries of the dashboards has data", len(dashboards))
	harness.Until(t, 30*time.Second, "no alert fires", func() bool { return len(p.firing()) == 0 })

	sim.SetFaults(`{"outage":true}`)
	logf("the API is away")
	harness.Until(t, 30*time.Second, "InvitedAPIOutage fires", func() bool { return p.firing()["InvitedAPIOutage"] != "" })
	logf("InvitedAPIOutage fires: %s", p.firing()["InvitedAPIOutage"])
	assert.Regexp(t, `^The API does not answer for title 730: \d+ calls failed`, p.firing()["InvitedAPIOutage"])

	sim.SetFaults(`{}`)
	logf("the API is back")
	harness.Until(t, 30*time.Second, "no alert fires", func() bool { return len(p.firing()) == 0 })
	logf("no alert fires")
}

// publish has a player invited, and a campaign's job published, five times a second until the test ends.
func publish(t *testing.T, natsURL string) {
	t.Helper()
	conn, err := queue.Connect(queue.ConnectOptions{URL: natsURL, Name: "producer", Logger: slog.New(slog.DiscardHandler)})
	require.NoError(t, err)
	publisher, err := queue.NewPublisher(conn)
	require.NoError(t, err)
	ctx, stop := context.WithCancel(t.Context())
	var ended sync.WaitGroup
	ended.Go(func() {
		again := time.NewTicker(200 * time.Millisecond)
		defer again.Stop()
		for x := queue.XUID(2533274790000000); ; x++ {
			j := queue.Job{InvitedUsers: []queue.XUID{x}, ConnectionString: "lobby"}
			for _, to := range []queue.Address{{TitleID: title, Sender: "ada"}, {TitleID: title, Sender: "cup", Campaign: "spring"}} {
				if _, err := publisher.Publish(ctx, to, j); err != nil && ctx.Err() == nil {
					t.Errorf("a job must be stored: %v", err)
				}
			}
			select {
			case <-again.C:
			case <-ctx.Done():
				return
			}
		}
	})
	t.Cleanup(func() {
		stop()
		ended.Wait()
		conn.Close()
	})
}

// queriesOfDashboards are what the panels ask, as Grafana would ask it of this test's title.
func queriesOfDashboards(t *testing.T) (queries []string) {
	t.Helper()
	files, err := filepath.Glob(deploy + "grafana/dashboards/*.json")
	require.NoError(t, err)
	require.Len(t, files, 2)
	fill := strings.NewReplacer("$title", fmt.Sprint(title), "$__rate_interval", "5s")
	for _, file := range files {
		var d struct {
			Panels []struct {
				Title   string
				Targets []struct{ Expr string }
			}
		}
		content, err := os.ReadFile(file)
		require.NoError(t, err)
		require.NoError(t, json.Unmarshal(content, &d))
		for _, panel := range d.Panels {
			require.NotEmpty(t, panel.Targets, "%s: %s", file, panel.Title)
			for _, target := range panel.Targets {
				queries = append(queries, fill.Replace(target.Expr))
			}
		}
	}
	return queries
}

func (p *prometheus) withoutData(queries []string) (missing []string) {
	p.t.Helper()
	for _, q := range queries {
		if p.answers(q) == 0 {
			missing = append(missing, q)
		}
	}
	return missing
}
