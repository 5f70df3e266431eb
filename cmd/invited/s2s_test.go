package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/invitedhq/invited/cmd/internal/harness"
)

// The tests in this file run a worker that gets its tokens from the auth services of a simulator, as a title's own service does.
// The simulator has code of its own to verify each signature, and answers 204 to no call that is not signed byte by byte.

// titleService is a title's service: its worker, the services it calls, and what became of its jobs.
type titleService struct {
	t           *testing.T
	sim         *harness.AuthSim
	worker      *harness.Worker
	delegations string // folder; empty: server mode
	conn        *nats.Conn
	said        strings.Builder // by invitectl

	mu        sync.Mutex
	published int
	results   map[string]outcome // by job
}

// outcome is the result of a job.
type outcome struct {
	Sender      string
	Sent, Dead  int
	Reason      string
	PublishedAt time.Time
	EndedAt     time.Time
}

const (
	serverMode = "server"
	clientMode = "client"
	// unlimited is for tests of something else than the limits of the auth services.
	unlimited = "1000/1s"
)

// newTitleService starts a worker with the certificates of a folder; empty: those that the simulator takes.
func newTitleService(t *testing.T, audience, certificates, limits string, simFlags ...string) *titleService {
	t.Helper()
	s := &titleService{
		t: t, results: map[string]outcome{},
		// What is in flight when a Retry-After is given can't be called back.
		sim: programs.AuthSim(t, append([]string{"--auth-quota", limits, "--in-flight-grace", "250ms"}, simFlags...)...),
	}
	if audience == clientMode {
		s.delegations = t.TempDir()
	}
	if certificates == "" {
		certificates = s.sim.Certificates
	}
	most, per, _ := strings.Cut(limits, "/")
	s.worker = programs.Worker(t, harness.WorkerOptions{
		API: s.sim.URL, XBL: "audience: " + audience, Quota: harness.NoQuota,
		Config: fmt.Sprintf("tokens: {source: s2s, s2s: {certificate_file: %q, key_file: %q, ca_file: %q, delegation_dir: %q, "+
			"service_url: %q, xsts_url: %q, limits: [{max: %s, per: %s}]}}",
			filepath.Join(certificates, "partner.pem"), filepath.Join(certificates, "partner-key.pem"),
			filepath.Join(s.sim.Certificates, "ca.pem"), s.delegations, s.sim.AuthURL, s.sim.AuthURL, most, per),
	})
	var err error
	s.conn, err = nats.Connect(s.worker.NATS)
	require.NoError(t, err)
	t.Cleanup(s.conn.Close)
	_, err = s.conn.Subscribe("invites.results.>", func(m *nats.Msg) {
		var r struct {
			ID string
			outcome
		}
		if json.Unmarshal(m.Data, &r) == nil {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.results[r.ID] = r.outcome
		}
	})
	require.NoError(t, err)
	require.NoError(t, s.conn.Flush())
	return s
}

// delegate has a user let the service speak for them, and names the sender.
func (s *titleService) delegate(xuid uint64) (sender string) {
	s.t.Helper()
	sender = "user-" + strconv.FormatUint(xuid, 10)
	require.NoError(s.t, os.WriteFile(filepath.Join(s.delegations, sender), []byte(s.sim.Delegate(xuid)+"\n"), 0o600))
	return sender
}

// publish publishes an interactive job for a player whom no other job invites.
func (s *titleService) publish(sender string, more ...string) (job string) {
	s.t.Helper()
	s.published++
	job = fmt.Sprintf("%s-%d", sender, s.published)
	_, err := s.conn.Request("invites.jobs.730."+sender, fmt.Appendf(nil, `{"id":%q,"invitedUsers":["%d"],"connectionString":"lobby"%s}`,
		job, 2533274790000000+s.published, strings.Join(more, "")), 5*time.Second)
	require.NoError(s.t, err)
	return job
}

func (s *titleService) result(job string) (r outcome, known bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r, known = s.results[job]
	return r, known
}

// awaitSent waits until each of these jobs has ended, and was sent.
func (s *titleService) awaitSent(jobs ...string) {
	s.t.Helper()
	for _, job := range jobs {
		harness.Until(s.t, 30*time.Second, job+" ends", func() bool { _, known := s.result(job); return known })
		r, _ := s.result(job)
		require.Equalf(s.t, 1, r.Sent, "%s is sent: %+v", job, r)
	}
}

