//go:build browser

package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// printed is what the demo prints.
type printed struct {
	mu   sync.Mutex
	text strings.Builder
}

func (w *printed) Write(b []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.text.Write(b)
}

func (w *printed) find(pattern string) string {
	w.mu.Lock()
	defer w.mu.Unlock()
	found := regexp.MustCompile(pattern).FindStringSubmatch(w.text.String())
	if found == nil {
		return ""
	}
	return found[1]
}

// keptDemo runs invited demo --keep until the test ends, and returns the addresses it prints.
func keptDemo(t *testing.T) (console, natsURL string) {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	said, ended := new(printed), make(chan error, 1)
	go func() { ended <- runDemo(ctx, io.MultiWriter(said, t.Output()), slog.New(slog.DiscardHandler), true) }()
	t.Cleanup(func() {
		stop()
		assert.NoError(t, <-ended, "Ctrl-C ends it in order, with pages open")
	})
	require.Eventually(t, func() bool { return said.find(`NATS\s+(nats://\S+)`) != "" }, demoTime, 50*time.Millisecond)
	return strings.TrimSuffix(said.find(`console\s+(http://\S+)`), "/"), said.find(`NATS\s+(nats://\S+)`)
}

// hostile is what somebody may put into a job to take over the page it is shown on, or whoever reads it.
const hostile = "<script>alert(1)</script><img src=x onerror=alert(2)>\"'><a href=javascript:alert(3)>x</a>" +
	"</td></table><style>*{display:none}</style>\u202Egnp.exe\u2066\x07\x1b[31m{{.}}${x}"

// What is on a page once it is there.
const (
	curve    = `//figcaption`
	question = `//form[@class="ask"]`
	done     = `//a[text()="To the dead letters"]`
)

