package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/invitedhq/invited/cmd/internal/harness"
	"github.com/invitedhq/invited/queue"
)

// The tests in this file run the real programs under the permissions that we ship in deploy/nats.

// TestEachRoleOfDeployDoesItsWork looks at the server's log for what it denied: a program need not notice.
func TestEachRoleOfDeployDoesItsWork(t *testing.T) {
	const refused = "2533274790000666"
	s := startSecured(t)
	sim := programs.Sim(t, "--quota", "1000/15s", "--fault-refuse", refused)
	options := harness.WorkerOptions{API: sim.URL, Quota: "1000/15s", Admin: "actions: true"}
	first := s.worker(t, options)

	t.Run("a producer publishes, and waits for the result", func(t *testing.T) {
		status, out, errOut := s.invitectl(t, producer, "send", "--title", "730", "--to", "2533274790000001", "--wait")
		assert.Zero(t, status, errOut)
		assert.Contains(t, out, "1 sent")
		status, _, _ = s.invitectl(t, producer, "send", "--title", "730", "--to", "2533274790000002,"+refused, "--wait")
		assert.Equal(t, 1, status, "one recipient is refused")
	})
	t.Run("a worker's console shows all it has, and steers campaigns, by the worker's own permissions", func(t *testing.T) {
		s.campaign(t, "steered", 1)
		for path, shows := range map[string]string{
			"/": "this one", "/campaigns": "steered", "/campaigns/730/cup/steered": "501", "/dead": "rejected", "/dead/1": "invitedUsers",
			"/dead/ask?do=replay&letter=1": "Replay 1 dead letter for 1 recipient?", "/job?id=INVITES:1": "All of its recipients were sent.",
		} {
			harness.Until(t, 20*time.Second, path+" shows "+shows, func() bool {
				status, page := harness.Get(t, first.Admin+path)
				return status == http.StatusOK && strings.Contains(page, shows)
			})
		}
		answer, err := http.Post(first.Admin+"/campaigns/730/cup/steered/pause", "", nil)
		require.NoError(t, err)
		defer answer.Body.Close()
		assert.Equal(t, "/campaigns/730/cup/steered", answer.Request.URL.Path, "it leads to the campaign's page")
		first.Await(`msg="changed in the console" change="campaign pause" user="not asked"`) // who did it
		assert.True(t, first.Ready())
	})
	t.Run("an operator lists, shows and replays dead letters, and drops what is dead again", func(t *testing.T) {
		for _, args := range [][]string{{"ls", "--all"}, {"show", "--all"}, {"replay", "--all"}} {
			status, out, errOut := s.invitectl(t, operator, append([]string{"dead"}, args...)...)
			assert.Zero(t, status, errOut)
			assert.NotEmpty(t, out)
		}
		harness.Until(t, 30*time.Second, "the replayed job is dead again", func() bool {
			_, out, _ := s.invitectl(t, operator, "dead", "ls", "--all", "--json")
			return strings.Count(out, "\n") == 1
		})
		status, out, errOut := s.invitectl(t, operator, "dead", "drop", "--all")
		assert.Zero(t, status, errOut)
		assert.Contains(t, out, "1 dead letter for 1 recipient dropped")
	})
	t.Run("an operator reads results", func(t *testing.T) {
		reader, err := queue.NewReader(s.connect(t, operator))
		require.NoError(t, err)
		sent := 0
		for r, err := range reader.Results(t.Context(), queue.Filter{}) {
			require.NoError(t, err)
			if r.Campaign == "" {
				sent += r.Sent
			}
		}
		assert.Equal(t, 2, sent)
	})
	t.Run("an operator starts a campaign, and sees how it gets on", func(t *testing.T) {
		file := filepath.Join(t.TempDir(), "players.txt")
		require.NoError(t, os.WriteFile(file, []byte("2533274790000003\n2533274790000004\n"), 0o600))
		status, out, errOut := s.invitectl(t, operator, "campaign", "start", "cup", "--title", "730", "--file", file, "--dry-run")
		assert.Zero(t, status, errOut)
		assert.Contains(t, out, "1000/15s, as the workers are configured")
		for range 2 { // the second time it goes on
			status, _, errOut := s.invitectl(t, operator, "campaign", "start", "cup", "--title", "730", "--file", file)
			assert.Zero(t, status, errOut)
		}
		harness.Until(t, 20*time.Second, "it has ended, and its results are summed up", func() bool {
			status, out, errOut := s.invitectl(t, operator, "campaign", "status", "cup", "--json")
			assert.Zero(t, status, errOut)
			return strings.Contains(out, `"sent":2`) && strings.Contains(out, `"state":"ended"`) && s.tallied(t)
		})
		status, out, errOut = s.invitectl(t, operator, "campaign", "ls")
		assert.Zero(t, status, errOut)
		assert.Contains(t, out, "cup")
		status, out, errOut = s.invitectl(t, operator, "results", "--campaign", "cup")
		assert.Zero(t, status, errOut)
		assert.Contains(t, out, "2 sent")
	})
	t.Run("an operator steers a campaign that a producer published", func(t *testing.T) {
		s.campaign(t, "league", 1)
		for _, change := range [][]string{{"pause", "league"}, {"rate", "league", "5/s"}, {"resume", "league", "--at", "+2h"}, {"cancel", "league"}} {
			status, out, errOut := s.invitectl(t, operator, append([]string{"campaign"}, change...)...)
			assert.Zero(t, status, errOut)
			assert.Contains(t, out, "league: ")
		}
	})
	t.Run("an operator sees who works", func(t *testing.T) {
		status, out, errOut := s.invitectl(t, operator, "status")
		assert.Zero(t, status, errOut)
		assert.Contains(t, out, "1 worker\n")
		assert.Contains(t, out, "  0-15\n")
	})
	t.Run("workers hand over in order, and after a crash", func(t *testing.T) {
		second := s.worker(t, options)
		s.campaign(t, "before", 300)
		first.Stop()
		s.campaign(t, "handed-over", 300)
		third := s.worker(t, options)
		s.campaign(t, "shared", 300)
		second.Kill()
		s.campaign(t, "taken-over", 300)
		s.awaitRemoval(t)
		assert.NotContains(t, third.Stderr()+second.Stderr()+first.Stderr(), "NATS denies")
	})
	for line := range strings.Lines(s.Servers[0].Stderr()) {
		assert.NotContains(t, line, "Violation", "a program asked for what its role does not have")
	}
}

