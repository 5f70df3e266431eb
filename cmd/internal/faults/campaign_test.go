package faults

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/invitedhq/invited/cmd/internal/harness"
	"github.com/invitedhq/invited/queue"
)

// playersFile has so many XUIDs, a line each.
func playersFile(t *testing.T, n int) string {
	t.Helper()
	var b strings.Builder
	for x := range n {
		fmt.Fprintln(&b, firstPlayer+queue.XUID(x))
	}
	name := filepath.Join(t.TempDir(), "players.txt")
	require.NoError(t, os.WriteFile(name, []byte(b.String()), 0o600))
	return name
}

// standing is what invitectl campaign status says.
type standing struct {
	State        string
	Recipients   int
	Uploaded     int
	Sent         int
	Dead         int
	Left         int
	WaitingJobs  int
	EndedJobs    int
	DeadByReason map[string]int
	Complete     bool
}

func (s *scene) standing(name string) (found standing) {
	s.t.Helper()
	status, out, errOut := programs.Run(s.t, harness.Invitectl, "campaign", "status", name, "--json", "--nats-url", s.options.NATS)
	require.Zero(s.t, status, errOut)
	require.NoError(s.t, json.Unmarshal([]byte(out), &found))
	return found
}

// campaignJobs reads the first n jobs of the campaigns' queue, by their places in it.
func (s *scene) campaignJobs(n int) map[int]queue.Job {
	s.t.Helper()
	const together = 1000
	answers, err := s.conn.SubscribeSync(s.conn.NewInbox())
	require.NoError(s.t, err)
	jobs := make(map[int]queue.Job, n)
	for first := 1; first <= n; first += together {
		last := min(first+together-1, n)
		for sequence := first; sequence <= last; sequence++ {
			require.NoError(s.t, s.conn.PublishRequest("$JS.API.STREAM.MSG.GET.INVITE_CAMPAIGNS", answers.Subject, fmt.Appendf(nil, `{"seq":%d}`, sequence)))
		}
		for range last - first + 1 {
			m, err := answers.NextMsg(patience)
			require.NoError(s.t, err)
			var answer struct {
				Message struct {
					Sequence int `json:"seq"`
					Data     []byte
				}
			}
			require.NoError(s.t, json.Unmarshal(m.Data, &answer))
			jobs[answer.Message.Sequence], err = queue.DecodeJob(answer.Message.Data)
			require.NoError(s.t, err)
		}
	}
	return jobs
}

func TestAnUploadThatIsKilledAgainAndAgainStoresEachRecipientOnce(t *testing.T) {
	const players = 320_000
	s := stage(t)
	s.join().Stop() // the streams are there, and nobody takes the jobs
	upload := programs.Process(t, "upload", harness.Invitectl, nil, "campaign", "start", "cup", "--title", strconv.Itoa(title),
		"--sender", "cup", "--file", playersFile(t, players), "--nats-url", s.options.NATS)
	kills := 0
	for range 4 * *rounds {
		before := s.stored("INVITE_CAMPAIGNS")
		upload.Start()
		harness.Until(t, patience, "jobs are stored", func() bool { return s.stored("INVITE_CAMPAIGNS") > before || !upload.Running() })
		if upload.Running() {
			kills++
			upload.Kill()
		}
	}
	require.Positive(t, kills, "it was killed in the middle")
	left := s.standing("cup")
	assert.Equal(t, "uploading", left.State)
	assert.Less(t, left.Uploaded, players)
	upload.Start()
	upload.AwaitEnd()
	assert.Contains(t, string(upload.Stdout()), "were stored before")

	jobs := s.stored("INVITE_CAMPAIGNS")
	require.Equal(t, players/16, jobs)
	next, found := firstPlayer, s.campaignJobs(jobs)
	for sequence := 1; sequence <= jobs; sequence++ {
		for _, x := range found[sequence].InvitedUsers {
			require.Equal(t, next, x, "each once, in the order of the file")
			next++
		}
	}
	now := s.standing("cup")
	assert.Equal(t, standing{State: "waiting", Recipients: players, Uploaded: players, Left: players, WaitingJobs: jobs, DeadByReason: map[string]int{},
		Complete: true}, now)
	t.Logf("killed %d times", kills)
}

