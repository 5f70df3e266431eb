package main

import (
	"fmt"
	"io"
	"os"
	"time"

	"github.com/schollz/progressbar/v3"
	"golang.org/x/term"
)

// progress shows how far the demo is: a bar that redraws on a terminal, else a
// plain line a second.
type progress struct {
	out   io.Writer
	total int
	bar   *progressbar.ProgressBar // nil where out is no terminal
	last  time.Time
	line  string
}

func newProgress(out io.Writer, total int) *progress {
	p := &progress{out: out, total: total, last: time.Now()}
	if f, ok := out.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		p.bar = progressbar.NewOptions(total,
			progressbar.OptionSetWriter(out), progressbar.OptionSetWidth(40), progressbar.OptionShowCount(),
			progressbar.OptionSetPredictTime(false), progressbar.OptionSetElapsedTime(false),
			progressbar.OptionThrottle(50*time.Millisecond),
			progressbar.OptionSetTheme(progressbar.Theme{Saucer: "#", SaucerPadding: ".", BarStart: "[", BarEnd: "]"}))
	}
	return p
}

func (p *progress) set(n int, text string) {
	if p.bar != nil {
		_ = p.bar.Set(n)
		p.bar.Describe(fmt.Sprintf("%-20s", text))
		return
	}
	p.line = fmt.Sprintf("%d/%d recipients ended: %s", n, p.total, text)
	if now := time.Now(); now.Sub(p.last) >= time.Second {
		p.last = now
		p.flush()
	}
}

func (p *progress) flush() {
	if p.line != "" {
		fmt.Fprintln(p.out, p.line)
		p.line = ""
	}
}

func (p *progress) close() {
	if p.bar != nil {
		_ = p.bar.Close()
		fmt.Fprintln(p.out)
		return
	}
	p.flush()
}