// tallied says whether a worker has written that all results are summed up.
func (s secured) tallied(t *testing.T) bool {
	t.Helper()
	m, err := s.connect(t, operator).Request("$JS.API.STREAM.MSG.GET.INVITE_CONTROL", []byte(`{"last_by_subj":"invites.control.through"}`), 5*time.Second)
	require.NoError(t, err)
	return !strings.Contains(string(m.Data), `"error"`)
}

// campaign publishes jobs of one recipient each, and one of many, and waits until all are sent.
func (s secured) campaign(t *testing.T, name string, jobs int) {
	t.Helper()
	conn := s.connect(t, producer)
	results, err := conn.SubscribeSync("invites.results.730.cup." + name)
	require.NoError(t, err)
	publisher, err := queue.NewPublisher(conn)
	require.NoError(t, err)
	many := queue.Job{}
	for n := range 500 {
		many.InvitedUsers = append(many.InvitedUsers, queue.XUID(n+1))
	}
	a := queue.Address{TitleID: 730, Sender: "cup", Campaign: name}
	_, err = publisher.Publish(t.Context(), a, many)
	require.NoError(t, err)
	for n := range jobs {
		_, err = publisher.PublishAsync(t.Context(), a, queue.Job{InvitedUsers: []queue.XUID{queue.XUID(1000 + n)}})
		require.NoError(t, err)
	}
	for range jobs + 1 {
		_, err := results.NextMsg(20 * time.Second)
		require.NoError(t, err)
	}
}

