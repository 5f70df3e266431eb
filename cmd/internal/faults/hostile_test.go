package faults

import (
	"bufio"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/invitedhq/invited/cmd/internal/harness"
	"github.com/invitedhq/invited/queue"
)

const (
	maxPayload = 1 << 20 // of nats-server, if nobody changes it
	headerRoom = 8 << 10 // that INVITES leaves free of it, for a dead letter's headers
	fine       = `{"invitedUsers":["7"]}`
)

// broken are bodies that are no job. %d is another number each time.
var broken = []string{
	"", " ", "{", "}", "null", "true", "0", `"x"`, "[]", "[{}]", "{}", "{}{}", "\x00", "\xff\xfe{\x00}\x00", "\xef\xbb\xbf{}", "%d",
	`{"invitedUsers":["%d"]`, `{"invitedUsers":["%d"]}}`, `{"invitedUsers":["%d"]} x`, `{"invitedUsers":["%d",]}`, `{'invitedUsers':['%d']}`,
	`{"invitedUsers":[%d]}`, `{"invitedUsers":"%d"}`, `{"invitedUsers":{"%d":1}}`, `{"invitedUsers":null}`, `{"invitedUsers":[]}`,
	`{"invitedUsers":["0%d"]}`, `{"invitedUsers":["-%d"]}`, `{"invitedUsers":["+%d"]}`, `{"invitedUsers":[" %d"]}`, `{"invitedUsers":["0x%d"]}`,
	`{"invitedUsers":["0"]}`, `{"invitedUsers":["1e%d"]}`, `{"invitedUsers":["18446744073709551616"]}`, `{"invitedUsers":["%d"],"invitedUsers":["1"]}`,
	`{"InvitedUsers":["%d"]}`, `{"invitedUsers":["%d"],"sender":"ada"}`, `{"invitedUsers":["%d"],"platform":"PS5"}`, `{"invitedUsers":["%d"],"platform":1}`,
	`{"invitedUsers":["%d"],"connectionString":{}}`, `{"invitedUsers":["%d"],"expiresAt":"soon"}`, `{"invitedUsers":["%d"],"expiresAt":1e400}`,
	`{"invitedUsers":["%d"],"id":[]}`, `{"invitedUsers":["%d"],"id":"\ud800"}`, "{\"invitedUsers\":[\"%d\"],\"id\":\"\xff\"}",
	`{"invitedUsers":["%d"],"connectionString":"` + strings.Repeat("x", 513) + `"}`, `{"invitedUsers":["%d"],"id":"` + strings.Repeat("x", 129) + `"}`,
	strings.Repeat("[", 20_000), strings.Repeat(`{"a":`, 10_000), `{"invitedUsers":[` + strings.Repeat(`"1",`, 10_000) + `"%d"]}`,
}

// nobodys are subjects that a stream takes and that are no address.
var nobodys = []string{
	"invites.jobs.0.ada", "invites.jobs.007.ada", "invites.jobs.4294967296.ada", "invites.jobs.-1.ada", "invites.jobs.x.ada", "invites.jobs.730.a!a",
	"invites.jobs.730.ünï", "invites.jobs.730." + strings.Repeat("a", 65), "invites.jobs.730.$SYS", "invites.campaigns.730.ada.a=b", "invites.campaigns.0.ada.spring",
	"invites.campaigns.730.a/b.spring", "invites.campaigns.99999999999999999999.ada.spring", "invites.campaigns.730.ada." + strings.Repeat("c", 65),
}

// floods are headers that no producer needs, with jobs that are fine or not.
func floods() (all []nats.Header) {
	many := nats.Header{}
	for i := range 4000 {
		many[fmt.Sprint("X-", i)] = []string{"v"}
	}
	forged := nats.Header{
		"Invite-Reason": {"rejected", "forbidden"}, "Invite-Subject": {"invites.jobs.1.bob"}, "Invite-Detail": {"a\r\nInvite-Reason: x", "\x00\x1b[31m"},
		"Invite-Job-Id": {strings.Repeat("j", 5000)}, "Nats-Pin-Id": {"none"}, "traceparent": {strings.Repeat("0", 4096)}, "Invite-Replay": {"a\x00b"},
	}
	return append(all, many, nats.Header{"X-Huge": {strings.Repeat("h", 60_000)}}, nats.Header{strings.Repeat("N", 60_000): {""}}, forged)
}

// hostile publishes what is no job, and knows what was taken of it.
type hostile struct {
	*outbox
	bodies map[string]int
	sent   int
}

func (s *scene) hostile() *hostile { return &hostile{outbox: s.outbox(), bodies: map[string]int{}} }

// send publishes what will be a dead letter.
func (h *hostile) send(subject, body string, header nats.Header) {
	h.s.t.Helper()
	h.put(&nats.Msg{Subject: subject, Header: header, Data: []byte(body)})
	h.bodies[body]++
	h.sent++
}

// everything sends one of each kind.
func (h *hostile) everything() {
	for i, body := range broken {
		h.send("invites.jobs.730.ada", numbered(body, i), nil)
		h.send("invites.campaigns.730.bob.spring", numbered(body, i), nil)
	}
	for _, subject := range nobodys {
		h.send(subject, fine, nil)
	}
	for _, header := range floods() {
		h.send("invites.jobs.730.ada", "{", header)
		h.send("invites.campaigns.730.bob.spring", "{", header)
	}
	for _, header := range []nats.Header{{"Status": {"409"}, "Description": {"Consumer Deleted"}}, {"Status": {"400"}}, {"Status": {"100"}}} {
		h.send("invites.jobs.730.ada", "", header)
		h.send("invites.campaigns.730.bob.spring", "", header)
	}
	for i := range 8 { // as large as can be
		body := strings.Repeat(string(rune('a'+i)), maxPayload-headerRoom)
		h.send("invites.jobs.730.eve", body, nil)
		h.send("invites.campaigns.730.eve.spring", `{"invitedUsers":["`+body[:len(body)-32], nil)
	}
}

