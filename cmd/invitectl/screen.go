package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"unicode/utf8"

	"golang.org/x/term"
)

// line is a line of a block.
type line []cell

// screen is a terminal on which a block of lines is drawn again and again. It
// turns nothing on or off, so that nothing has to be undone however it ends.
type screen struct {
	out    io.Writer
	size   func() (width, height int)
	widths []int // of the lines that were drawn last
}

func newScreen(out *os.File) *screen {
	return &screen{out: out, size: func() (width, height int) {
		width, height, err := term.GetSize(int(out.Fd())) // each time: it may have changed
		if err != nil || width < 1 || height < 2 {
			return 80, 24
		}
		return width, height
	}}
}

// draw writes the block in place of the last one, in one go, so that it does not
// flicker. A terminal that has become narrower has broken the old lines into several.
func (s *screen) draw(paint style, block func(width int) []line) error {
	width, height := s.size()
	rows := 0
	for _, w := range s.widths {
		rows += max(1, (w+width-1)/width)
	}
	var b strings.Builder
	if rows = min(rows, height-1); rows > 0 {
		fmt.Fprintf(&b, "\x1b[%dA", rows)
	}
	s.widths = s.widths[:0]
	// The last column stays free: some terminals go to the next line when it is written to.
	width--
	lines := block(width)
	for _, l := range lines[:min(len(lines), height-1)] { // a higher block would scroll away from itself
		text, w := l.fit(width, paint)
		b.WriteString("\r" + text + "\x1b[K\n")
		s.widths = append(s.widths, w)
	}
	b.WriteString("\x1b[J") // what the old one had more
	_, err := io.WriteString(s.out, b.String())
	return err
}

// leave takes away what the terminal has echoed of Ctrl-C below the block.
func (s *screen) leave() { _, _ = io.WriteString(s.out, "\r\x1b[K") } // it is for the eye only

// fit paints as much of a line as there is room for, and says how wide that is.
func (l line) fit(room int, paint style) (text string, used int) {
	var b strings.Builder
	for _, c := range l {
		n := utf8.RuneCountInString(c.text)
		if left := room - used; n > left {
			c.text = string([]rune(c.text)[:max(left, 0)])
			n = left
		}
		b.WriteString(paint.paint(c.colour, c.text))
		used += n
	}
	return b.String(), used
}

// barWidth is how wide a bar is at most: longer ones are not easier to read.
const barWidth = 60

// drawBar draws a share with its figure, in so many columns.
func drawBar(n, of, room int) string {
	figure := fmt.Sprintf("] %7s", share(n, of))
	width := min(barWidth, room-len(figure)-1)
	if width < 4 {
		return share(n, of)
	}
	done := width * n / max(of, 1)
	return "[" + strings.Repeat("#", done) + strings.Repeat(".", width-done) + figure
}
