package faults

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"time"

	"github.com/invitedhq/invited/queue"
)

// gateway stands before the simulator, and does to calls and answers what broken gateways, proxies and services do.
type gateway struct {
	*httptest.Server
	s       *scene
	forward *http.Transport
	closing chan struct{}

	mu        sync.Mutex
	calls     int
	spoil     func(call int) *trick
	done      map[string]int          // tricks, by name
	swallowed map[queue.XUID]struct{} // who was invited by a call whose caller can't know
	answers   map[queue.XUID]struct{} // who was invited by a call whose caller knows, though its answer was odd
}

// trick is what is done to a call.
type trick struct {
	name    string
	sends   bool   // the service gets the call first
	answer  string // what the caller gets instead of the service's answer, byte for byte
	endless string // what follows that, again and again
	holds   bool   // the connection stays open
	unknown bool   // the caller can't know whether the call was made
}

// secret is in every sender's token, and must not be in what a worker says, not even where a server sends it back.
const secret = "s3cret"

// tricks are answers that are none, or are broken.
var tricks = []trick{
	{name: "500 of garbage", answer: "HTTP/1.1 500 \xff\r\nContent-Length: 9\r\n\r\n\x00\xff{{\"a\":]]"},
	{name: "500 without an end", answer: "HTTP/1.1 500 No\r\n\r\n", endless: "and so on "},
	{name: "503 in endless chunks", answer: "HTTP/1.1 503 No\r\nTransfer-Encoding: chunked\r\n\r\n", endless: "5\r\nwords\r\n"},
	{name: "500 that promises more", answer: "HTTP/1.1 500 No\r\nContent-Length: 9999\r\n\r\nshort", holds: true},
	{name: "500 that promises more, and ends", answer: "HTTP/1.1 500 No\r\nContent-Length: 9999\r\n\r\nshort"},
	{name: "500 with more than it promises", answer: "HTTP/1.1 500 No\r\nContent-Length: 2\r\n\r\ninternal server error", holds: true},
	{name: "500 in chunks of no size", answer: "HTTP/1.1 500 No\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n"},
	{name: "204 with a body", sends: true, answer: "HTTP/1.1 204 OK\r\nContent-Length: 6\r\n\r\n" + secret},
	{name: "204 of an endless body", sends: true, answer: "HTTP/1.1 204 OK\r\n\r\n", endless: "hello "},
	{name: "200 with its JSON cut off", sends: true, answer: "HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\n{\"sent\":t", unknown: true},
	{name: "200 with a page", sends: true, answer: "HTTP/1.1 200 OK\r\n\r\n<html>We'll be right back", unknown: true},
	{name: "502 with a page", sends: true, answer: "HTTP/1.1 502 Bad Gateway\r\n\r\n<html>Oops", unknown: true},
	{name: "no HTTP", sends: true, answer: "\x15\x03\x01\x00\x02\x02\x50\r\n\r\n", unknown: true},
	{name: "half a status line", sends: true, answer: "HTTP/1.1 2", unknown: true},
	{name: "half a header", sends: true, answer: "HTTP/1.1 204 OK\r\nDate: Mo", unknown: true},
	{name: "a header without an end", sends: true, answer: "HTTP/1.1 204 OK\r\n", endless: "X-Fill: 0123456789\r\n", unknown: true},
	{name: "two lengths", sends: true, answer: "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n{}", unknown: true},
	{name: "a length below 0", sends: true, answer: "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n{}", unknown: true},
	{name: "nothing, and the end", sends: true, unknown: true},
	{name: "silence", sends: true, holds: true, unknown: true},
}

// gateway opens a gateway without tricks.
func (s *scene) gateway() *gateway {
	s.t.Helper()
	g := &gateway{
		s: s, forward: &http.Transport{MaxIdleConnsPerHost: inFlight}, closing: make(chan struct{}),
		done: map[string]int{}, swallowed: map[queue.XUID]struct{}{}, answers: map[queue.XUID]struct{}{},
	}
	g.Server = httptest.NewUnstartedServer(g)
	s.t.Cleanup(func() {
		close(g.closing)
		g.CloseClientConnections()
		g.Close()
		g.forward.CloseIdleConnections()
	})
	return g
}

// plain opens it for http://.
func (g *gateway) plain() *gateway {
	g.Start()
	return g
}

// play has each n-th call spoilt by the next of the tricks.
func (g *gateway) play(n int, all []trick) {
	g.does(func(call int) *trick {
		if call%n != 0 {
			return nil
		}
		return &all[call/n%len(all)]
	})
}

// does has calls spoilt from now on; nil: none.
func (g *gateway) does(spoil func(call int) *trick) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.spoil = spoil
}

// seen is how many calls have come.
func (g *gateway) seen() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.calls
}

// ServeHTTP implements http.Handler.
func (g *gateway) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return // the caller has gone
	}
	g.mu.Lock()
	g.calls++
	var x *trick
	if g.spoil != nil {
		x = g.spoil(g.calls)
	}
	g.mu.Unlock()
	if x == nil {
		g.pass(w, r, body)
		return
	}
	if x.sends {
		answer := httptest.NewRecorder()
		g.pass(answer, r, body)
		if answer.Code != http.StatusNoContent {
			w.WriteHeader(http.StatusInternalServerError)
			return
		}
	}
	g.note(x, body)
	g.spoilt(w, x)
}

// pass makes the call of the service.
func (g *gateway) pass(w http.ResponseWriter, r *http.Request, body []byte) {
	// A caller that has gone does not stop a call that is on its way.
	out, err := http.NewRequestWithContext(g.s.t.Context(), r.Method, g.s.sim.URL+r.URL.Path, bytes.NewReader(body))
	if err == nil {
		out.Header = r.Header
		var answer *http.Response
		if answer, err = g.forward.RoundTrip(out); err == nil {
			defer answer.Body.Close()
			w.WriteHeader(answer.StatusCode)
			_, _ = io.Copy(w, answer.Body)
			return
		}
	}
	w.WriteHeader(http.StatusInternalServerError)
}

// note keeps who is concerned.
func (g *gateway) note(x *trick, body []byte) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.done[x.name]++
	if !x.sends {
		return
	}
	var call struct {
		InvitedUsers []queue.XUID `json:"invitedUsers"`
	}
	_ = json.Unmarshal(body, &call) // the simulator has read it
	into := g.answers
	if x.unknown {
		into = g.swallowed
	}
	for _, u := range call.InvitedUsers {
		into[u] = struct{}{}
	}
}

// spoilt writes the trick's answer on the bare connection.
func (g *gateway) spoilt(w http.ResponseWriter, x *trick) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	defer conn.Close()
	_, err = io.WriteString(conn, x.answer)
	if x.endless != "" {
		more := bytes.Repeat([]byte(x.endless), 64)
		for err == nil {
			_, err = conn.Write(more) // until the caller, or the test, has enough
		}
	}
	if !x.holds {
		return
	}
	gone := make(chan struct{})
	go func() {
		defer close(gone)
		_, _ = io.Copy(io.Discard, conn)
	}()
	select {
	case <-gone:
	case <-g.closing:
		_ = conn.SetDeadline(time.Now())
		<-gone
	}
}

// allDone says whether each trick was done.
func (g *gateway) allDone() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return !slices.ContainsFunc(tricks, func(x trick) bool { return g.done[x.name] == 0 })
}
