package queue

import (
	"errors"
	"math"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/go-json-experiment/json"
	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// What a worker reads of streams was written by another: of another version, or by somebody who may write there and means
// harm. These targets are about records that no worker would write.

// publishedAt is when the jobs of these tests were published.
var publishedAt = time.Date(2026, 11, 22, 8, 0, 0, 123, time.UTC)

// deliveryOf is a job as it comes out of its stream.
func deliveryOf(subject string, header nats.Header, body []byte) *Delivery {
	return newDelivery(message{
		subject: subject, header: header, data: body, stream: JobsStream, sequence: 7, stored: publishedAt, delivered: 1,
	})
}

// oneLine says that text can be shown, and be written as a header or as JSON.
func oneLine(s string) bool {
	return utf8.ValidString(s) && !strings.ContainsAny(s, "\r\n\x00\x1b\u2028")
}

// FuzzHeaders reads a message's block of headers, as it is on the wire, and a body. Whatever comes: it makes a delivery that
// can be buried, a letter that can be shown, and a replay of that with the same name and the same recipients.
func FuzzHeaders(f *testing.F) {
	const body = `{"invitedUsers":["11","12"],"id":"a"}`
	for _, block := range []string{
		"", "Nats-Msg-Id: m\r\ntraceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\r\n", "Traceparent: x\r\n",
		"Invite-Reason: rejected\r\nInvite-Detail: no\r\nInvite-Status: 400\r\nInvite-Attempts: 3\r\nInvite-Job-Id: a\r\n" +
			"Invite-Subject: invites.jobs.730.ada\r\nInvite-Published-At: 2026-11-22T08:00:00.000000123Z\r\n" +
			"Invite-Dead-At: 2026-11-22T08:00:01Z\r\n",
		"Invite-Subject: invites.jobs.730.a b\r\n", "Invite-Subject: invites.jobs.*.>\r\n", "Invite-Subject: invites.jobs..\r\n",
		"Invite-Subject: invites.campaigns.730.ada.finals\r\nInvite-Job-Id: \xff\r\n",
		"Invite-Job-Id: \x1b[31mred\r\nInvite-Reason: \x1b[0m\r\n", "Invite-Status: -1\r\nInvite-Attempts: 99999999999999999999\r\n",
		"Invite-Published-At: 2026-11-22T08:00:00+24:00\r\nInvite-Dead-At: 0000-01-01T00:00:00,5-23:59\r\n",
		"Invite-Replay: replay:7:abc\r\nInvite-Job: INVITES:7\r\n", "a\r\n", ": b\r\n", "a: b\r\n c\r\n", "A: 1\r\na: 2\r\nA: 3\r\n",
		"traceparent: " + strings.Repeat("0", maxTraceparent+1) + "\r\n",
	} {
		f.Add([]byte(block), "invites.part.3.730.ada", []byte(body))
	}
	f.Add([]byte("Invite-Subject: invites.jobs.730.ada\r\nInvite-Job-Id: \xff\xfe\r\n"), "", []byte(`{"invitedUsers":["1"]}`))
	f.Add([]byte("Invite-Subject: invites.jobs.730.ada\r\n"), "invites.jobs.0.\xff", []byte("{"))
	f.Add([]byte{}, "invites.part.", []byte(`{"invitedUsers":["1"],"expiresAt":"2001-01-01T00:00:00Z"}`))
	f.Fuzz(func(t *testing.T, block []byte, subject string, body []byte) {
		header, err := nats.DecodeHeadersMsg([]byte("NATS/1.0\r\n" + string(block) + "\r\n"))
		if err != nil {
			return // the library drops such a message
		}
		d := deliveryOf(subject, header, body)
		require.True(t, len(d.Traceparent) <= 3*maxTraceparent && oneLine(d.Traceparent), "%q", d.Traceparent)
		require.NotEmpty(t, d.ID())

		const room = 1 << 20
		written := letter(d, Dead{Reason: Invalid, Detail: string(block)}, Ending{EndedAt: publishedAt}, room)
		require.LessOrEqual(t, size(written), int64(room)+int64(len(body)))
		own := letterOf(written.Header, written.Data)
		require.Equal(t, printable(d.ID()), own.JobID)
		require.Equal(t, printable(d.Subject()), own.Subject)
		requireReplayable(t, own)
		requireReplayable(t, letterOf(header, body))
	})
}

// requireReplayable: a letter can be shown as JSON, and what is published in its place is the same job.
func requireReplayable(t *testing.T, l DeadLetter) {
	t.Helper()
	for _, text := range []string{string(l.Reason), l.Detail, l.ErrorCode, l.JobID, l.Subject, l.Traceparent} {
		require.True(t, oneLine(text), "%q", text)
	}
	require.True(t, l.Status >= 0 && l.Attempts >= 0)
	shown := l
	shown.Body = nil
	_, err := json.Marshal(shown)
	require.NoError(t, err)

	m, stream, err := replayMessage(l)
	if err != nil {
		require.True(t, err == ErrNotReplayable || err == ErrPast, "%v", err) //nolint:errorlint // these very values
		return
	}
	require.Equal(t, l.Subject, m.Subject)
	require.Equal(t, stream == JobsStream, strings.HasPrefix(m.Subject, jobsPrefix))
	require.NotRegexp(t, `\s|\.\.|\.$|\.[*>](\.|$)`, m.Subject)
	before, err := DecodeJob(l.Body)
	if err != nil {
		require.Equal(t, l.Body, m.Data, "what is no job is published byte for byte")
		return
	}
	after, err := DecodeJob(m.Data)
	require.NoError(t, err, "%q", m.Data)
	require.Equal(t, before.InvitedUsers, after.InvitedUsers)
	require.Equal(t, before.ConnectionString, after.ConnectionString)
	if before.ID != "" {
		require.Equal(t, before.ID, after.ID)
	}
}

// FuzzResult: what is read of INVITE_RESULTS can be shown, and is the same when it is written again.
func FuzzResult(f *testing.F) {
	for _, seed := range []string{
		`{"id":"a","titleId":730,"sender":"ada","campaign":"","sent":1,"dead":0,"reason":"","attempts":1,` +
			`"publishedAt":"2026-11-22T08:00:00Z","endedAt":"2026-11-22T08:00:01.5Z","maybeDuplicate":true}`,
		`{}`, `null`, `[]`, `{"id":1}`, `{"id":"a","id":"b"}`, "{\"id\":\"\xff\"}", `{"titleId":-1}`, `{"titleId":4294967296}`,
		`{"sent":1e3}`, `{"sent":99999999999999999999}`, `{"publishedAt":"2026-11-22T08:00:00+24:00"}`, `{"reason":"\u001b[31m"}`,
		`{"later":{"version":2}}`, `{"endedAt":"0000-01-01T00:00:00+23:59"}`,
	} {
		f.Add([]byte(seed), "INVITES:7")
	}
	f.Add([]byte(`{}`), "\xff\x1b")
	f.Fuzz(func(t *testing.T, data []byte, job string) {
		r, err := parseResult(&nats.Msg{Data: data, Header: nats.Header{headerJob: {job}}})
		if err != nil {
			return
		}
		require.True(t, oneLine(r.Job), "%q", r.Job)
		written, err := json.Marshal(r)
		require.NoError(t, err, "it can be shown")
		again, err := parseResult(&nats.Msg{Data: written, Header: nats.Header{headerJob: {r.Job}}})
		require.NoError(t, err)
		require.True(t, r.EndedAt.Equal(again.EndedAt) && r.PublishedAt.Equal(again.PublishedAt))
		r.EndedAt, r.PublishedAt, again.EndedAt, again.PublishedAt = time.Time{}, time.Time{}, time.Time{}, time.Time{}
		require.Equal(t, r, again)
	})
}

// FuzzProgressRecord: what is believed of a record is consistent, and is the same when it is written again. Metrics and
// dead letters are made of it.
func FuzzProgressRecord(f *testing.F) {
	d := deliveryOf("invites.jobs.730.ada", nil, []byte(`{"invitedUsers":["11","12","13","14","15","16","17","18","19"]}`))
	users := d.Job.InvitedUsers
	for _, p := range []Progress{
		{}, {Ended: []bool{true}, Sent: 1, Attempts: 1}, {Attempts: 3, MaybeDuplicate: true},
		{Ended: []bool{true, false, true, true, false, false, false, false, true}, Sent: 2, Attempts: 4, Dead: []Dead{
			{Reason: Rejected, Detail: "no", Status: 400, ErrorCode: "InvalidRequest", Recipients: users[2:3]},
			{Reason: Forbidden, Status: 403, Recipients: users[3:4]},
		}},
	} {
		data, err := encodeProgress(d, p)
		require.NoError(f, err)
		f.Add(data)
		f.Add([]byte(strings.ReplaceAll(string(data), "rejected", "tired")))
		f.Add([]byte(strings.ReplaceAll(string(data), `"sent":`, `"sent":-`)))
		f.Add(data[:len(data)/2])
	}
	for _, seed := range []string{``, `{}`, `null`, `{"recipients":9,"ended":""}`, `{"published":0,"ended":"////"}`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		p, err := decodeProgress(d, data)
		var record progressRecord
		if json.Unmarshal(data, &record) == nil && !errors.Is(err, errOtherJob) {
			counted, contradiction := record.counts()
			require.Equal(t, err, contradiction, "who goes on with the job and who counts it believe the same")
			require.Equal(t, p.Sent, counted.sent)
		}
		if err != nil {
			require.Zero(t, p)
			return
		}
		require.Len(t, p.Ended, len(users))
		ended := map[XUID]int{}
		for i, yes := range p.Ended {
			if yes {
				ended[users[i]]++
			}
		}
		open := len(ended) - p.Sent
		for _, dead := range p.Dead {
			require.True(t, dead.Reason.Known(), "%q", dead.Reason)
			require.NotEmpty(t, dead.Recipients)
			open -= len(dead.Recipients)
			for _, x := range dead.Recipients {
				require.Equal(t, 1, ended[x], "it ended, and is in no other letter")
				ended[x]++
			}
		}
		require.Zero(t, open, "who ended was sent or is dead")
		require.True(t, p.Sent >= 0 && p.Attempts >= 0)
		for i := range p.Dead { // what is written is made printable
			p.Dead[i].Detail, p.Dead[i].ErrorCode = cut(printable(p.Dead[i].Detail), maxDetail), printable(p.Dead[i].ErrorCode)
		}
		written, err := encodeProgress(d, p)
		require.NoError(t, err)
		again, err := decodeProgress(d, written)
		require.NoError(t, err)
		require.Equal(t, p, again)
	})
}

