package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/invitedhq/invited/cmd/internal/harness"
	"github.com/invitedhq/invited/queue"
)

// newsOf opens a page's stream, until the test ends, and returns its news.
func newsOf(t *testing.T, url string) *bufio.Scanner {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, http.NoBody)
	require.NoError(t, err)
	answer, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	t.Cleanup(func() { answer.Body.Close() })
	require.Equal(t, "text/event-stream", answer.Header.Get("Content-Type"))
	lines := bufio.NewScanner(answer.Body)
	lines.Buffer(nil, 1<<20)
	return lines
}

// TestEitherWorkersConsoleShowsBothAndWhoWaitsAtEither has senders at each of two workers who wait for something.
func TestEitherWorkersConsoleShowsBothAndWhoWaitsAtEither(t *testing.T) {
	const player = "2533274790395904"
	nats := programs.NATS(t)
	sim := programs.Sim(t, "--quota", "1000/15s")
	options := harness.WorkerOptions{NATS: nats.URL(), API: sim.URL, Quota: "1000/15s", Tokens: harness.WriteTokens(t, "ada")}
	first, second := programs.Worker(t, options), programs.Worker(t, options)
	conn := nats.Connect(t)
	publisher, err := queue.NewPublisher(conn)
	require.NoError(t, err)
	for n := range 20 { // their partitions are spread over both
		a := queue.Address{TitleID: 730, Sender: fmt.Sprint("tokenless-", n), Campaign: "cup"}
		_, err := publisher.Publish(t.Context(), a, queue.Job{InvitedUsers: []queue.XUID{1, 2, 3}})
		require.NoError(t, err)
	}
	_, err = publisher.Publish(t.Context(), queue.Address{TitleID: 730, Sender: "ada"}, queue.Job{InvitedUsers: []queue.XUID{2533274790395904}})
	require.NoError(t, err)

	lines := newsOf(t, first.Admin+"/events/")
	waits := regexp.MustCompile(`Sender (tokenless-\d+), title 730: there is no token since`)
	senders := make(map[string]bool)
	workers := 0
	for len(senders) < 12 && lines.Scan() { // eight of each worker are told of
		if found := waits.FindStringSubmatch(lines.Text()); found != nil {
			senders[found[1]] = true
		}
		if strings.Contains(lines.Text(), "this one") {
			workers++
		}
	}
	assert.GreaterOrEqual(t, len(senders), 12, "those of the other worker are among them")
	assert.Positive(t, workers)

	name := regexp.MustCompile(`<th scope="row"><bdi>([a-z0-9-]+)</bdi>( <span class="tag">this one</span>)?`)
	var own []string
	for _, w := range []*harness.Worker{first, second} {
		var all []string
		harness.Until(t, 30*time.Second, "each page lists both workers", func() bool {
			_, page := harness.Get(t, w.Admin+"/")
			all = nil
			_, list, _ := strings.Cut(page, `id="workers"`)
			list, _, _ = strings.Cut(list, `id="dead"`)
			for _, found := range name.FindAllStringSubmatch(list, -1) {
				all = append(all, found[1])
				if found[2] != "" {
					own = append(own, found[1])
				}
			}
			return len(all) == 2
		})
		harness.Until(t, 30*time.Second, "its page says that a job was sent, whichever worker sent it", func() bool {
			status, page := harness.Get(t, w.Admin+"/job?id=INVITES:1")
			assert.NotContains(t, page, player)
			return status == http.StatusOK && strings.Contains(page, "All of its recipients were sent.")
		})
	}
	assert.NotEqual(t, own[0], own[len(own)-1], "each says which it is itself")

	first.Stop()
	for lines.Scan() { // what came before it stopped
	}
	assert.NotErrorIs(t, lines.Err(), context.Canceled, "its open pages end with it, and not with this test")
	harness.Until(t, 30*time.Second, "who stopped is gone", func() bool {
		_, page := harness.Get(t, second.Admin+"/")
		return !strings.Contains(page, own[0])
	})
}

// TestInServerModeNoPageNamesASender as senders are players there: neither in words nor in an address.
func TestInServerModeNoPageNamesASender(t *testing.T) {
	const player = "2533274790395904"
	sim := programs.Sim(t)
	w := programs.Worker(t, harness.WorkerOptions{API: sim.URL, Admin: "actions: true", XBL: "audience: server"})
	conn, err := queue.Connect(queue.ConnectOptions{URL: w.NATS, Name: "producer"})
	require.NoError(t, err)
	defer conn.Close()
	publisher, err := queue.NewPublisher(conn)
	require.NoError(t, err)
	_, err = publisher.Publish(t.Context(), queue.Address{TitleID: 730, Sender: player, Campaign: "cup"}, queue.Job{InvitedUsers: []queue.XUID{7}})
	require.NoError(t, err)

	link := regexp.MustCompile(`href="(/campaigns/730/~[0-9a-f]+/cup)"`)
	var found []string
	harness.Until(t, 30*time.Second, "the campaign is listed", func() bool {
		_, list := harness.Get(t, w.Admin+"/campaigns")
		found = link.FindStringSubmatch(list)
		return found != nil
	})
	for _, path := range []string{"/campaigns", found[1], found[1] + "/pause", "/", "/job?id=INVITE_CAMPAIGNS:1"} {
		status, page := harness.Get(t, w.Admin+path)
		assert.Equal(t, http.StatusOK, status, path)
		assert.NotContains(t, page, player, path)
		assert.NotContains(t, page, player[:13], path)
	}
	status, _ := harness.Get(t, w.Admin+"/campaigns/730/~0000/cup")
	assert.Equal(t, http.StatusNotFound, status)
}

// TestTenOpenConsolesMakeNoConsumer as each would be a burden for the server.
func TestTenOpenConsolesMakeNoConsumer(t *testing.T) {
	w := programs.Worker(t, harness.WorkerOptions{API: programs.Sim(t).URL})
	conn, err := queue.Connect(queue.ConnectOptions{URL: w.NATS, Name: "test"})
	require.NoError(t, err)
	defer conn.Close()
	consumers := func() (n int) {
		for _, stream := range []string{
			queue.JobsStream, queue.CampaignsStream, queue.DeadStream, queue.ResultsStream,
			queue.ProgressStream, queue.KeysStream, queue.WorkersStream, queue.ControlStream,
		} {
			answer, err := conn.Request("$JS.API.STREAM.INFO."+stream, nil, 5*time.Second)
			require.NoError(t, err)
			var info struct {
				State struct {
					Consumers int `json:"consumer_count"`
				} `json:"state"`
			}
			require.NoError(t, json.Unmarshal(answer.Data, &info))
			n += info.State.Consumers
		}
		return n
	}
	harness.Until(t, 30*time.Second, "each partition has its consumer", func() bool { return consumers() == 16 })
	var open []*bufio.Scanner
	for n := range 10 {
		open = append(open, newsOf(t, w.Admin+"/events"+[]string{"/", "/campaigns"}[n%2]))
	}
	for _, lines := range open {
		for events := 0; events < 3 && lines.Scan(); {
			if lines.Text() == "" {
				events++
			}
		}
		require.NoError(t, lines.Err())
	}
	assert.Equal(t, 16, consumers())
	for _, path := range []string{"/dead", "/job?id=mine", "/dead?campaign=cup"} {
		harness.Get(t, w.Admin+path)
	}
	assert.Equal(t, 16, consumers(), "nor do pages that are looked at")
}