// awaitRemoval waits until the worker that runs has removed the consumer of a campaign that is over.
func (s secured) awaitRemoval(t *testing.T) {
	t.Helper()
	conn := s.connect(t, operator)
	consumers := func() int {
		var info struct {
			State struct {
				Consumers int `json:"consumer_count"`
			}
		}
		m, err := conn.Request("$JS.API.STREAM.INFO.INVITE_CAMPAIGNS", nil, 5*time.Second)
		require.NoError(t, err)
		require.NoError(t, json.Unmarshal(m.Data, &info))
		return info.State.Consumers
	}
	before := consumers()
	require.NotZero(t, before)
	harness.Until(t, 20*time.Second, "a campaign that is over has no consumer", func() bool { return consumers() < before })
}

// TestNoRoleDoesWhatIsAnothers tries what each role must not do. A publish that is denied does not fail: the server's no is
// the connection's last error.
func TestNoRoleDoesWhatIsAnothers(t *testing.T) {
	s := startSecured(t)
	sim := programs.Sim(t)
	s.worker(t, harness.WorkerOptions{API: sim.URL}).Stop() // the streams are there
	streams := []string{
		queue.JobsStream, queue.CampaignsStream, queue.DeadStream, queue.ResultsStream, queue.ProgressStream, queue.KeysStream,
		queue.WorkersStream, queue.ControlStream,
	}
	readByWorkers := slices.DeleteFunc(slices.Clone(streams), func(stream string) bool {
		return stream == queue.DeadStream
	})
	readByOperators := []string{queue.DeadStream, queue.ResultsStream, queue.KeysStream, queue.WorkersStream}
	for _, of := range []struct {
		role      role
		publish   []string
		subscribe []string
		unless    []string // what it may of everyAPI
	}{
		{
			role: producer,
			publish: []string{
				"invites.dead.730.rejected", "invites.results.730.ada.-", "invites.progress.INVITES.730.ada.-.1", "invites.keys.0.730.ada",
				"invites.workers.owner.0", "invites.workers.alive.me", "invites.part.0.730.ada", "invites.jobs.730", "invites.jobs.730.ada.more",
				"invites.control.order.730.ada.cup", "invites.control.terms.730.ada.cup", "invites.control.tally.730.ada.cup",
				"invites.control.through", "invites.control.quota",
				"$JS.ACK.INVITES.partition-0.1.1.1.1.0", "$JS.ACK.INVITE_CAMPAIGNS.campaign-0.1.1.1.1.0",
				"$JS.API.INFO", "$JS.API.STREAM.NAMES", "$JS.API.STREAM.LIST", "_INBOX.worker.x", "_INBOX.operator.x", "$SYS.REQ.SERVER.PING",
			},
			subscribe: []string{
				">", "invites.>", "invites.jobs.>", "invites.campaigns.>", "invites.dead.>", "invites.workers.>", "$JS.>", "$SYS.>",
			},
		},
		{
			role: working,
			publish: []string{
				"invites.jobs.730.ada", "invites.campaigns.730.ada.cup", "invites.part.0.730.ada", "invites.control.order.730.ada.cup",
				"$JS.ACK.INVITE_DEAD.x.1.1.1.1.0", "$JS.API.INFO", "$JS.API.STREAM.NAMES", "$JS.API.STREAM.LIST", "$JS.API.STREAM.CREATE.OTHER",
				"$JS.API.CONSUMER.CREATE.INVITE_DEAD.x.invites.dead.*.*", "$JS.API.CONSUMER.CREATE.INVITE_KEYS.x.invites.>",
				"_INBOX.producer.x", "_INBOX.operator.x", "$SYS.REQ.SERVER.PING",
			},
			subscribe: []string{
				">", "invites.>", "invites.jobs.>", "invites.campaigns.>", "invites.dead.>", "invites.results.>", "$JS.>", "$SYS.>",
				"_INBOX.>", "_INBOX.producer.>", "_INBOX.operator.>",
			},
			unless: slices.Concat(
				each("STREAM.INFO", streams...), each("STREAM.CREATE", streams...),
				each("STREAM.PURGE", queue.ProgressStream, queue.WorkersStream),
				each("STREAM.MSG.GET", streams...), each("STREAM.MSG.DELETE", queue.JobsStream, queue.CampaignsStream, queue.ResultsStream, queue.ControlStream),
				each("CONSUMER.INFO", readByWorkers...), each("CONSUMER.DELETE", readByWorkers...), each("CONSUMER.MSG.NEXT", readByWorkers...),
				each("CONSUMER.UNPIN", queue.JobsStream, queue.CampaignsStream), each("CONSUMER.PAUSE", queue.CampaignsStream),
			),
		},
		{
			role: operator,
			publish: []string{
				"invites.dead.730.rejected", "invites.results.730.ada.-", "invites.keys.0.730.ada", "invites.workers.owner.0",
				"invites.workers.alive.me", "invites.progress.INVITES.730.ada.-.1", "invites.part.0.730.ada", "invites.control.tally.730.ada.cup",
				"invites.control.through", "invites.control.quota", "invites.control.order.730.ada", "invites.control.terms.730.ada",
				"$JS.API.CONSUMER.CREATE.INVITE_WORKERS.x.>", "$JS.API.CONSUMER.CREATE.INVITE_KEYS.x.>",
				"$JS.API.CONSUMER.CREATE.INVITE_CONTROL.x.invites.control.>",
				"$JS.ACK.INVITES.partition-0.1.1.1.1.0", "$JS.ACK.INVITE_CAMPAIGNS.campaign-0.1.1.1.1.0",
				"$JS.API.INFO", "$JS.API.STREAM.NAMES", "$JS.API.STREAM.LIST", "$JS.API.CONSUMER.CREATE.INVITES.x.invites.part.*.*.*",
				"_INBOX.producer.x", "_INBOX.worker.x", "$SYS.REQ.SERVER.PING",
			},
			subscribe: []string{
				">", "invites.>", "invites.jobs.>", "invites.campaigns.>", "invites.dead.>", "invites.workers.>", "$JS.>", "$SYS.>",
				"_INBOX.>", "_INBOX.producer.>", "_INBOX.worker.>",
			},
			unless: slices.Concat(
				each("STREAM.INFO", streams...),
				each("STREAM.MSG.DELETE", queue.DeadStream), each("STREAM.PURGE", queue.ProgressStream),
				each("STREAM.MSG.GET", queue.JobsStream, queue.CampaignsStream, queue.DeadStream, queue.ProgressStream, queue.ResultsStream,
					queue.KeysStream, queue.ControlStream),
				each("CONSUMER.INFO", readByOperators...), each("CONSUMER.DELETE", readByOperators...), each("CONSUMER.MSG.NEXT", readByOperators...),
			),
		},
	} {
		t.Run(string(of.role), func(t *testing.T) {
			conn := s.connect(t, of.role)
			for _, subject := range of.publish {
				assert.Truef(t, denies(t, conn, subject, conn.Publish(subject, nil)), "%s must not publish on %s", of.role, subject)
			}
			for _, subject := range of.subscribe {
				_, err := conn.SubscribeSync(subject)
				assert.Truef(t, denies(t, conn, subject, err), "%s must not subscribe to %s", of.role, subject)
			}
			for _, call := range everyAPI {
				for _, stream := range streams {
					subject := "$JS.API." + fmt.Sprintf(call, stream)
					may := slices.Contains(of.unless, strings.TrimSuffix(fmt.Sprintf(call, stream), ".x"))
					// No request, so that what is allowed does nothing.
					assert.Equalf(t, may, !denies(t, conn, subject, conn.Publish(subject, []byte(`{`))), "%s on %s", of.role, subject)
				}
			}
		})
	}
}