func TestAnUploadGoesOnWhenANodeThatLeadsTheQueueIsKilled(t *testing.T) {
	const players = 320_000
	s := stageOn(t, programs.Cluster(t))
	s.options.Replicas = 3
	s.join().Stop()
	upload := programs.Process(t, "upload", harness.Invitectl, nil, "campaign", "start", "cup", "--title", strconv.Itoa(title),
		"--sender", "cup", "--file", playersFile(t, players), "--nats-url", s.options.NATS)
	upload.Start()
	harness.Until(t, patience, "jobs are stored", func() bool { return s.stored("INVITE_CAMPAIGNS") > 0 })
	upload.Pause()
	require.Less(t, s.stored("INVITE_CAMPAIGNS"), players/16, "it is in the middle")
	leader := s.nats.AwaitLeader("INVITE_CAMPAIGNS", s.conn)
	upload.Resume()
	s.nats.Servers[leader].Kill()
	upload.AwaitEnd()
	assert.Contains(t, string(upload.Stdout()), "cup: 320,000 recipients in 20,000 calls stored\n", "it waited for the next leader, and went on")
	harness.Until(t, patience, "all jobs are there", func() bool { return s.stored("INVITE_CAMPAIGNS") == players/16 })
	now := s.standing("cup")
	assert.Equal(t, "waiting", now.State)
	assert.Equal(t, players, now.Left)
}

func TestACampaignsCountsAreTheLedgersWhileItsWorkersAreKilled(t *testing.T) {
	const players = 16_000
	refused := []queue.XUID{firstPlayer + 100, firstPlayer + 5000, firstPlayer + 15_999}
	s := stage(t, "--fault-refuse", fmt.Sprintf("%d,%d,%d", refused[0], refused[1], refused[2]))
	s.join()
	s.join()
	status, out, errOut := programs.Run(t, harness.Invitectl, "campaign", "start", "cup", "--title", strconv.Itoa(title), "--sender", "cup",
		"--file", playersFile(t, players), "--nats-url", s.options.NATS)
	require.Zero(t, status, errOut)
	assert.Equal(t, "cup: 16,000 recipients in 1,000 calls stored\n", out)

	faults := func(more string) {
		s.sim.SetFaults(fmt.Sprintf(`{"refusedXuids":["%d","%d","%d"]%s}`, refused[0], refused[1], refused[2], more))
	}
	kills, looks := 0, 0
	for {
		before := s.sim.Ledger()
		now := s.standing("cup")
		after := s.sim.Ledger()
		looks++
		// What was sent before is told once it is stored: nothing is told that was not sent.
		require.LessOrEqual(t, now.Sent, after.Unique, "no more than was sent")
		require.GreaterOrEqual(t, now.Sent, before.Unique-len(s.workers)*inFlight*most-lag, "and what was sent is told soon")
		require.Equal(t, players, now.Sent+now.Dead+now.Left)
		if now.State == "ended" {
			break
		}
		if done := now.Sent + now.Dead; kills < 2 && done > (kills+1)*players/8 {
			w := s.workers[kills%len(s.workers)]
			w.Kill()
			faults(`,"slow":1,"slowBy":"500ms"`) // so that the other one does not end the campaign before the second kill
			w.Start()
			w.AwaitReady()
			faults("")
			kills++
		}
	}
	require.Equal(t, 2, kills)
	end, ledger := s.standing("cup"), s.sim.Ledger()
	assert.Equal(t, ledger.Unique, end.Sent)
	assert.Equal(t, map[string]int{"rejected": len(refused)}, end.DeadByReason)
	assert.Equal(t, players, end.Sent+end.Dead)
	assert.Zero(t, end.Left)
	assert.LessOrEqual(t, ledger.Duplicates, kills*inFlight*most, "only calls in flight at a kill happen twice")
	t.Logf("looked %d times; %d sent, %d dead, %d duplicates", looks, end.Sent, end.Dead, ledger.Duplicates)
}

// lag is how many recipients may have been sent whose results are on their way to the stream, when a worker was killed or is busy.
const lag = 64 * most