// FuzzTallyRecord: whatever the record says, results can be added to it, the rate is a number, and it can be written again.
func FuzzTallyRecord(f *testing.F) {
	for _, seed := range []string{
		`{}`, `null`, `[]`, `{"through":7,"jobs":2,"sent":30,"dead":{"rejected":2},"ofOrder":32,"highest":2,` +
			`"firstEndedAt":"2026-11-22T08:00:00Z","lastEndedAt":"2026-11-22T08:00:09Z","ended":[{"seq":1,"published":1795334400000000001}],` +
			`"history":[{"at":1795334400000,"sent":0},{"at":1795334410000,"sent":30,"dead":2}]}`,
		`{"cancelled":-1}`, `{"cancelled":9223372036854775807}`,
		`{"sent":-1}`, `{"sent":9223372036854775807}`, `{"dead":{"rejected":-3}}`, `{"dead":{"tired":3}}`, `{"highest":9223372036854775807}`,
		`{"history":[{"at":2,"sent":1},{"at":1,"sent":2}]}`, `{"history":[{"at":-1,"sent":1}]}`, `{"history":[{"at":9223372036854775807}]}`,
		`{"history":[{"at":1,"sent":9223372036854775807,"dead":9223372036854775807}]}`, `{"firstEndedAt":"0000-01-01T00:00:00+23:59"}`,
		`{"ended":[{"seq":18446744073709551615,"published":-1}]}`, `{"history":[` + strings.Repeat(`{"at":1,"sent":1},`, 99) + `{"at":1,"sent":1}]}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := decodeTally(data)
		if err != nil {
			require.Zero(t, r)
			return
		}
		s := sums{tally: &tally{tallyRecord: r}, at: publishedAt}
		if s.order.Recipients = r.OfOrder; r.OfOrder > 0 {
			s.order.ID = "abcd2345"
		}
		s.count(r.Through, Result{Sent: 16, EndedAt: publishedAt}, nil)
		s.addMark(partly{campaignJob{1, 1}: {sent: 3, dead: map[Reason]int{Rejected: 2}}})
		require.LessOrEqual(t, len(s.History), maxMarks)
		c := s.withPartly(nil, s.status(1))
		require.Equal(t, r.Sent+16, c.Sent)
		require.GreaterOrEqual(t, c.Cancelled, 0)
		require.GreaterOrEqual(t, c.DeadRecipients(), 0)
		require.True(t, c.Rate >= 0 && c.Rate <= maxCounted, "%v", c.Rate)
		require.LessOrEqual(t, len(c.History), maxMarks+1)
		for i, m := range c.History {
			require.True(t, m.Sent >= 0 && m.Dead >= 0 && (i == 0 || m.At.After(c.History[i-1].At)), "%v", c.History)
		}
		_, err = json.Marshal(c.History)
		require.NoError(t, err)
		written, err := json.Marshal(s.tallyRecord)
		require.NoError(t, err)
		again, err := decodeTally(written)
		require.NoError(t, err)
		require.Equal(t, s.History, again.History)
	})
}

// FuzzKeyRecord: no record makes a worker count without end, or leave a key alone for longer than a day.
func FuzzKeyRecord(f *testing.F) {
	const subject = "invites.keys.3.730.ada"
	for _, seed := range []string{
		`{}`, `{"ago":[3000,2000,1000],"open":1,"blockedFor":15000,"learnt":[{"max":7,"perMs":15000,"most":7}]}`,
		`{"ago":[5,1],"n":[100,2]}`, `{"ago":[1],"n":[]}`, `{"ago":[],"n":[1]}`, `{"ago":[0],"n":[1000000000000]}`, `{"open":9223372036854775807}`,
		`{"ago":[-9223372036854775808,9223372036854775807]}`, `{"blockedFor":9223372036854775807}`, `{"ago":[1],"n":[-1]}`,
		`{"learnt":[{"max":-1,"perMs":1},{"max":1,"perMs":9223372036854775807}]}`, `{"open":-1}`, `[]`, `{"ago":[1.5]}`, `null`,
		`{"noToken":"token of sender \"ada\" is missing","noTokenFor":60000}`, `{"noToken":"\u0000\r\n","noTokenFor":-1}`,
		`{"reservedFor":900000}`, `{"reservedFor":9223372036854775807}`, `{"reservedFor":-1}`,
	} {
		f.Add(subject, []byte(seed))
	}
	for _, bad := range []string{"", "invites.keys", "invites.keys.", "invites.keys.x.730.ada", "invites.keys.3.0.ada", "invites.keys.3.730.a.b"} {
		f.Add(bad, []byte(`{}`))
	}
	f.Fuzz(func(t *testing.T, subject string, data []byte) {
		s, err := stateOf(subject, data, publishedAt)
		if err != nil {
			require.Zero(t, s)
			return
		}
		require.NoError(t, Address{TitleID: s.TitleID, Sender: s.Sender}.Validate())
		calls := s.Open
		require.GreaterOrEqual(t, s.Open, 0)
		for _, run := range s.Calls {
			require.GreaterOrEqual(t, run.N, 0)
			require.False(t, run.At.After(publishedAt) || run.At.Before(publishedAt.Add(-keysKept)), "%v", run.At)
			calls += run.N
		}
		require.LessOrEqual(t, calls, maxKeyCalls)
		require.False(t, s.BlockedUntil.After(publishedAt.Add(maxBlock)), "%v", s.BlockedUntil)
		require.False(t, s.ReservedUntil.After(publishedAt.Add(keysKept)), "%v", s.ReservedUntil)
		require.LessOrEqual(t, len(s.NoTokenWhy), maxWhy)
		require.Equal(t, s.NoTokenSince.IsZero(), s.NoTokenWhy == "")
		require.False(t, s.NoTokenSince.After(publishedAt) || strings.ContainsAny(s.NoTokenWhy, "\r\n\x00"), "%v %q", s.NoTokenSince, s.NoTokenWhy)
		require.LessOrEqual(t, len(s.Learnt), maxLearnt)
		for _, w := range s.Learnt {
			require.True(t, w.Max > 0 && w.Most >= 0 && w.Per > 0 && w.Per <= keysKept, "%v", w)
		}
		written, err := json.Marshal(recordOf(s, publishedAt))
		require.NoError(t, err)
		again, err := stateOf(subject, written, publishedAt)
		require.NoError(t, err)
		if left := again.BlockedUntil.Sub(s.BlockedUntil); !s.BlockedUntil.IsZero() { // rounded up
			require.True(t, left >= 0 && left <= time.Millisecond, "%v", left)
			again.BlockedUntil = s.BlockedUntil
		}
		require.Equal(t, s, again)
	})
}

// FuzzWorkerRecord: whatever is heard of other workers, this one stays what it is, and only who was heard of owns anything.
func FuzzWorkerRecord(f *testing.F) {
	for _, seed := range []string{`{}`, `{"leaving":true}`, `{"left":true}`, `{"worker":"b","over":3}`, `{"worker":"me"}`, `{"worker":"b","released":true}`,
		`{"over":18446744073709551615}`, `{"over":-1}`, `null`, `[`, ``, "{\"worker\":\"\xff\"}"} {
		for _, subject := range []string{"invites.workers.alive.b", "invites.workers.alive.me", "invites.workers.owner.1", "invites.workers.owner.-1",
			"invites.workers.owner.99999999999999999999", "invites.workers.owner.", "invites.workers.x"} {
			f.Add(subject, []byte(seed))
		}
	}
	f.Fuzz(func(t *testing.T, subject string, data []byte) {
		const partitions = 4
		m := &members{
			q: &Queue{}, me: "me", others: make(map[string]*member), changed: make(chan struct{}),
			shares: newShares("me", partitions), claims: make([]uint64, partitions), tenures: make([]atomic.Int64, partitions),
		}
		m.shares.set("me", true)
		var all []*partition
		lost := make([]bool, partitions)
		for n := range partitions {
			p := newPartition(n, m, DeliverFunc(nil), nil)
			p.cancel = func(error) { lost[n] = true }
			all = append(all, p)
		}
		m.receive(&nats.Msg{Subject: subject, Data: data}, all)
		assert.NotContains(t, m.others, "me")
		assert.LessOrEqual(t, len(m.others), 1)
		for _, owner := range m.shares.owners {
			assert.True(t, owner == "me" || m.others[owner] != nil && !m.others[owner].leaving, "%q", owner)
		}
		for n, gone := range lost {
			assert.True(t, !gone || subject == ownerSubject(n) || !strings.HasPrefix(subject, "invites.workers.owner."+string(rune('0'+n))),
				"%s ended the work on partition %d", subject, n)
		}
	})
}

// FuzzMessageID: the ID of a result names a message, and only one.
func FuzzMessageID(f *testing.F) {
	for _, seed := range []string{
		"result:INVITES:7:dd4s5yqcm2o1", "result:INVITES:7:-1", "result:INVITES:+7:1", "result::0:0", "result:a:b:c:d", "result:INVITES:7:", "dead:INVITES:7:1",
		"result:INVITES:18446744073709551616:1", "", "result:INVITES:07:A",
	} {
		f.Add(seed, uint64(7), publishedAt.UnixNano())
	}
	f.Add("", uint64(math.MaxUint64), int64(math.MinInt64))
	f.Fuzz(func(t *testing.T, id string, sequence uint64, published int64) {
		if key, ok := settledKey(nats.Header{nats.MsgIdHdr: {id}}); ok {
			require.Equal(t, id, resultIDPrefix+key.String(), "two IDs of one message")
		}
		key := messageKey{JobsStream, sequence, published}
		read, ok := settledKey(nats.Header{nats.MsgIdHdr: {resultIDPrefix + key.String()}})
		require.True(t, ok && read == key, "%v", read)
	})
}

// FuzzStoredSubject: subjects as they stand in streams, readable or not.
func FuzzStoredSubject(f *testing.F) {
	for _, seed := range []string{
		"invites.part.3.730.ada", "invites.part.3", "invites.part.", "invites.jobs.730.ada", "invites.campaigns.730.ada.finals",
		"invites.campaigns.0.\xff.x", "invites.campaigns", "", "...", "invites.part.3.invites.jobs.1.a",
	} {
		f.Add(seed, uint16(16))
	}
	f.Fuzz(func(t *testing.T, subject string, n uint16) {
		producers := published(subject)
		if a, err := ParseSubject(producers); err == nil {
			require.Equal(t, a.Subject(), producers)
			require.Equal(t, map[uint32]uint64{a.TitleID: 5}, titlesOf(map[string]uint64{subject: 5}))
			if a.Campaign != "" {
				require.Equal(t, PartitionOf(a, int(n)+1), partitionOfCampaign(producers, int(n)+1))
			}
		}
		got := partitionOfCampaign(subject, int(n)+1)
		require.True(t, got >= 0 && got <= int(n), "%d", got)
		if transform := partitionTransform(int(n) + 1); transform.Destination != subject {
			transform.Destination = subject
			require.GreaterOrEqual(t, partitionsOf(transform), 0)
		} else {
			require.Equal(t, int(n)+1, partitionsOf(transform))
		}
	})
}

// FuzzCampaignRecord: an upload goes on where a record says, and results' headers are counted.
func FuzzCampaignRecord(f *testing.F) {
	f.Add([]byte(`{"id":"abcd2345","recipients":100,"digest":"","content":"","createdAt":"2026-11-25T17:00:00Z","stored":3,"sending":4,"after":9}`), "rejected=2,expired=1")
	f.Add([]byte(`{"id":"a.b","recipients":-1,"stored":9223372036854775807,"sending":1}`), "7 sent=3 rejected=2")
	f.Add([]byte(`{"id":"a","recipients":9223372036854775807,"stored":0}`), "7 sent=0")
	f.Add([]byte(`{"paused":true,"startAt":"2026-12-24T18:00:00Z","rate":0.5}`), "7 sent=3 rejected=2 cancelled=5")
	f.Add([]byte(`{"cancelled":true,"rate":1e300}`), "7 sent=3 cancelled=-5")
	f.Add([]byte(`{"rate":-0.0}`), "7 sent=3 cancelled=5 maybeDuplicate")
	f.Fuzz(func(t *testing.T, data []byte, header string) {
		if terms, err := decodeTerms(data); err == nil {
			written, err := json.Marshal(terms)
			require.NoError(t, err)
			again, err := decodeTerms(written)
			require.NoError(t, err)
			require.Equal(t, terms, again)
		}
		if r, err := decodeOrder(data); err == nil {
			require.Positive(t, r.Recipients)
			require.True(t, r.Stored >= 0 && r.Sending >= 0 && r.Sending <= maxBatch && (r.Stored+r.Sending-1)*callSize < r.Recipients)
			a := Address{TitleID: 1, Sender: "s", Campaign: "c"}
			require.Equal(t, 1, r.numberOf(a, r.jobPrefix(a)+"1"))
			n := r.numberOf(a, header)
			require.True(t, n == 0 || header == r.jobPrefix(a)+strconv.Itoa(n))
		}
		if counts, ok := decodeCounts(header); ok {
			require.Equal(t, header, encodeCounts(counts))
		}
		if s, ok := decodeSuperseded(header); ok {
			require.Equal(t, header, encodeSuperseded(s))
		}
	})
}

// FuzzQuotaRecord: what is planned with is what can be configured, and is the same when it is written again.
func FuzzQuotaRecord(f *testing.F) {
	for _, seed := range []string{
		`{"windows":[{"max":7,"perMs":15000},{"max":50,"perMs":300000}],"maxInFlight":4,"interactiveReserve":0.1,"titles":{"730":{"windows":[],"maxInFlight":1}}}`,
		`{}`, `null`, `[]`, `{"windows":[{"max":0,"perMs":1}]}`, `{"windows":[{"max":1,"perMs":-1}]}`, `{"windows":[{"max":9223372036854775807,"perMs":1}]}`,
		`{"windows":[{"max":1,"perMs":9223372036854775807}]}`, `{"interactiveReserve":1}`, `{"interactiveReserve":-0.1}`, `{"interactiveReserve":1e400}`,
		`{"titles":{"-1":{}}}`, `{"titles":{"1":{"maxInFlight":-1}}}`, `{"titles":{"1":{},"01":{}}}`, `{"maxInFlight":1025}`,
		`{"windows":[` + strings.Repeat(`{"max":1,"perMs":1},`, maxQuotaWindows) + `{"max":1,"perMs":1}]}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		q, err := decodeQuota(data)
		if err != nil {
			require.Zero(t, q)
			return
		}
		require.True(t, q.Reserve >= 0 && q.Reserve < 1, "%v", q.Reserve)
		require.LessOrEqual(t, len(q.Titles), maxQuotaTitles)
		if q.Titles == nil {
			q.Titles = make(map[uint32]Limits)
		}
		q.Titles[0] = q.Limits // so that it is looked at like the others
		for id, l := range q.Titles {
			require.Equal(t, l, q.For(id))
			require.LessOrEqual(t, len(l.Windows), maxQuotaWindows)
			for _, w := range l.Windows {
				require.True(t, w.Max > 0 && w.Max <= maxWindowCalls && w.Per > 0 && w.Per <= keysKept, "%v", w)
			}
		}
		written, err := json.Marshal(recordOfQuota(q))
		require.NoError(t, err)
		again, err := decodeQuota(written)
		require.NoError(t, err)
		require.Equal(t, q, again)
	})
}
