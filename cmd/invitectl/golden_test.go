package main

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/spf13/cobra"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/invitedhq/invited/cmd/internal/cli"
	"github.com/invitedhq/invited/queue"
)

// The files in testdata are what invitectl prints, to be read as a person reads it. Written anew with:
//
//	go test ./cmd/invitectl -run Golden -update
var update = flag.Bool("update", false, "write what is printed now into testdata")

func requireGolden(t *testing.T, name, got string) {
	t.Helper()
	file := filepath.Join("testdata", name)
	if *update {
		require.NoError(t, os.MkdirAll("testdata", 0o750))
		require.NoError(t, os.WriteFile(file, []byte(got), 0o600))
	}
	want, err := os.ReadFile(file)
	require.NoError(t, err)
	assert.Equal(t, string(want), got, "%s; if it is meant, -update writes it anew", file)
}

// session is commands that follow each other, with what each prints and how it ends. Times are replaced, but for those after 2090.
type session struct {
	*testing.T
	url  string
	text strings.Builder
}

var (
	timeForPeople  = regexp.MustCompile(`20[0-8]\d-\d\d-\d\d \d\d:\d\d:\d\d UTC`)
	timeForScripts = regexp.MustCompile(`"20[0-8]\d-\d\d-\d\dT[\d:.]+Z"`)
	timeItTook     = regexp.MustCompile(`\d+(\.\d+)?(ms|µs|s) after`)
)

// run runs a command in the words that a shell would split.
func (s *session) run(line string) {
	s.Helper()
	status, out, errOut := run(s.T, append(strings.Fields(line), "--nats-url", s.url)...)
	fmt.Fprintf(&s.text, "$ invitectl %s\n%s", line, out)
	for l := range strings.Lines(errOut) {
		s.text.WriteString("2> " + l)
	}
	if status != cli.Done {
		fmt.Fprintf(&s.text, "status %d\n", status)
	}
	s.text.WriteString("\n")
}

func (s *session) requireGolden(name string) {
	s.Helper()
	text := timeForPeople.ReplaceAllString(s.text.String(), "2026-12-24 18:00:00 UTC")
	text = timeForScripts.ReplaceAllString(text, `"2026-12-24T18:00:00Z"`)
	requireGolden(s.T, name, timeItTook.ReplaceAllString(text, "12ms after"))
}

func TestGoldenHelp(t *testing.T) {
	var all strings.Builder
	var show func(cmd *cobra.Command, path []string)
	show = func(cmd *cobra.Command, path []string) {
		status, out, errOut := run(t, append(path, "--help")...)
		require.Equal(t, cli.Done, status)
		require.Empty(t, errOut)
		fmt.Fprintf(&all, "$ invitectl %s\n%s\n", strings.Join(append(path, "--help"), " "), out)
		for _, sub := range cmd.Commands() {
			show(sub, append(slices.Clip(path), sub.Name()))
		}
	}
	show((&tool{out: &bytes.Buffer{}, errOut: &bytes.Buffer{}}).command(), nil)
	requireGolden(t, "help.golden", all.String())
}

func TestGoldenCampaigns(t *testing.T) {
	for file, json := range map[string]string{"campaigns.golden": "", "campaigns-json.golden": " --json"} {
		t.Run(file, func(t *testing.T) {
			conn, url := emptyQueue(t)
			s := &session{T: t, url: url}
			campaignSession(s, conn, json)
			s.requireGolden(file)
		})
	}
}

func campaignSession(s *session, conn *nats.Conn, json string) {
	s.run("campaign ls" + json)
	s.run("campaign start cup --title 730 --sender ada --file testdata/players.csv --rate 100/m" + json)
	s.run("campaign start cup --title 730 --sender ada --file testdata/players.csv" + json)
	s.run("campaign start cup --title 730 --sender ada --file testdata/players.csv --rate 5/s" + json)
	s.run("campaign start cup --title 730 --sender ada --file testdata/others.txt --skip-bad" + json)
	s.run("campaign start league --title 730 --file testdata/others.txt" + json)
	s.run("campaign start league --title 730 --file testdata/others.txt --skip-bad --at 2099-12-24T18:00:00Z --expires 2099-12-25T18:00:00Z" + json)
	s.run("campaign ls" + json)
	s.run("campaign pause cup" + json)
	s.run("campaign pause cup" + json)
	s.run("campaign rate cup 5/s" + json)
	s.run("campaign rate cup none" + json)
	s.run("campaign status cup" + json)
	s.run("campaign resume cup" + json)
	s.run("campaign resume league" + json)
	s.run("campaign resume league --at now" + json)

	worker := work(s.T, conn)
	worker.endAllOf("cup", 63, s.url)
	worker.stop()
	s.run("campaign status cup" + json)
	s.run("campaign watch cup" + json)
	s.run("campaign pause cup" + json)
	s.run("campaign resume cup" + json)
	s.run("campaign resume cup --at +2h" + json)
	s.run("campaign rate cup 5/s" + json)
	s.run("campaign cancel cup" + json)

	s.run("campaign cancel league --no-wait" + json)
	s.run("campaign status league" + json)
	_, err := conn.Request("$JS.API.STREAM.PURGE.INVITE_CAMPAIGNS", []byte(`{"filter":"invites.campaigns.730.default.league"}`), 5*time.Second)
	require.NoError(s, err) // as if a worker had dropped its jobs
	s.run("campaign cancel league" + json)
	s.run("campaign watch league" + json)
	s.run("campaign resume league" + json)
	s.run("campaign start league --title 730 --file testdata/others.txt --skip-bad --expires 2099-12-25T18:00:00Z" + json)
	s.run("campaign ls" + json)
	s.run("campaign status nope" + json)
}