// TestTheConsoleInABrowser is one walk, since a browser and a demo are dear: each page with the demo's data, as it goes on, and what
// can be done there, in a real Chromium.
func TestTheConsoleInABrowser(t *testing.T) {
	base, natsURL := keptDemo(t)
	conn, err := nats.Connect(natsURL)
	require.NoError(t, err)
	defer conn.Close()
	b := startBrowser(t, base)

	t.Run("the overview shows what all workers do, and goes on by itself", func(t *testing.T) {
		b.T = t
		b.open("/")
		b.shows("this one", "0-15", "rejected", "cup-bot", "/50 in 1 min", "Sender stadium, title 1739947436: there is no token since",
			"at least 80 invites wait", "Would more workers help?")
		evaluate[int](b, `window.loaded = document.getElementById("charts").innerHTML; 1`)
		b.until(`window.loaded && document.getElementById("charts").innerHTML !== window.loaded`, "curves go on without a reload")
		b.until(`document.getElementById("live").textContent === "live"`, "and the page says so")
		b.until(`!document.querySelector("time").textContent.includes("UTC")`, "times are in the reader's zone")
		b.accessible("the overview")
	})

	t.Run("a campaign is shown as it goes on, and paused by two clicks", func(t *testing.T) {
		b.T = t
		b.open("/campaigns")
		b.shows("season", "finals", "watch-party", "sending", "20,000")
		b.accessible("campaigns")
		b.click("a", "season", curve)
		b.shows("Time left", "at least", "cup-bot")
		b.accessible("a campaign")
		b.click("a", "Pause…", question)
		b.shows("Pause season?", "20,000 recipients")
		b.accessible("a question")
		b.click("button", "Pause", curve)
		b.shows("paused", "Resume…")
		b.open("/campaigns/1739947436/cup-bot/season/resume")
		b.click("button", "Resume", curve)
		b.shows("Pause…")
	})

	t.Run("a dead letter is found, shown with players masked, and replayed by clicking", func(t *testing.T) {
		b.T = t
		dead := nats.NewMsg("invites.dead.1739947436.exhausted")
		dead.Data = []byte(`{"invitedUsers":["2533274790395904"],"connectionString":"s3cret-lobby","id":"replayed-1"}`)
		for name, value := range map[string]string{
			"Invite-Reason": "exhausted", "Invite-Job-Id": "replayed-1", "Invite-Subject": "invites.jobs.1739947436.lobby-1",
			"Invite-Detail": "user 2533274790395904 could not be invited",
		} {
			dead.Header[name] = []string{value}
		}
		_, err := conn.RequestMsg(dead, 10*time.Second)
		require.NoError(t, err)
		b.open("/dead?reason=exhausted")
		b.shows("1 dead letter", "replayed-1", "•••904 could not be invited")
		b.accessible("dead letters")
		b.do(chromedp.Click(chromedp.CSS("tbody th a")), chromedp.WaitVisible(chromedp.CSS("pre")))
		b.shows("•••904", "••• (12 characters)", "lobby-1")
		text := get(b, chromedp.OuterHTML(chromedp.CSS("html")))
		assert.NotContains(t, text, "2533274790395904")
		assert.NotContains(t, text, "s3cret-lobby")
		b.accessible("a dead letter")
		b.click("button", "Replay…", question)
		b.shows("Replay 1 dead letter for 1 recipient?")
		b.click("button", "Replay", done)
		b.shows("1 dead letter for 1 recipient replayed.")
		b.open("/dead?reason=exhausted")
		b.shows("No such dead letters.")
		require.Eventually(t, func() bool {
			b.open("/job?id=replayed-1")
			return strings.Contains(b.text(), "All of its recipients were sent.")
		}, pageIn, 100*time.Millisecond, "the job is sent, and found by its id")
		b.accessible("a job")
	})

	t.Run("letters are marked, counted and dropped", func(t *testing.T) {
		b.T = t
		b.open("/dead?reason=invalid")
		b.do(chromedp.Click(chromedp.CSS("input[data-marks]")))
		b.click("button", "Drop those marked…", question)
		b.shows("Drop 1 dead letter for 0 recipients?")
		b.click("button", "Drop", done)
		b.shows("1 dead letter for 0 recipients dropped.")
	})

	t.Run("hostile jobs are shown, and do nothing", func(t *testing.T) {
		b.T = t
		emoji := strings.Repeat("👩‍👩‍👧‍👦", 512/7) + strings.Repeat("🎉", 512)
		for i, body := range []string{
			fmt.Sprintf(`{"invitedUsers":[],"id":%q}`, emoji[:124]),
			`{"id":"` + strings.ReplaceAll(strings.ReplaceAll(hostile[:110], `"`, `\"`), "\n", "") + `","invitedUsers":"` + hostile + `"}`,
			hostile + emoji,
		} {
			_, err := conn.Request(fmt.Sprintf("invites.jobs.1739947436.hostile-%d", i), []byte(body), 10*time.Second)
			require.NoError(t, err)
		}
		dead := nats.NewMsg("invites.dead.1739947436.rejected")
		dead.Header["Invite-Reason"], dead.Header["Invite-Detail"] = []string{"rejected"}, []string{strings.Map(printableHeader, hostile) + emoji}
		dead.Header["Invite-Job-Id"], dead.Header["Invite-Subject"] = []string{hostile[:60]}, []string{"invites.jobs.1739947436.<b>hostile"}
		dead.Data = []byte(hostile)
		_, err := conn.RequestMsg(dead, 10*time.Second)
		require.NoError(t, err)
		b.open("/dead")
		b.shows("hostile-2", "<script>alert(1)</script>", "🎉")
		assert.Zero(t, evaluate[int](b, `document.querySelectorAll("main script, main img, main style, main a[href^='javascript:']").length`),
			"text stays text")
		assert.Zero(t, evaluate[int](b, `(document.body.innerText.match(/[\u0000-\u0008\u001b\u202a-\u202e\u2066-\u2069]/g) || []).length`),
			"nothing turns what follows it round")
		b.accessible("hostile letters")
		b.as("light", 390, 844)
		b.narrow("hostile letters")
		b.picture("hostile-phone")
		b.as("light", 1280, 900)
		b.do(chromedp.Click(chromedp.CSS("tbody th a")), chromedp.WaitVisible(chromedp.CSS("pre")))
		b.shows("It is no job.")
		b.accessible("a hostile letter")
	})

	t.Run("each page is legible in light and dark, and on a phone", func(t *testing.T) {
		b.T = t
		for name, path := range map[string]string{
			"overview": "/", "campaign": "/campaigns/1739947436/cup-bot/season", "dead": "/dead",
		} {
			for _, scheme := range []string{"light", "dark"} {
				b.as(scheme, 1280, 900)
				b.open(path)
				if name == "overview" {
					b.shows("cup-bot", "at least 80 invites wait")
				}
				b.picture(name + "-" + scheme)
				b.accessible(name + " in " + scheme)
				b.as(scheme, 390, 844)
				b.narrow(name)
				b.picture(name + "-" + scheme + "-phone")
			}
		}
	})

	t.Run("it works without JavaScript", func(t *testing.T) {
		b.T = t
		b.as("light", 1280, 900)
		b.scripts(false)
		b.open("/")
		for _, words := range []string{"this one", "rejected", "UTC"} {
			assert.Contains(t, b.text(), words)
		}
		b.click("a", "Dead letters", `//h1[text()="Dead letters"]`)
		b.click("a", "Overview", `//a[text()="expired"]`)
		b.click("a", "expired", `//th[text()="Dead at"]`)
		for _, words := range []string{"1 dead letter", "expired at", "UTC"} {
			assert.Contains(t, b.text(), words)
		}
		b.scripts(true)
	})
	b.T = t
	b.clean()
}

// printableHeader leaves out what a NATS header can't hold.
func printableHeader(r rune) rune {
	if r == '\r' || r == '\n' {
		return -1
	}
	return r
}
