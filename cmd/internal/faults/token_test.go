package faults

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/invitedhq/invited/cmd/internal/harness"
	"github.com/invitedhq/invited/queue"
)

// tokenFault is what becomes of one sender's token file, and how it is mended.
type tokenFault struct {
	sender string // the file's name, and what happens to it
	broke  func(f tokenFile)
	mend   func(f tokenFile)
	alert  string // the result that invited_token_refreshes_total counts
}

// tokenFile is a sender's.
type tokenFile struct {
	t     *testing.T
	path  string
	holds string // the good token
	aside string // a directory
}

func (f tokenFile) write(content string) {
	f.t.Helper()
	require.NoError(f.t, os.WriteFile(f.path, []byte(content), 0o600))
}

// replace puts a new one in its place by rename, as is best.
func (f tokenFile) replace(content string) {
	f.t.Helper()
	file := filepath.Join(f.aside, filepath.Base(f.path))
	require.NoError(f.t, os.WriteFile(file, []byte(content), 0o600))
	require.NoError(f.t, os.Rename(file, f.path))
}

func (f tokenFile) chmod(mode os.FileMode) {
	f.t.Helper()
	require.NoError(f.t, os.Chmod(f.path, mode))
}

// half is a token that was not written to its end, and looks like one all the same.
func half(token string) string { return token[:len(token)-2] }

func tokenFaults() []tokenFault {
	write := func(f tokenFile) { f.write(f.holds) }
	replace := func(f tokenFile) { f.replace(f.holds + "-new") }
	return []tokenFault{
		{"missing", func(f tokenFile) { require.NoError(f.t, os.Remove(f.path)) }, write, "missing"},
		{"empty", func(f tokenFile) { f.write("") }, write, "invalid"},
		{"garbage", func(f tokenFile) { f.write("\x00\xff\n{}") }, replace, "invalid"},
		{"begun", func(f tokenFile) { f.write("XBL3.0 x=ha") }, write, "invalid"},
		{"half", func(f tokenFile) { f.write(half(f.holds)) }, write, "refused"},
		{"long", func(f tokenFile) { f.write(f.holds + strings.Repeat("x", 64<<10)) }, write, "invalid"},
		{"open-to-all", func(f tokenFile) { f.chmod(0o644) }, func(f tokenFile) { f.chmod(0o600) }, "invalid"},
		{"directory", func(f tokenFile) {
			require.NoError(f.t, os.Remove(f.path))
			require.NoError(f.t, os.Mkdir(f.path, 0o700))
		}, func(f tokenFile) {
			require.NoError(f.t, os.Remove(f.path))
			f.write(f.holds)
		}, "invalid"},
		{"expired", func(tokenFile) {}, replace, "refused"},
	}
}

// renewed is a sender whose token is good all the time, and replaced by another good one.
const renewed = "renewed"