// invitectl runs the tool.
func (s *titleService) invitectl(args ...string) (status int, out string) {
	s.t.Helper()
	status, out, errOut := programs.Run(s.t, harness.Invitectl, args...)
	s.said.WriteString(out + errOut)
	return status, out + errOut
}

func (s *titleService) checkToken(sender string, more ...string) (status int, out string) {
	s.t.Helper()
	return s.invitectl(append([]string{"token", "check", "--config", s.worker.File, "--sender", sender}, more...)...)
}

// awaitOverview waits until invitectl status says all of this.
func (s *titleService) awaitOverview(words ...string) {
	s.t.Helper()
	var out string
	defer func() { s.t.Log(out) }()
	harness.Until(s.t, 15*time.Second, fmt.Sprintf("invitectl status says %q", words), func() bool {
		_, out = s.invitectl("status", "--nats-url", s.worker.NATS)
		return !slices.ContainsFunc(words, func(w string) bool { return !strings.Contains(out, w) })
	})
}

func (s *titleService) refreshes(result string) int {
	return int(s.worker.Metrics().Sum("invited_token_refreshes_total", fmt.Sprintf("result=%q", result)))
}

// audit waits until nothing waits any more, ends the programs, and compares what was published with the ledger. Nothing is dead
// but what the test expects, nobody was invited twice, and no program wrote a secret anywhere.
func (s *titleService) audit(dead int) {
	s.t.Helper()
	harness.Until(s.t, 30*time.Second, "each job ends", func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		return len(s.results) == s.published
	})
	sum := outcome{}
	for _, r := range s.results {
		sum.Sent, sum.Dead = sum.Sent+r.Sent, sum.Dead+r.Dead
	}
	assert.Equal(s.t, dead, sum.Dead, "dead letters")
	ledger, auth := s.sim.Ledger(), s.sim.AuthLedger()
	assert.Equal(s.t, sum.Sent, ledger.Unique, "what results say was sent, and what the service has sent")
	assert.Zero(s.t, ledger.Duplicates)
	assert.Zero(s.t, auth.InBlock, "no call of the auth services comes inside a Retry-After")
	pages := map[string]string{"invitectl": s.said.String()}
	for _, path := range []string{"/metrics", "/readyz", "/"} {
		_, pages[path] = harness.Get(s.t, s.worker.Admin+path)
	}
	s.worker.Stop()
	s.sim.Stop()
	pages["the worker's log"] = s.worker.Stderr() + string(s.worker.Stdout())
	pages["the simulator's log"] = s.sim.Stderr() + string(s.sim.Stdout())
	require.NoError(s.t, filepath.WalkDir(s.worker.Data, func(path string, d os.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		content, err := os.ReadFile(path)
		pages[path] = string(content)
		return err
	}))
	key, err := os.ReadFile(filepath.Join(s.sim.Certificates, "partner-key.pem"))
	require.NoError(s.t, err)
	for place, text := range pages {
		for _, secret := range []string{"xblsim-service-", "xblsim-access-", "xblsim-delegation-", strings.Split(string(key), "\n")[1]} {
			assert.NotContains(s.t, text, secret, place)
		}
	}
}

func TestATitlesServiceSendsWithTheTokenOfItsCertificate(t *testing.T) {
	t.Parallel()
	certificates := programs.Certificates(t) // of somebody else
	s := newTitleService(t, serverMode, certificates, unlimited)
	first := s.publish("2533274790395904")
	status, out := s.checkToken("2533274790395904")
	assert.Equal(t, 1, status)
	assert.Contains(t, out, "certificate", "the words name what is most likely wrong")
	s.awaitOverview("2533274790395904", "certificate")
	assert.Zero(t, s.sim.Ledger().Calls)
	s.worker.Await("does not take the certificate")
	assert.False(t, s.worker.Said("2533274790395904"), "a sender is a player in server mode")

	for _, name := range []string{"partner.pem", "partner-key.pem"} {
		content, err := os.ReadFile(filepath.Join(s.sim.Certificates, name))
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(filepath.Join(certificates, name), content, 0o600))
	}
	s.worker.Hangup()
	s.awaitSent(first, s.publish("2533274790395904"), s.publish("2533274790395905"))
	ledger := s.sim.AuthLedger()
	assert.Equal(t, 1, ledger.ServiceTokens)
	assert.Equal(t, 1, ledger.AccessTokens, "all senders use it")
	assert.Empty(t, ledger.InvitesRefused)

	status, out = s.checkToken("2533274790395904")
	assert.Zero(t, status, out)
	assert.Contains(t, out, "the title's own service")
	assert.Regexp(t, `ends .* in (8 h|7 h 59 m)`, out)
	s.audit(0)
}

