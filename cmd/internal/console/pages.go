package console

import (
	"bytes"
	"context"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"errors"
	"html/template"
	"io/fs"
	"net/http"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

//go:embed templates assets
var files embed.FS

// page is one answer: what is on it, and in which frame.
type page struct {
	Title    string
	Here     string // which entry of the navigation it belongs to
	Template string
	Live     bool   // it is made anew while it is open
	Status   int    // 0: OK
	Goto     string // where to go instead; empty: here it is
	Data     any
}

// framed is what the frame of a page shows.
type framed struct {
	*page
	Content template.HTML // made by one of our own templates
	Events  string        // where news of it come from; empty: nowhere
	Assets  string
	Version string
	Actions bool
	User    string
}

// pages are the templates, and the address of the files that go with them.
type pages struct {
	templates *template.Template
	assets    string // with a digest, so that a browser keeps them
}

func parsePages() *pages {
	sum := sha256.New()
	_ = fs.WalkDir(files, "assets", func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			content, _ := files.ReadFile(path) // embedded: it is there
			sum.Write(content)
		}
		return err
	})
	p := &pages{assets: "/assets/" + hex.EncodeToString(sum.Sum(nil)[:6]) + "/"}
	p.templates = template.Must(template.New("").Funcs(template.FuncMap{
		"time": timeTag, "grouped": grouped[int], "plural": plural,
	}).ParseFS(files, "templates/*.html"))
	return p
}

// timeTag writes a moment in UTC, and says so; the script of the page writes it in the reader's own time zone.
func timeTag(t time.Time) template.HTML {
	if t.IsZero() {
		return "–"
	}
	t = t.UTC()
	//nolint:gosec // it has no words of others
	return template.HTML(t.Format(`<time datetime="` + time.RFC3339Nano + `">2006-01-02 15:04:05 UTC</time>`))
}

// maker makes a page.
type maker func(ctx context.Context, r *running, req *http.Request) (*page, error)

// content makes what is inside a page's frame.
func (c *Console) content(p *page) (template.HTML, error) {
	var b bytes.Buffer
	if err := c.pages.templates.ExecuteTemplate(&b, p.Template, p.Data); err != nil {
		return "", err
	}
	return template.HTML(b.String()), nil //nolint:gosec // html/template has made it
}

// show answers with a page.
func (c *Console) show(w http.ResponseWriter, req *http.Request, p *page) {
	content, err := c.content(p)
	if err != nil {
		c.log.Error("a page of the console can't be made", "page", p.Template, "error", err)
		http.Error(w, "This page can't be made; the worker's log says why.", http.StatusInternalServerError)
		return
	}
	f := framed{
		page: p, Content: content, Assets: c.pages.assets, Version: c.opts.Version, Actions: c.opts.Admin.Actions,
		User: visitorOf(req).name,
	}
	if p.Live {
		f.Events = "/events" + req.URL.RequestURI()
	}
	var b bytes.Buffer
	if err := c.pages.templates.ExecuteTemplate(&b, "frame", f); err != nil {
		c.log.Error("a page of the console can't be made", "page", p.Template, "error", err)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	if p.Status != 0 {
		w.WriteHeader(p.Status)
	}
	_, _ = w.Write(b.Bytes())
}

// shows serves a page that only shows something.
func (c *Console) shows(build maker) http.HandlerFunc {
	return func(w http.ResponseWriter, req *http.Request) {
		ctx, cancel := context.WithTimeout(req.Context(), pageTime)
		defer cancel()
		p, err := c.make(ctx, build, req)
		if err != nil {
			p = c.failed(err)
		}
		c.show(w, req, p)
	}
}

func (c *Console) make(ctx context.Context, build maker, req *http.Request) (*page, error) {
	r := c.now.Load()
	if r == nil {
		return nil, errStarting
	}
	return build(ctx, r, req)
}

// maxSearches is how many searches are made at once. Each is thousands of requests, and whoever reaches the console can have one made.
const maxSearches = 2

// searching has a page wait until few others are searched for.
func (c *Console) searching(build maker) maker {
	return func(ctx context.Context, r *running, req *http.Request) (*page, error) {
		select {
		case c.searches <- struct{}{}:
			defer func() { <-c.searches }()
			return build(ctx, r, req)
		case <-ctx.Done():
			return nil, &pageError{http.StatusServiceUnavailable, "Too many look for something right now: try again in a moment."}
		}
	}
}

// pageError is what went wrong with what was asked for, in words for who asked.
type pageError struct {
	status int
	words  string
}

func (e *pageError) Error() string { return e.words }

func notFound(words string) error { return &pageError{http.StatusNotFound, words} }
func badAsk(words string) error   { return &pageError{http.StatusBadRequest, words} }

type failedPage struct{ Title, Words string }

// failed says in words what went wrong.
func (c *Console) failed(err error) *page {
	p := &page{Title: "Not shown", Template: "failed", Status: http.StatusServiceUnavailable}
	words := err.Error()
	if asked, ok := errors.AsType[*pageError](err); ok {
		p.Status = asked.status
	}
	switch {
	case errors.Is(err, errStarting):
		p.Title = "Starting"
	case errors.Is(err, context.DeadlineExceeded):
		words = "NATS did not answer in time. If its user may not ask for this, docs/console.md says which permission a console needs. (" +
			words + ")"
	}
	p.Data = failedPage{p.Title, sentence(c.text(words))}
	return p
}

// sentence makes one of an error's words.
func sentence(s string) string {
	first, size := utf8.DecodeRuneInString(s)
	if s = string(unicode.ToUpper(first)) + s[size:]; !strings.HasSuffix(s, ".") && !strings.HasSuffix(s, ")") {
		s += "."
	}
	return s
}
