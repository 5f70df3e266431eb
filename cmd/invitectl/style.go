package main

import (
	"io"
	"os"
	"strings"
	"unicode/utf8"

	"golang.org/x/term"
)

// colour is an SGR parameter of ECMA-48, of the 16 that each terminal shows in its reader's own choice.
type colour string

const (
	plain  colour = ""
	bold   colour = "1"
	red    colour = "31"
	green  colour = "32"
	yellow colour = "33"
)

// style paints, or does not: only at a terminal, and not where its reader wants no colours (no-color.org) or it has none.
type style struct{ on bool }

func styleOf(out io.Writer) style { return style{drawable(out) != nil && os.Getenv("NO_COLOR") == ""} }

func (s style) paint(c colour, text string) string {
	if !s.on || c == plain || text == "" {
		return text
	}
	return "\x1b[" + string(c) + "m" + text + "\x1b[0m"
}

// terminal is the terminal behind an output or an input; nil: it is none.
func terminal(stream any) *os.File {
	if f, ok := stream.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		return f
	}
	return nil
}

// drawable is the terminal behind an output if the cursor can be moved there; nil: it can't.
func drawable(out io.Writer) *os.File {
	if f := terminal(out); f != nil && takesSequences(f) {
		return f
	}
	return nil
}

// cell is a piece of text, and its colour.
type cell struct {
	text   string
	colour colour
}

// table aligns columns, colours or not. A column without any text below its name is left out.
type table struct {
	head  []string // nil: none
	right []bool   // by column: numbers are aligned at their end
	rows  [][]cell
}

func (t *table) add(cells ...cell) { t.rows = append(t.rows, cells) }

func (t *table) write(out io.Writer, s style) error {
	columns := len(t.head)
	for _, row := range t.rows {
		columns = max(columns, len(row))
	}
	widths := make([]int, columns)
	for _, row := range t.rows {
		for i, c := range row {
			widths[i] = max(widths[i], utf8.RuneCountInString(c.text))
		}
	}
	rows := t.rows
	if t.head != nil {
		var head []cell
		for i, name := range t.head {
			if widths[i] > 0 {
				widths[i] = max(widths[i], utf8.RuneCountInString(name))
			}
			head = append(head, cell{text: name})
		}
		rows = append([][]cell{head}, rows...)
	}
	var b strings.Builder
	for _, row := range rows {
		t.writeRow(&b, row, widths, s)
	}
	_, err := io.WriteString(out, b.String())
	return err
}

func (t *table) writeRow(b *strings.Builder, row []cell, widths []int, s style) {
	gap := 0 // before the next text: there is none after the last one
	for i, c := range row {
		if widths[i] == 0 {
			continue
		}
		pad := widths[i] - utf8.RuneCountInString(c.text)
		if i < len(t.right) && t.right[i] {
			gap, pad = gap+pad, 0
		}
		if c.text != "" {
			b.WriteString(strings.Repeat(" ", gap) + s.paint(c.colour, c.text))
			gap = 0
		}
		gap += pad + 2
	}
	b.WriteString("\n")
}