func TestATokenIsRefreshedAheadAndNoPlayerWaitsForIt(t *testing.T) {
	t.Parallel()
	s := newTitleService(t, clientMode, "", unlimited, "--auth-token-life", "8s", "--auth-latency", "1200ms") // longer than a call waits
	ada, bob := s.delegate(1001), s.delegate(1002)
	s.awaitSent(s.publish(ada), s.publish(bob))
	without := s.refreshes("unavailable")
	var jobs []string
	tokens := 0 // counted at once: a third one follows in a few seconds
	harness.Until(t, 30*time.Second, "each has had a second token", func() bool {
		jobs = append(jobs, s.publish(ada), s.publish(bob))
		tokens = s.sim.AuthLedger().AccessTokens
		return tokens >= 4
	})
	s.awaitSent(jobs...)
	var longest time.Duration
	for _, job := range jobs {
		r, _ := s.result(job)
		longest = max(longest, r.EndedAt.Sub(r.PublishedAt))
	}
	assert.Equal(t, without, s.refreshes("unavailable"), "no call finds no token")
	assert.Less(t, longest, harness.Slower*time.Second, "and no job waits for one")
	ledger := s.sim.AuthLedger()
	assert.Empty(t, ledger.InvitesRefused, "no call is made with a token that has ended")
	assert.Empty(t, ledger.Refused)
	assert.Equal(t, 4, tokens, "each is refreshed once in its life")
	t.Logf("%d jobs, the slowest took %s", len(jobs), longest)
	s.audit(0)
}

func TestARefusedTokenIsReplacedOnceAndNothingIsDead(t *testing.T) {
	t.Parallel()
	s := newTitleService(t, clientMode, "", unlimited)
	senders := []string{s.delegate(1001), s.delegate(1002), s.delegate(1003), s.delegate(1004), s.delegate(1005)}
	each := func(senders ...string) (jobs []string) {
		for _, sender := range senders {
			jobs = append(jobs, s.publish(sender))
		}
		return jobs
	}
	s.awaitSent(each(senders...)...)
	before := s.sim.AuthLedger()
	require.Equal(t, 5, before.AccessTokens)

	// It is revoked.
	require.Equal(t, 1, s.sim.Revoke(`{"tokens":"access","xuid":"1001"}`))
	s.awaitSent(each(senders[0], senders[0], senders[0], senders[0], senders[1])...)
	after := s.sim.AuthLedger()
	assert.Equal(t, 6, after.AccessTokens, "exactly one new token, however many calls were refused")
	assert.Positive(t, after.InvitesRefused["revoked_token"])
	assert.Equal(t, 1, after.ServiceTokens)

	// So is the service token.
	require.Equal(t, 1, s.sim.Revoke(`{"tokens":"service"}`))
	require.Equal(t, 1, s.sim.Revoke(`{"tokens":"access","xuid":"1002"}`))
	s.awaitSent(each(senders[1], senders[2])...)
	after = s.sim.AuthLedger()
	assert.Equal(t, 2, after.ServiceTokens, "it authenticates again")
	assert.Equal(t, 7, after.AccessTokens)
	assert.Equal(t, map[string]int{"xerr_8015dc27": 1}, after.Refused)

	// All have ended before their time.
	require.Positive(t, s.sim.Expire())
	s.awaitSent(each(senders[2:]...)...)
	after = s.sim.AuthLedger()
	assert.Equal(t, 3, after.ServiceTokens)
	assert.Equal(t, 10, after.AccessTokens)
	assert.Positive(t, after.Refused["xerr_8015dc1f"])
	s.audit(0)
}

