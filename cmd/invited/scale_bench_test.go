package main

import (
	"flag"
	"fmt"
	"math"
	"os"
	"strings"
	"testing"

	"github.com/invitedhq/invited/cmd/internal/harness"
	"github.com/invitedhq/invited/queue"
)

var plot = flag.String("plot", "", "file for a drawing of BenchmarkSpeedScale, as SVG")

// backlogShape is what waits when a worker starts, in jobs of 16.
type backlogShape struct {
	recipients, keys, titles int
}

// BenchmarkSpeedScale measures a worker's pace and memory at backlogs of many shapes. Nothing but the backlog differs between its
// lines: all are of one run, each with a worker that has just started.
func BenchmarkSpeedScale(b *testing.B) {
	const many, keys, titles = 200_000, 1_000, 1
	s := newStage(b)
	var lines []scaleLine
	for _, shape := range []backlogShape{
		{1_000, keys, titles}, {10_000, keys, titles}, {100_000, keys, titles}, {many, keys, titles}, {1_000_000, keys, titles},
		{many, 1, titles}, {many, 10, titles}, {many, 100, titles}, {many, 10_000, titles},
		{many, keys, 10}, {many, keys, 100}, {many, keys, 500},
	} {
		l := s.clear(shape)
		b.Log(l)
		lines = append(lines, l)
	}
	f := newFigures(b)
	full, million := lines[3], lines[4] // of many, too, more waits than the worker takes in hand
	f.atLeast("pace-of-a-million", million.rate/full.rate, 0.8)
	f.atMost("memory-of-a-million", million.peak/full.peak, 1.25)
	if *plot != "" {
		s.must(os.WriteFile(*plot, []byte(drawScale(lines)), 0o600))
	}
	f.verdict()
}

type scaleLine struct {
	backlogShape
	lap
}

func (l scaleLine) String() string {
	return fmt.Sprintf("%9d recipients, %6d keys, %3d titles: %v", l.recipients, l.keys, l.titles, l.lap)
}

// clear has a worker send such a backlog.
func (s *stage) clear(shape backlogShape) scaleLine {
	s.b.Helper()
	w := s.worker(harness.WorkerOptions{Quota: harness.NoQuota, Config: quiet}) // creates the streams
	w.Stop()
	jobs := shape.recipients / 16
	for i := range jobs {
		key := i % shape.keys
		s.publish(queue.Address{TitleID: benchTitle + uint32(key%shape.titles), Sender: fmt.Sprintf("sender-%d", key)}, 16)
	}
	s.stored()
	return scaleLine{shape, s.sending(w, jobs, 16)}
}

// drawScale draws paces and memory as bars, line by line.
func drawScale(lines []scaleLine) string {
	const left, bar, row, width = 280, 200, 22, 800
	fastest, largest := 0.0, 0.0
	for _, l := range lines {
		fastest, largest = max(fastest, l.rate), max(largest, l.peak)
	}
	var svg strings.Builder
	fmt.Fprintf(&svg, `<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" font-family="sans-serif" font-size="12">`+"\n",
		width, row*(len(lines)+2))
	text := func(x int, y int, format string, args ...any) {
		fmt.Fprintf(&svg, `<text x="%d" y="%d" fill="#555">%s</text>`+"\n", x, y, fmt.Sprintf(format, args...))
	}
	text(left, row, "calls per second")
	text(left+bar+60, row, "peak memory, MiB")
	for i, l := range lines {
		y := row * (i + 2)
		text(4, y, "%d recipients, %d keys, %d titles", l.recipients, l.keys, l.titles)
		for j, part := range []struct {
			share float64
			value float64
			color string
		}{{l.rate / fastest, l.rate, "#2a78b8"}, {l.peak / largest, l.peak, "#c07a2a"}} {
			x := left + j*(bar+60)
			length := int(math.Round(part.share * bar))
			fmt.Fprintf(&svg, `<rect x="%d" y="%d" width="%d" height="14" fill="%s"/>`+"\n", x, y-11, length, part.color)
			if part.value == 0 {
				text(x+4, y, "too few to tell")
				continue
			}
			text(x+length+4, y, "%.0f", part.value)
		}
	}
	svg.WriteString("</svg>\n")
	return svg.String()
}