func TestGoldenDeadLetters(t *testing.T) {
	for file, json := range map[string]string{"dead.golden": "", "dead-json.golden": " --json"} {
		t.Run(file, func(t *testing.T) {
			_, url := deadLetters(t)
			s := &session{T: t, url: url}
			s.run("dead ls" + json)
			s.run("dead ls --all" + json)
			s.run("dead show --reason rejected" + json)
			s.run("dead replay --all --dry-run" + json)
			s.run("dead replay --all" + json)
			s.run("dead drop --reason expired" + json)
			s.run("dead ls --reason expired" + json)
			s.requireGolden(file)
		})
	}
}

func TestGoldenJobs(t *testing.T) {
	for file, json := range map[string]string{"jobs.golden": "", "jobs-json.golden": " --json"} {
		t.Run(file, func(t *testing.T) {
			conn, url := emptyQueue(t)
			s := &session{T: t, url: url}
			s.run("status" + json)
			s.run("send --title 730 --to 2533274790000001" + json)
			s.run("send --title 730 --to 2533274790000001 --id match-7" + json)
			s.run("send --title 730" + json)
			worker := work(t, conn)
			worker.end(2, 0)
			var ending sync.WaitGroup
			ending.Go(func() { worker.end(1, 1) })
			s.run("send --title 730 --to 2533274790000001,2533274790000002 --id match-8 --wait" + json)
			ending.Wait() // the result comes before the job is acknowledged
			worker.stop()
			s.run("results" + json)
			s.requireGolden(file)
		})
	}
}

func TestGoldenStatus(t *testing.T) {
	now := time.Date(2026, 11, 25, 17, 0, 0, 0, time.UTC)
	seen := queue.Overview{
		At: now, Campaigns: 3,
		Workers: []queue.WorkerSeen{
			{Name: "eu-1-k3v9q2xa", Since: now.Add(-26 * time.Hour), Owns: 5}, {Name: "eu-2-0c8w1mzp", Since: now.Add(-90 * time.Second), Leaving: true, Owns: 1},
			{Name: "hostile\x1b[31m"}, // of an earlier version: it does not say since when
		},
		Lanes: []queue.LaneSeen{{Lane: queue.Interactive, Jobs: 12, Oldest: now.Add(-4 * time.Second)}, {Lane: queue.Bulk, Jobs: 6250, Oldest: now.Add(-time.Hour)}},
		Dead:  []queue.ReasonCount{{Reason: queue.Rejected, Letters: 1200}, {Reason: queue.Expired, Letters: 3}},
		NoToken: []queue.LackingKey{
			{TitleID: 730, Sender: "ada", Since: now.Add(-90 * time.Minute), Why: `token of sender "ada" is missing: the token broker answered 404`},
			{TitleID: 1739947436, Sender: "cup-bot", Since: now.Add(-12 * time.Second), Why: "hostile\x1b[31m"},
		},
		Blocked: []queue.BlockedKey{
			{TitleID: 730, Sender: "ada", Until: now.Add(12 * time.Second)}, {TitleID: 1739947436, Sender: "cup-bot", Until: now.Add(2 * time.Hour)},
		},
	}
	for n, owner := range []string{"eu-1-k3v9q2xa", "eu-1-k3v9q2xa", "eu-1-k3v9q2xa", "", "eu-2-0c8w1mzp", "eu-1-k3v9q2xa", "", "eu-1-k3v9q2xa"} {
		p := queue.OwnerSeen{Partition: n, Owner: owner, Since: now.Add(-time.Minute)}
		if owner == "" {
			p.Before = "eu-3-77ab90de"
		}
		seen.Partitions = append(seen.Partitions, p)
	}
	var out bytes.Buffer
	require.NoError(t, (&tool{out: &out, zone: time.UTC}).printOverview(seen))
	require.NoError(t, (&tool{out: &out, zone: time.UTC, json: true}).printOverview(seen))
	requireGolden(t, "status.golden", out.String())
}
