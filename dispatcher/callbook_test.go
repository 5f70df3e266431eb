package dispatcher_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/invitedhq/invited/queue/embedded/embeddedtest"
)

// callBook is the calls of all workers as each saw them: what a worker can't
// have known or told others excuses what would break a promise, and nothing else
// does. Fake time makes that exact. It stands still until everybody waits, so
// what was answered at one instant was stored at the same one, unless its worker
// was in trouble then.
type callBook struct {
	may   func(*madeCall) error // says what speaks against a call; nil: nothing
	once  bool                  // what a worker has no answer to is not to be tried again
	exact bool                  // workers know the windows: no call may be refused for them
	log   *slog.Logger

	mu     sync.Mutex
	to     map[uint64][]*madeCall // by player
	blocks map[string][]block     // by key
	broken []string               // promises
}

func newCallBook() *callBook {
	return &callBook{to: make(map[uint64][]*madeCall), blocks: make(map[string][]block)}
}

// madeCall is one call. It is guarded by its book.
type madeCall struct {
	line   *line
	key    string // the sender's token, and the title's path
	users  []uint64
	began  time.Time
	ended  time.Time // zero: in flight
	status int       // 0: no answer was heard
}

// block is a Retry-After.
type block struct {
	call *madeCall
	ends time.Time
}

// told says whether how the call ended was heard, and could be stored.
func (c *madeCall) told() bool { return c.status != 0 && !c.line.troubled(c.began, c.ended) }

// unanswered says whether the worker knew that it would not hear how the call ended, and could store that.
func (c *madeCall) unanswered() bool {
	return c.status == 0 && !c.ended.IsZero() && !c.line.troubled(c.began, c.ended)
}

func (c *madeCall) String() string {
	return fmt.Sprintf("%s by %s at %s, status %d at %s", c.key, c.line.name, clock(c.began), c.status, clock(c.ended))
}

func clock(t time.Time) string { return t.Format("15:04:05.000") }

func (b *callBook) breaks(format string, args ...any) {
	b.broken = append(b.broken, clock(time.Now())+" "+fmt.Sprintf(format, args...))
}

// note takes note of a promise that was broken.
func (b *callBook) note(format string, args ...any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.breaks(format, args...)
}

// begin is called as a request leaves its worker.
func (b *callBook) begin(c *madeCall) {
	b.mu.Lock()
	defer b.mu.Unlock()
	c.began = time.Now()
	for _, x := range b.blocks[c.key] {
		if c.began.After(x.call.ended) && c.began.Before(x.ends) && (x.call.told() || x.call.line == c.line) {
			b.breaks("call %s: its key was to wait until %s, after call %s", c, clock(x.ends), x.call)
		}
	}
	if err := b.may(c); err != nil {
		b.breaks("call %s: %v", c, err)
	}
	for _, u := range c.users {
		for _, before := range b.to[u] {
			if before.status == http.StatusNoContent && before.told() || b.once && before.unanswered() {
				b.breaks("call %s: recipient %d was in call %s", c, u, before)
			}
		}
		b.to[u] = append(b.to[u], c)
	}
	b.log.Debug("CALL", "worker", c.line.name, "key", c.key, "to", c.users)
}

// end is called as an answer reaches its worker, or as it gives up.
func (b *callBook) end(c *madeCall, status int, retryAfter string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	c.ended, c.status = time.Now(), status
	b.log.Debug("ANSWER", "call", c, "retry_after", retryAfter)
	if seconds, err := strconv.Atoi(retryAfter); err == nil {
		b.blocks[c.key] = append(b.blocks[c.key], block{c, c.ended.Add(time.Duration(seconds) * time.Second)})
	}
	if b.exact && status == http.StatusTooManyRequests {
		b.breaks("call %s was refused: a window was exceeded", c)
	}
	if status != http.StatusNoContent || !c.told() {
		return
	}
	for _, u := range c.users {
		for _, other := range b.to[u] {
			if other != c && other.status == http.StatusNoContent && other.told() {
				b.breaks("recipient %d was sent by call %s and by call %s", u, other, c)
			}
		}
	}
}

