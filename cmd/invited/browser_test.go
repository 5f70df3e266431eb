//go:build browser

package main

import (
	"compress/gzip"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// browser is a real Chromium, on one page. What it complains of, and whom it asks for anything, is kept.
type browser struct {
	*testing.T
	ctx  context.Context
	base string
	axe  string

	mu         sync.Mutex
	complaints []string // CSP violations among them
	strangers  []string // requests to anybody but the console
}

// pageIn is how long a page may take to show what it must.
const pageIn = 20 * time.Second

func startBrowser(t *testing.T, base string) *browser {
	t.Helper()
	path, err := exec.LookPath("chromium")
	require.NoError(t, err, "Debian's chromium must be installed: bash .ci/run console does it")
	flags := append(slices.Clone(chromedp.DefaultExecAllocatorOptions[:]), chromedp.ExecPath(path), chromedp.NoSandbox, chromedp.DisableGPU, chromedp.UserDataDir(t.TempDir()),
		chromedp.Flag("disable-quic", true), chromedp.Flag("disable-component-update", true), chromedp.Flag("disable-sync", true),
		chromedp.WindowSize(1280, 900))
	ctx, stop := chromedp.NewExecAllocator(context.WithoutCancel(t.Context()), flags...)
	t.Cleanup(stop)
	ctx, end := chromedp.NewContext(ctx)
	t.Cleanup(end)
	b := &browser{T: t, ctx: ctx, base: base, axe: readAxe(t)}
	require.NoError(t, chromedp.Listen(ctx, b.hear))
	call(b, log.Enable, cdp.Empty{})
	call(b, network.Enable, network.EnableParams{})
	return b
}

func readAxe(t *testing.T) string {
	t.Helper()
	file, err := os.Open("testdata/axe/axe.min.js.gz")
	require.NoError(t, err)
	defer file.Close()
	unzipped, err := gzip.NewReader(file)
	require.NoError(t, err)
	text, err := io.ReadAll(unzipped)
	require.NoError(t, err)
	return string(text)
}

func (b *browser) hear(event any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch e := event.(type) {
	case *log.EventEntryAdded:
		if e.Entry.Level == log.EntryLevelError || e.Entry.Source == log.EntrySourceSecurity || e.Entry.Source == log.EntrySourceViolation {
			b.complaints = append(b.complaints, fmt.Sprintf("%s: %s %s", e.Entry.Source, e.Entry.Text, e.Entry.URL))
		}
	case *runtime.EventExceptionThrown:
		b.complaints = append(b.complaints, e.ExceptionDetails.Text)
	case *page.EventJavascriptDialogOpening:
		b.complaints = append(b.complaints, "a script opened a dialog: "+e.Message)
	case *network.EventRequestWillBeSent:
		if !strings.HasPrefix(e.Request.URL, b.base) {
			b.strangers = append(b.strangers, e.Request.URL)
		}
	}
}

// clean fails where the browser complained of anything up to now, or asked anybody else.
func (b *browser) clean() {
	b.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	assert.Empty(b, b.complaints, "violations of the policy, and errors of scripts")
	assert.Empty(b, b.strangers, "requests to others")
}

func (b *browser) do(steps ...chromedp.Action[chromedp.Void]) {
	b.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, pageIn)
	defer cancel()
	require.NoError(b, chromedp.Do(ctx, steps...))
}

// get does what has a result.
func get[T any](b *browser, a chromedp.Action[T]) T {
	b.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, pageIn)
	defer cancel()
	got, err := chromedp.Run(ctx, a)
	require.NoError(b, err)
	return got
}

// call gives the browser a command.
func call[P any](b *browser, command cdp.Command[P, cdp.Empty], params P) {
	b.Helper()
	_, err := chromedp.Call(b.ctx, command, params)
	require.NoError(b, err)
}

func evaluate[T any](b *browser, expression string) T {
	b.Helper()
	return get(b, chromedp.Evaluate[T](expression, chromedp.EvalAwaitPromise))
}

// click clicks on what has these words, and waits for what comes of it.
func (b *browser) click(element, words, then string) {
	b.Helper()
	b.do(chromedp.Click(fmt.Sprintf("//%s[text()=%q]", element, words)), chromedp.WaitVisible(then))
}

func (b *browser) open(path string) {
	b.Helper()
	b.do(chromedp.Navigate(b.base+path), chromedp.WaitReady(chromedp.CSS("#main")))
}

// until waits until an expression of JavaScript is true.
func (b *browser) until(expression, why string) {
	b.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, pageIn)
	defer cancel()
	_, err := chromedp.Run(ctx, chromedp.Poll[bool](expression, chromedp.WithPollingInterval(50*time.Millisecond)))
	if err != nil {
		b.picture("failed")
		b.Fatalf("%s (%s): %v; the page says:\n%s", why, expression, err, b.text())
	}
}

// shows waits until the page has these words on it.
func (b *browser) shows(words ...string) {
	b.Helper()
	for _, w := range words {
		b.until(fmt.Sprintf(`document.getElementById("main").innerText.includes(%q)`, w), "the page must show "+w)
	}
}

func (b *browser) text() string {
	b.Helper()
	return get(b, chromedp.Text(chromedp.CSS("#main")))
}

// accessible fails where axe finds a violation on the page.
func (b *browser) accessible(what string) {
	b.Helper()
	found := evaluate[string](b, b.axe+`;axe.run().then((r) => JSON.stringify(r.violations.map((v) => v.id + ": " + v.help + " " + `+
		`v.nodes.map((n) => n.html).slice(0, 3).join(" "))))`)
	var violations []string
	require.NoError(b, json.Unmarshal([]byte(found), &violations))
	assert.Empty(b, violations, "axe finds on %s", what)
}

// narrow fails where the page is wider than its window: on a phone one would have to scroll sideways.
func (b *browser) narrow(what string) {
	b.Helper()
	assert.LessOrEqual(b, evaluate[int](b, `document.documentElement.scrollWidth - innerWidth`), 0, "%s fits a phone", what)
}

// as sets the colours that the reader prefers, and the window's size; a phone's below 600.
func (b *browser) as(scheme string, width, height int64) {
	b.Helper()
	call(b, emulation.SetDeviceMetricsOverride,
		emulation.SetDeviceMetricsOverrideParams{Width: width, Height: height, DeviceScaleFactor: 1, Mobile: width < 600})
	call(b, emulation.SetEmulatedMedia,
		emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}}})
}

// picture keeps what the page looks like: with go test -artifacts, as a file.
func (b *browser) picture(name string) {
	b.Helper()
	png := get(b, chromedp.FullScreenshot(100))
	require.NoError(b, os.WriteFile(filepath.Join(b.ArtifactDir(), name+".png"), png, 0o600))
}

// scripts has pages run theirs, or not.
func (b *browser) scripts(run bool) {
	b.Helper()
	call(b, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: !run})
}