// everyAPI is what JetStream's API can do with a stream and its consumers.
var everyAPI = []string{
	"STREAM.CREATE.%s", "STREAM.UPDATE.%s", "STREAM.DELETE.%s", "STREAM.PURGE.%s", "STREAM.INFO.%s", "STREAM.SNAPSHOT.%s",
	"STREAM.RESTORE.%s", "STREAM.MSG.GET.%s", "STREAM.MSG.DELETE.%s", "STREAM.PEER.REMOVE.%s", "STREAM.LEADER.STEPDOWN.%s",
	"DIRECT.GET.%s", "CONSUMER.CREATE.%s", "CONSUMER.CREATE.%s.x", "CONSUMER.CREATE.%s.x.>", "CONSUMER.DURABLE.CREATE.%s.x",
	"CONSUMER.NAMES.%s", "CONSUMER.LIST.%s", "CONSUMER.INFO.%s.x", "CONSUMER.DELETE.%s.x", "CONSUMER.PAUSE.%s.x", "CONSUMER.RESET.%s.x",
	"CONSUMER.UNPIN.%s.x", "CONSUMER.MSG.NEXT.%s.x", "CONSUMER.LEADER.STEPDOWN.%s.x",
}

// each is a call of several streams.
func each(call string, streams ...string) (calls []string) {
	for _, stream := range streams {
		calls = append(calls, call+"."+stream)
	}
	return calls
}