func numbered(body string, n int) string { return strings.ReplaceAll(body, "%d", fmt.Sprint(n+1)) }

// flood sends so many at once, of many senders and campaigns: to every partition.
func (h *hostile) flood(n int) {
	for i := range n {
		sender := fmt.Sprint("mal-", i%32)
		subject := "invites.jobs.730." + sender
		if i%4 == 3 {
			subject = "invites.campaigns.730." + sender + ".flood"
		}
		h.send(subject, numbered(broken[i%41], i), nil)
	}
}

// raw sends a header block as no library would write it, with a job that is fine. The server keeps the connection.
func (s *scene) raw(subject, header, body string) {
	s.t.Helper()
	conn, err := new(net.Dialer).DialContext(s.t.Context(), "tcp", strings.TrimPrefix(s.nats.URL(), "nats://"))
	require.NoError(s.t, err)
	defer conn.Close()
	_, err = fmt.Fprintf(conn, "CONNECT {\"headers\":true,\"verbose\":false}\r\nHPUB %s %d %d\r\n%s%s\r\nPING\r\n",
		subject, len(header), len(header)+len(body), header, body)
	require.NoError(s.t, err)
	lines := bufio.NewReader(conn)
	for line := ""; !strings.HasPrefix(line, "PONG"); {
		line, err = lines.ReadString('\n')
		require.NoError(s.t, err)
	}
}

// mostMemory is what a worker may have at most, in MiB.
func mostMemory() float64 {
	if harness.Race {
		return 1500
	}
	return 200
}

func TestHostileMessagesAreDeadLettersAndOthersGoOn(t *testing.T) {
	s := stage(t)
	s.options.Config = "" // with as many calls, and endings on their way, as there are by default
	s.options.Tokens = harness.WriteTokens(t, append([]string{"eve"}, senders...)...)
	w := s.join()
	load, ends := s.beginFor(senders, 3*every), s.perSender()
	harness.Until(t, patience, "every sender's jobs end", func() bool { return ends.senders() == len(senders) })
	quiet := time.Now()
	hold(2 * time.Second)
	h, flooded := s.hostile(), time.Now()
	h.everything()
	s.publish(queue.Address{TitleID: title, Sender: "eve", Campaign: "big"}, s.job(queue.MaxInvitedUsers))
	for i, header := range []string{"", "\r\n", "X", "NATS/1.0", "NATS/1.0\r\nno colon\r\n\r\n", "NATS/1.0\r\n: no name\r\n\r\n", "NATS/2.0\r\n\r\n", "\x00\xff\r\n\r\n"} {
		j := s.job(1)
		body, err := j.Encode()
		require.NoError(t, err)
		to := queue.Address{TitleID: title, Sender: senders[i%len(senders)]}
		s.mu.Lock()
		s.jobs[j.ID] = &published{Job: j, to: to, accepted: true}
		s.mu.Unlock()
		s.raw(to.Subject(), header, string(body))
	}
	for what, m := range map[string]*nats.Msg{ // what NATS itself refuses
		"too large for the stream": {Data: make([]byte, maxPayload-headerRoom+1)},
		"too large for the server": {Data: make([]byte, maxPayload+1)},
		"a header above 64 KiB":    {Header: nats.Header{"X": {strings.Repeat("h", 70_000)}}},
		"one that empties a queue": {Header: nats.Header{"Nats-Rollup": {"all"}}},
		"one that goes by itself":  {Header: nats.Header{"Nats-TTL": {"1s"}}},
	} {
		m.Subject = "invites.jobs.730.ada"
		assert.Errorf(t, s.store(m), "%s is refused", what)
	}
	h.flood(min(*rounds*20_000, 100_000) / harness.Slower)
	h.stored()
	took := time.Since(flooded)
	harness.Until(t, patience, "all of it has ended", func() bool { return s.stored("INVITE_DEAD") >= h.sent })
	over := time.Now()
	load.stop()
	a := s.audit(0)
	h.requireLetters(a)
	before, _ := ends.figures(senders, quiet, flooded)
	beside, gap := ends.figures(senders, flooded, over)
	// Those that came behind thousands in their partition wait for their turn; nobody waits for all of it.
	assert.Less(t, gap, max(bound(2*time.Second), over.Sub(flooded)/4), "jobs of each good sender go on ending")
	memory := w.Memory()
	assert.Less(t, memory.Peak, mostMemory(), "MiB of memory")
	a.requireMetrics(w)
	a.report(fmt.Sprintf("%d hostile messages", h.sent), 0)
	t.Logf("published in %s, all dead letters after %s; p99 of good jobs, publish to result, %s before and %s beside, their longest silence %s; worker's memory at most %.0f MiB",
		took, over.Sub(flooded), before, beside, gap, memory.Peak)
}

// requireLetters fails unless each body is a dead letter, byte for byte.
func (h *hostile) requireLetters(a *audit) {
	h.s.t.Helper()
	assert.Equal(h.s.t, h.sent, a.invalid, "what is no job is a dead letter")
	left := h.bodies
	for _, l := range a.letters {
		if !assert.Equalf(h.s.t, queue.Invalid, l.Reason, "%s", l.Detail) {
			continue
		}
		if left[string(l.Body)]--; left[string(l.Body)] < 0 {
			assert.Failf(h.s.t, "another body", "%.80q of %d bytes was not published, or not as often", l.Body, len(l.Body))
		}
		assert.NotEmpty(h.s.t, l.Detail, "it says why")
	}
}