func TestASenderWhomThePlatformRefusesWaitsForAPersonAndNobodyElseDoes(t *testing.T) {
	t.Parallel()
	s := newTitleService(t, clientMode, "", unlimited)
	refusals := []uint64{
		0x8015DC03, 0x8015DC05, 0x8015DC09, 0x8015DC0A, 0x8015DC0B, 0x8015DC0C, 0x8015DC0D, 0x8015DC0E, 0x8015DC0F, 0x8015DC10, 0x8015DC12,
		0x8015DC13, 0x8015DC22, 0x8015DC26,
	}
	faults := map[string]uint64{}
	var refused, waiting []string
	for i, xerr := range refusals {
		xuid := uint64(2001 + i)
		faults[strconv.FormatUint(xuid, 10)] = xerr
		refused = append(refused, s.delegate(xuid))
	}
	text, err := json.Marshal(map[string]any{"senders": faults})
	require.NoError(t, err)
	s.sim.SetAuthFaults(string(text))
	good := s.delegate(1001)
	for _, sender := range refused {
		waiting = append(waiting, s.publish(sender))
	}
	late := s.publish(refused[0], fmt.Sprintf(`,"expiresAt":%q`, time.Now().Add(3*time.Second).Format(time.RFC3339Nano)))
	s.awaitSent(s.publish(good))
	s.awaitOverview(append(slices.Clone(refused), "banned", "parent", "terms of use", "sandbox", "delegat")...)
	assert.GreaterOrEqual(t, s.refreshes("denied"), len(refused))
	s.awaitSent(s.publish(good))
	harness.Until(t, 15*time.Second, "its time is over", func() bool { _, known := s.result(late); return known })
	r, _ := s.result(late)
	assert.Equal(t, "expired", r.Reason, "a player no longer waits for it")
	for _, job := range waiting {
		_, known := s.result(job)
		assert.Falsef(t, known, "%s waits", job)
	}
	status, out := s.checkToken(refused[0], "--json")
	assert.Equal(t, 1, status)
	assert.Contains(t, out, `"problem":"denied"`)
	assert.Contains(t, out, `"needsAct":true`)

	asked := s.sim.AuthLedger().Calls
	s.sim.SetAuthFaults(`{}`)
	s.worker.Hangup()
	s.awaitSent(waiting...)
	assert.LessOrEqual(t, s.sim.AuthLedger().Calls-asked, len(refused)+1, "one request for each")
	s.audit(1)
}

func TestTroubleOfTheAuthServicesCostsTimeAndNothingElse(t *testing.T) {
	t.Parallel()
	s := newTitleService(t, clientMode, "", unlimited)
	served := s.delegate(1001)
	s.awaitSent(s.publish(served))
	xuid := uint64(3000)
	trouble := func(faults string, result string) {
		s.sim.SetAuthFaults(faults)
		var jobs []string
		before := s.refreshes(result)
		for range 3 {
			xuid++
			jobs = append(jobs, s.publish(s.delegate(xuid)))
		}
		harness.Until(t, 15*time.Second, "a metric tells", func() bool { return s.refreshes(result) > before })
		s.awaitSent(s.publish(served)) // with the token it has
		s.sim.SetAuthFaults(`{}`)
		s.awaitSent(jobs...)
	}
	trouble(`{"throttle":true,"retryAfter":"1s"}`, "throttled")
	trouble(`{"unavailable":true}`, "unavailable")
	trouble(`{"slowBy":"1500ms"}`, "unavailable")
	for _, off := range []string{"-11m", "22m"} {
		s.sim.SetAuthFaults(`{"clockOffset":"` + off + `"}`)
		xuid++
		s.awaitSent(s.publish(served), s.publish(s.delegate(xuid)))
		status, out := s.checkToken(served)
		assert.Zerof(t, status, "another process learns the time too: %s", out)
		assert.Regexp(t, `ends .* in (8 h|7 h 59 m)`, out)
	}
	s.audit(0)
}

func TestTheAuthServicesAreAskedAsOftenAsTheyMayBe(t *testing.T) {
	t.Parallel()
	s := newTitleService(t, clientMode, "", "5/1s")
	var jobs []string
	for xuid := range uint64(14) {
		jobs = append(jobs, s.publish(s.delegate(1001+xuid)))
	}
	s.awaitSent(jobs...)
	ledger := s.sim.AuthLedger()
	assert.Equal(t, 15, ledger.Calls, "for each sender one, and one for all")
	assert.Zero(t, ledger.Throttled, "by the fixed windows of the other side")
	s.audit(0)
}
