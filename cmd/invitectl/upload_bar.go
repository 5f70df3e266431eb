package main

import (
	"fmt"
	"time"

	"github.com/invitedhq/invited/queue"
)

// uploadBar shows how far an upload is, how fast it goes and how long it takes.
// It is drawn on a terminal only: nothing that reads the output has to skip it.
type uploadBar struct {
	on    *screen // nil: nothing is drawn
	paint style
	pace  pace
	drawn time.Time
}

// drawEvery is often enough for the eye.
const drawEvery = 100 * time.Millisecond

func (t *tool) newUploadBar() *uploadBar {
	out := drawable(t.errOut)
	if out == nil || t.json {
		return &uploadBar{}
	}
	return &uploadBar{on: newScreen(out), paint: styleOf(out)}
}

// set draws what there is to upload now: what an earlier start has stored would make it look fast.
func (b *uploadBar) set(u queue.Upload) {
	now := time.Now()
	if b.on == nil || u.Before == u.Recipients || u.Stored < u.Recipients && now.Sub(b.drawn) < drawEvery {
		return
	}
	b.drawn = now
	b.pace.note(now, u.Stored)
	_ = b.on.draw(b.paint, func(width int) []line { return uploadBlock(u, b.pace.perSecond(), width) }) // it draws what it can
}

func uploadBlock(u queue.Upload, perSecond float64, width int) []line {
	const what = "uploading "
	text := fmt.Sprintf("%s of %s", grouped(u.Stored-u.Before), grouped(u.Recipients-u.Before))
	if perSecond > 0 {
		text += fmt.Sprintf(", %s/s", grouped(int(perSecond)))
		if left := u.Recipients - u.Stored; left > 0 {
			text += fmt.Sprintf(", about %s left", span(time.Duration(float64(left)/perSecond*float64(time.Second))))
		}
	}
	return []line{
		{{what, plain}, {drawBar(u.Stored-u.Before, u.Recipients-u.Before, width-len(what)), plain}},
		{{text, plain}},
	}
}