// denies says whether the server has denied what was just done. A server answers in order, so its no comes before the answer
// to the flush.
func denies(t *testing.T, conn *nats.Conn, subject string, err error) bool {
	t.Helper()
	require.NoError(t, err)
	require.NoError(t, conn.Flush())
	last := conn.LastError()
	return last != nil && strings.Contains(last.Error(), fmt.Sprintf("to %q", subject))
}

// TestAProducerReachesNothingByWhereItWantsItsAnswer: a stream's answer goes wherever the publisher says, and permissions are
// not asked about that. Producers have an account of their own, and there it stays.
func TestAProducerReachesNothingByWhereItWantsItsAnswer(t *testing.T) {
	s := startSecured(t)
	sim := programs.Sim(t)
	s.worker(t, harness.WorkerOptions{API: sim.URL}).Stop() // the streams are there, and nobody takes the jobs
	conn, people := s.connect(t, producer), s.connect(t, operator)
	snooped, err := conn.SubscribeSync("_INBOX.>")
	require.NoError(t, err)
	type counts struct {
		Messages uint64
		LastSeq  uint64 `json:"last_seq"`
	}
	state := func(stream string) counts {
		var info struct{ State counts }
		m, err := people.Request("$JS.API.STREAM.INFO."+stream, nil, 5*time.Second)
		require.NoError(t, err)
		require.NoError(t, json.Unmarshal(m.Data, &info))
		return info.State
	}
	before := map[string]counts{}
	others := []string{queue.CampaignsStream, queue.DeadStream, queue.ResultsStream, queue.ProgressStream}
	for _, stream := range others {
		before[stream] = state(stream)
	}
	replies := []string{
		"invites.dead.730.rejected", "invites.results.730.ada.-", "invites.progress.INVITES.730.ada.-.1", "invites.campaigns.730.ada.cup",
		"$JS.API.STREAM.PURGE.INVITES", "$JS.API.STREAM.DELETE.INVITE_DEAD", "$JS.ACK.INVITES.partition-0.1.1.1.1.0",
	}
	for _, reply := range replies {
		require.NoError(t, conn.PublishMsg(&nats.Msg{Subject: "invites.jobs.730.ada", Reply: reply, Data: []byte(`{"invitedUsers":["1"]}`)}))
	}
	stored, err := conn.Request("invites.jobs.730.ada", []byte(`{"invitedUsers":["1"]}`), 5*time.Second)
	require.NoError(t, err)
	var ack struct{ Seq uint64 }
	require.NoError(t, json.Unmarshal(stored.Data, &ack))
	assert.EqualValues(t, len(replies), ack.Seq, "all jobs were stored, but the one whose answer would have been an acknowledgement")
	for _, stream := range others {
		assert.Equal(t, before[stream], state(stream), stream)
	}
	assert.EqualValues(t, len(replies), state(queue.JobsStream).Messages)
	own, err := snooped.NextMsg(5 * time.Second)
	require.NoError(t, err)
	assert.Equal(t, stored.Data, own.Data, "it hears its own answer")
	_, err = snooped.NextMsg(200 * time.Millisecond)
	require.ErrorIs(t, err, nats.ErrTimeout, "and none of the operator's")
}