func TestASenderWithoutAUsableTokenWaitsAndNobodyElse(t *testing.T) {
	for range *rounds {
		s := stage(t)
		faults, files := tokenFaults(), map[string]tokenFile{}
		good := append([]string{renewed}, senders...)
		all := slices.Clone(good)
		for _, f := range faults {
			all = append(all, f.sender)
		}
		s.options.Tokens = harness.WriteTokens(t, all...)
		for _, sender := range all {
			files[sender] = tokenFile{t: t, path: filepath.Join(s.options.Tokens, sender), holds: harness.TokenOf(sender), aside: t.TempDir()}
		}
		s.options.Config = "" // calls at once for as many senders
		w := s.join()
		load, ends := s.beginFor(all, 5*every), s.perSender()
		harness.Until(t, patience, "every sender's jobs end", func() bool { return ends.senders() == len(all) })

		broken := time.Now()
		refuse, err := json.Marshal(map[string][]string{"expiredTokens": {files["expired"].holds, half(files["half"].holds)}})
		require.NoError(t, err)
		for _, f := range faults {
			f.broke(files[f.sender])
		}
		w.Await(`calls fail.*result=unauthorized.*token of sender`) // of a refusal by the API there would be no other line for a minute
		s.sim.SetFaults(string(refuse))
		hold(2 * time.Second)
		quiet := time.Now() // what was in a call when its token broke has ended
		files[renewed].replace(files[renewed].holds + "-new")
		hold(time.Second)
		counted := w.Metrics()
		mended := time.Now()
		for _, f := range faults {
			f.mend(files[f.sender])
		}
		harness.Until(t, patience, "every sender's jobs end again", func() bool {
			return !slices.ContainsFunc(faults, func(f tokenFault) bool { return ends.after(f.sender, mended).IsZero() })
		})
		load.stop()

		var slowest time.Duration
		for _, f := range faults {
			assert.Positivef(t, counted.Sum("invited_token_refreshes_total", `result="`+f.alert+`"`), "%s: a metric tells", f.sender)
			assert.GreaterOrEqualf(t, ends.after(f.sender, quiet), mended, "%s: nothing ends without a token", f.sender)
			resumed := ends.after(f.sender, mended).Sub(mended)
			assert.LessOrEqualf(t, resumed, bound(2*time.Second), "%s: sending goes on with a good token", f.sender)
			slowest = max(slowest, resumed)
		}
		p99, gap := ends.figures(good, broken, mended)
		assert.Less(t, p99, bound(time.Second), "others go on at speed")
		assert.Less(t, gap, bound(time.Second), "and without a break")
		// A token is refused in each call in flight once, and then rests.
		refused := int(counted.Sum("invited_calls_total", `result="unauthorized"`))
		assert.Positive(t, refused)
		assert.LessOrEqual(t, refused, 2*2*perKey, "calls with refused tokens")
		assert.False(t, w.Said(secret), "no token is in the log")
		a := s.audit(0)
		assert.Empty(t, a.letters, "nothing is dead-lettered for want of a token")
		a.requireMetrics(w)
		a.report("tokens expired, missing, empty, half-written, open to all, replaced", 0)
		t.Logf("a good token was used within %s; p99 of other senders' jobs, publish to result, %s, their longest silence %s; %d calls with refused tokens",
			slowest, p99, gap, refused)
	}
}

// perKey is quota.max_in_flight.
const perKey = 4

// ended are results, by sender, in order.
type ended struct {
	mu sync.Mutex
	of map[string][]result
}

type result struct {
	at   time.Time // when it was seen
	took time.Duration
	from time.Time // when its job was published
}

// perSender begins to watch results.
func (s *scene) perSender() *ended {
	s.t.Helper()
	e := &ended{of: map[string][]result{}}
	sub, err := s.conn.Subscribe("invites.results.>", func(m *nats.Msg) {
		now := time.Now()
		var r queue.Result
		if json.Unmarshal(m.Data, &r) != nil {
			return
		}
		e.mu.Lock()
		defer e.mu.Unlock()
		e.of[r.Sender] = append(e.of[r.Sender], result{at: now, took: now.Sub(r.PublishedAt), from: r.PublishedAt})
	})
	require.NoError(s.t, err)
	require.NoError(s.t, s.conn.Flush())
	s.t.Cleanup(func() { _ = sub.Unsubscribe() })
	return e
}

func (e *ended) senders() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return len(e.of)
}

// after is when the sender's first result after a time was seen; zero: none was.
func (e *ended) after(sender string, from time.Time) time.Time {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, r := range e.of[sender] {
		if r.at.After(from) {
			return r.at
		}
	}
	return time.Time{}
}

// figures are those of jobs that were published in a stretch of time: the 99th percentile of the time from publish to result, and
// the longest time without a result of any one sender.
func (e *ended) figures(senders []string, from, to time.Time) (p99, gap time.Duration) {
	e.mu.Lock()
	defer e.mu.Unlock()
	var took []time.Duration
	for _, sender := range senders {
		last := from
		for _, r := range e.of[sender] {
			if r.from.After(from) && r.from.Before(to) {
				took = append(took, r.took)
			}
			if r.at.After(from) && r.at.Before(to) {
				gap = max(gap, r.at.Sub(last))
				last = r.at
			}
		}
		gap = max(gap, to.Sub(last))
	}
	if len(took) == 0 {
		return time.Duration(1<<63 - 1), gap
	}
	slices.Sort(took)
	return took[len(took)*99/100], gap
}
