package main

import (
	"fmt"
	"os"
	"time"

	"github.com/schollz/progressbar/v3"
	"golang.org/x/term"

	"github.com/invitedhq/invited/queue"
)

// uploadBar shows how far an upload is, how fast it goes and how long it takes.
// It is drawn on a terminal only: nothing that reads the output has to skip it.
type uploadBar struct {
	out *os.File // nil: nothing is drawn
	bar *progressbar.ProgressBar
}

func (t *tool) newUploadBar() *uploadBar {
	out, ok := t.errOut.(*os.File)
	if !ok || t.json || !term.IsTerminal(int(out.Fd())) {
		return &uploadBar{}
	}
	return &uploadBar{out: out}
}

// set draws what there is to upload now: what an earlier start has stored would make it look fast.
func (b *uploadBar) set(u queue.Upload) {
	if b.out == nil || u.Before == u.Recipients {
		return
	}
	if b.bar == nil {
		b.bar = progressbar.NewOptions(u.Recipients-u.Before,
			progressbar.OptionSetWriter(b.out), progressbar.OptionSetDescription("uploading"), progressbar.OptionSetWidth(30),
			progressbar.OptionShowCount(), progressbar.OptionShowIts(), progressbar.OptionSetItsString("recipients"),
			progressbar.OptionSetPredictTime(true), progressbar.OptionThrottle(50*time.Millisecond),
			progressbar.OptionSetTheme(progressbar.Theme{Saucer: "#", SaucerPadding: ".", BarStart: "[", BarEnd: "]"}))
	}
	_ = b.bar.Set(u.Stored - u.Before) // it draws what it can
}

func (b *uploadBar) close() {
	if b.bar != nil {
		_ = b.bar.Exit()
		fmt.Fprintln(b.out)
	}
}
