package console

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// livePages are those that are made anew while they are open, by their pattern.
func (c *Console) livePages() map[string]maker {
	return map[string]maker{
		"/{$}":                                   c.overview,
		"/campaigns":                             c.campaigns,
		"/campaigns/{title}/{sender}/{campaign}": c.campaign,
	}
}

func (c *Console) routes() http.Handler {
	mux := http.NewServeMux()
	for pattern, build := range c.livePages() {
		mux.HandleFunc("GET "+pattern, c.shows(build))
		mux.HandleFunc("GET /events"+pattern, c.events(build))
	}
	for pattern, build := range map[string]maker{
		"/campaigns/{title}/{sender}/{campaign}/{do}": c.askCampaign,
		"/dead":            c.searching(c.letters),
		"/dead/{sequence}": c.letter,
		"/dead/ask":        c.searching(c.askLetters),
		"/job":             c.searching(c.job),
	} {
		mux.HandleFunc("GET "+pattern, c.shows(build))
	}
	mux.HandleFunc("POST /campaigns/{title}/{sender}/{campaign}/{do}", c.does(c.steer))
	mux.HandleFunc("POST /dead/{do}", c.does(c.changeLetters))
	mux.HandleFunc("GET /assets/{digest}/{file}", c.asset)
	mux.HandleFunc("/", func(w http.ResponseWriter, req *http.Request) {
		c.show(w, req, c.failed(notFound("There is no such page.")))
	})
	return mux
}

// does serves a change, and then goes to a page that shows what came of it.
func (c *Console) does(change func(ctx context.Context, r *running, req *http.Request) (*page, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, req *http.Request) {
		if !c.opts.Admin.Actions {
			c.show(w, req, c.failed(&pageError{http.StatusForbidden, "This console only shows: admin.actions is false."}))
			return
		}
		ctx, cancel := context.WithTimeout(req.Context(), changeTime)
		defer cancel()
		req.Body = http.MaxBytesReader(w, req.Body, maxForm)
		if err := req.ParseForm(); err != nil {
			c.show(w, req, c.failed(badAsk("That form can't be read: "+err.Error())))
			return
		}
		p, err := c.make(ctx, change, req)
		switch {
		case err != nil:
			p = c.failed(err)
		case p.Goto != "":
			http.Redirect(w, req, p.Goto, http.StatusSeeOther)
			return
		}
		c.show(w, req, p)
	}
}

const (
	// changeTime bounds a change: the replay of a thousand letters is the longest.
	changeTime = time.Minute
	maxForm    = 64 << 10
)

// did logs who did what, and whether it failed.
func (c *Console) did(req *http.Request, err error, what string, attrs ...any) {
	who := visitorOf(req)
	name := who.name
	if name == "" {
		name = "not asked"
	}
	attrs = append([]any{"change", what, "user", name, "from", who.address}, attrs...)
	if err != nil {
		c.log.Warn("a change in the console failed", append(attrs, "error", err)...)
		return
	}
	c.log.Info("changed in the console", attrs...)
}

// asset serves an embedded file. Its address changes with its content.
func (c *Console) asset(w http.ResponseWriter, req *http.Request) {
	name := req.PathValue("file")
	content, err := files.ReadFile("assets/" + name)
	if err != nil {
		c.show(w, req, c.failed(notFound("There is no such file.")))
		return
	}
	types := map[string]string{".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
	w.Header().Set("Content-Type", types[name[strings.LastIndexByte(name, '.'):]]+"; charset=utf-8")
	w.Header().Set("Cache-Control", "max-age=31536000, immutable")
	_, _ = w.Write(content) //nolint:gosec // one of our own files
}

const (
	// beatEvery is how often something is sent on a stream, so that a proxy does not end one without news, and how often it is
	// looked at whether its reader is one of admin.auth_file still.
	beatEvery = 15 * time.Second
	// takeWithin is how long a browser may take for what is sent.
	takeWithin = 10 * time.Second
)

// events sends a page's content whenever it is made anew.
func (c *Console) events(build maker) http.HandlerFunc {
	return func(w http.ResponseWriter, req *http.Request) {
		// All else in an address makes no other page, and so no more work.
		address := req.URL.Path
		if address == "/events/campaigns" {
			address += "?" + url.Values{"q": {req.URL.Query().Get("q")}}.Encode()
		}
		// The request is only asked for its address: it may be over when a page is made, and the page be another viewer's.
		news, end := c.live.watch(address, func(ctx context.Context) []byte { return c.pageEvent(ctx, build, req) })
		if news == nil {
			http.Error(w, "Too many pages are open; this one is not kept up to date.", http.StatusServiceUnavailable)
			return
		}
		defer end()
		h := w.Header()
		h.Set("Content-Type", "text/event-stream")
		h.Set("X-Accel-Buffering", "no")
		beat := time.NewTicker(beatEvery)
		defer beat.Stop()
		out := http.NewResponseController(w)
		send := func(b []byte) bool {
			_ = out.SetWriteDeadline(time.Now().Add(takeWithin)) // where it can't be set, a write ends with the connection
			_, err := w.Write(b)
			return err == nil && out.Flush() == nil
		}
		if !send([]byte("retry: 2000\n\n")) {
			return
		}
		for {
			select {
			case made, going := <-news:
				if !going || !send(made) {
					return
				}
			case <-beat.C:
				if !c.mayStill(req) || !send([]byte(": still here\n\n")) {
					return
				}
			case <-req.Context().Done():
				return
			}
		}
	}
}

// pageEvent makes a page's content, as an event; nil: it can't be made.
func (c *Console) pageEvent(ctx context.Context, build maker, req *http.Request) []byte {
	ctx, cancel := context.WithTimeout(ctx, pageTime)
	defer cancel()
	p, err := c.make(ctx, build, req)
	if err != nil {
		p = c.failed(err)
	}
	content, err := c.content(p)
	if err != nil {
		return nil
	}
	return event(string(content))
}

// lineEnds are the protocol's. A lone CR, in a page's address for one, is a line's end too: what follows it would be read as a field.
var lineEnds = strings.NewReplacer("\r\n", "\n", "\r", "\n")

// event writes content as one event.
func event(content string) []byte {
	var b strings.Builder
	for line := range strings.SplitSeq(strings.TrimSuffix(lineEnds.Replace(content), "\n"), "\n") {
		fmt.Fprintf(&b, "data: %s\n", line)
	}
	b.WriteString("\n")
	return []byte(b.String())
}