func TestAWorkerWithoutAPermissionSaysWhichAndDoesNotHang(t *testing.T) {
	s := startSecured(t)
	for r, wants := range map[role]string{
		producer: "NATS does not let this user publish to $JS.API.STREAM.INFO.INVITES: give it the permission",
		operator: "NATS does not let this user publish to $JS.API.STREAM.CREATE.INVITES: give it the permission",
	} {
		began := time.Now()
		status, errOut := serve(t, fmt.Sprintf("{url: %q, tls: {ca_file: %q}}", s.url(r), s.authority.file))
		assert.Equal(t, 1, status, r)
		assert.Contains(t, errOut, wants)
		assert.Contains(t, errOut, "deploy/nats/permissions.conf")
		assert.NotContains(t, errOut, r.password())
		assert.Less(t, time.Since(began), 8*time.Second, "it does not wait for an answer that never comes")
	}
}

func TestAWorkerThatLosesAPermissionIsNotReady(t *testing.T) {
	sim := programs.Sim(t)
	s := startSecuredWithout(t, `"invites.workers.owner.*"`)
	worker := programs.Process(t, "worker", harness.Invited, []string{"XBL_AUTHORIZATION=" + harness.Token}, "serve", "--config",
		configFile(t, fmt.Sprintf("nats: {url: %q, tls: {ca_file: %q}}\nxbl: {base_url: %q}\nadmin: {listen: 127.0.0.1:0}\n",
			s.url(working), s.authority.file, sim.URL)))
	worker.Start()
	admin := worker.Await(`msg=working .*admin=(\S+)`)[1]
	worker.Await(`level=WARN msg="NATS denies what this program needs" operation=publish subject=invites.workers.…`)
	var body string
	harness.Until(t, 30*time.Second, "it is not ready", func() (unready bool) {
		var status int
		status, body = harness.Get(t, admin+"/readyz")
		return status == 503
	})
	assert.Contains(t, body, "NATS does not let this user publish to invites.workers.…: ")
	worker.Stop()
}

func TestAWorkerThatMayNotListenEnds(t *testing.T) {
	s := startSecuredWithout(t, `"invites.workers.>"`)
	status, errOut := serve(t, fmt.Sprintf("{url: %q, tls: {ca_file: %q}}", s.url(working), s.authority.file))
	assert.Equal(t, 1, status)
	assert.Contains(t, errOut, "NATS does not let this user subscribe to invites.workers.…: ")
}

func TestInvitectlSaysAtOnceWhatItsUserMayNot(t *testing.T) {
	s := startSecured(t)
	for _, c := range []struct {
		role role
		args []string
		says string
	}{
		{producer, []string{"dead", "ls", "--all"}, "NATS does not let this user publish to $JS.API.STREAM.INFO.INVITE_DEAD: "},
		{working, []string{"send", "--title", "730", "--to", "1"}, "NATS does not let this user publish to invites.jobs.…: "},
		{working, []string{"send", "--title", "730", "--to", "1", "--wait"}, "NATS does not let this user subscribe to invites.results.…: "},
	} {
		began := time.Now()
		status, out, errOut := s.invitectl(t, c.role, c.args...)
		assert.Equal(t, 1, status)
		assert.Empty(t, out)
		assert.Contains(t, errOut, c.says)
		assert.Less(t, time.Since(began), 8*time.Second)
	}
}