// untold says whether how a call to the player ended was not heard, or may not be stored.
func (b *callBook) untold(player uint64) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.untoldNow(player)
}

// untoldNow is untold for who has the book locked.
func (b *callBook) untoldNow(player uint64) bool {
	return slices.ContainsFunc(b.to[player], func(c *madeCall) bool { return !c.told() })
}

// flagrant are the promises broken so far.
func (b *callBook) flagrant() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.broken)
}

// line is one worker's way to the service. It may be held, as for a process that
// is stopped for a while: what was asked gets there, the answers wait, and
// nothing new is asked. Or it ends, with its process.
type line struct {
	name string
	book *callBook
	next *http.Transport

	alive context.Context // ends with the process
	kill  context.CancelFunc

	held embeddedtest.Gate

	mu       sync.Mutex
	troubles []*trouble
}

// trouble is a time in which a worker may not have heard NATS, or not be heard.
type trouble struct{ from, to time.Time } // to is zero while it goes on

func newLine(name string, b *callBook, next *http.Transport) *line {
	l := &line{name: name, book: b, next: next}
	l.alive, l.kill = context.WithCancel(context.Background())
	return l
}

// inTrouble begins a trouble.
func (l *line) inTrouble() *trouble {
	l.mu.Lock()
	defer l.mu.Unlock()
	t := &trouble{from: time.Now()}
	l.troubles = append(l.troubles, t)
	return t
}

func (l *line) over(t *trouble) {
	l.mu.Lock()
	defer l.mu.Unlock()
	t.to = time.Now()
}

func (l *line) troubled(from, to time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.ContainsFunc(l.troubles, func(t *trouble) bool {
		return !to.Before(t.from) && (t.to.IsZero() || !from.After(t.to))
	})
}

func (l *line) everTroubled() bool { return l.troubled(time.Time{}, time.Now()) }

func (l *line) hold() { l.held.Shut() }

func (l *line) letGo() { l.held.Open() }

// wait waits while the line is held, and says whether it was.
func (l *line) wait(ctx context.Context) bool {
	waited, _ := l.held.Pass(ctx.Done())
	return waited
}

var errHeld = errors.New("the process was stopped when it wanted to ask")

// RoundTrip implements http.RoundTripper.
func (l *line) RoundTrip(r *http.Request) (*http.Response, error) {
	if l.wait(r.Context()) || l.alive.Err() != nil {
		return nil, errHeld
	}
	body, err := io.ReadAll(r.Body)
	_ = r.Body.Close()
	if err != nil {
		return nil, err
	}
	c := &madeCall{line: l, key: r.Header.Get("Authorization") + " " + r.URL.Path, users: usersOf(body)}
	l.book.begin(c)
	ctx, cancel := context.WithCancel(r.Context())
	defer context.AfterFunc(l.alive, cancel)()
	defer cancel()
	r = r.WithContext(ctx)
	r.Body = io.NopCloser(bytes.NewReader(body))
	response, answer, err := l.ask(r)
	if l.wait(r.Context()); err == nil {
		err = ctx.Err()
	}
	if err != nil {
		l.book.end(c, 0, "")
		return nil, err
	}
	l.book.end(c, response.StatusCode, response.Header.Get("Retry-After"))
	response.Body = io.NopCloser(bytes.NewReader(answer))
	return response, nil
}

func (l *line) ask(r *http.Request) (response *http.Response, body []byte, err error) {
	if response, err = l.next.RoundTrip(r); err != nil {
		return nil, nil, err
	}
	defer response.Body.Close()
	body, err = io.ReadAll(response.Body)
	return response, body, err
}

// CloseIdleConnections is what xbl.Client calls.
func (l *line) CloseIdleConnections() { l.next.CloseIdleConnections() }

func usersOf(body []byte) (users []uint64) {
	var call struct {
		InvitedUsers []string `json:"invitedUsers"`
	}
	_ = json.Unmarshal(body, &call) // the service is strict
	for _, text := range call.InvitedUsers {
		x, _ := strconv.ParseUint(text, 10, 64)
		users = append(users, x)
	}
	return users
}
