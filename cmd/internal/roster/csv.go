package roster

import (
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"

	"github.com/invitedhq/invited/queue"
)

// header is what the first line of a CSV file says.
type header struct {
	separator byte
	column    int // of the XUID, from 0
	columns   int
}

// findHeader reads the header of a CSV file; false: it has none, so it is text.
// What may stand before it is skipped: blank lines and comments.
func (f *file) findHeader() (h header, found bool, err error) {
	for {
		head, _ := f.r.Peek(maxLine) // an error comes again with the line that it is in
		line, _, whole := bytes.Cut(head, []byte("\n"))
		if trimmed := bytes.TrimSpace(line); !whole || len(trimmed) > 0 && trimmed[0] != '#' {
			return f.header(head)
		}
		f.line++
		_, _ = f.r.Discard(len(line) + 1)
	}
}

// maybeHeader saves nearly all text from being parsed as CSV.
var maybeHeader = regexp.MustCompile("(?i)xuid")

func (f *file) header(head []byte) (h header, found bool, err error) {
	if !maybeHeader.Match(head) {
		return h, false, nil
	}
	for _, separator := range []byte(",;\t") {
		r := csv.NewReader(bytes.NewReader(head))
		r.Comma = rune(separator)
		names, err := r.Read()
		if err != nil {
			continue
		}
		own := head[:r.InputOffset()]
		if len(own) == maxLine && own[maxLine-1] != '\n' {
			continue // it goes on
		}
		h = header{separator: separator, columns: len(names)}
		for i, name := range names {
			switch {
			case !strings.EqualFold(strings.TrimSpace(name), "xuid"):
			case found:
				return h, false, fmt.Errorf("line %d: the header names two columns xuid; rename the one that is not meant", f.line+1)
			default:
				h.column, found = i, true
			}
		}
		if found {
			f.line += bytes.Count(own, []byte("\n"))
			_, _ = f.r.Discard(len(own))
			return h, true, nil
		}
	}
	return h, false, nil
}

// record is where in a CSV record the reader is. encoding/csv would do, but it
// keeps whole records, of which one that is never closed is the rest of the file.
type record struct {
	header
	state state
	begin int    // line of the record
	at    int    // line of its XUID
	field int    // from 0
	size  int    // bytes so far
	blank bool   // nothing but white space so far
	value []byte // of the XUID
	bad   string // a problem of the record
}

type state uint8

const (
	fieldBegins state = iota
	plain
	quoted
	quoteSeen // in a quoted field: its end, or the first of two
)

// maxValue is more than any XUID, and enough to tell what else it is.
const maxValue = 64

func (f *file) csv(h header, yield func(Entry, error) bool) error {
	rec := record{header: h, value: make([]byte, 0, maxValue)}
	rec.reset(f.line + 1)
	for {
		b, err := f.chunk()
		if errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
			break
		}
		if err != nil {
			return err
		}
		rec.feed(b, f.line+1)
		if b[len(b)-1] == '\n' {
			f.line++
		}
		switch {
		case rec.size > maxLine && rec.state == quoted:
			return rec.neverClosed()
		case b[len(b)-1] != '\n' || rec.state == quoted:
			continue // its rest comes
		}
		if err := f.end(&rec, yield); err != nil {
			return err
		}
	}
	if rec.state == quoted {
		return rec.neverClosed()
	}
	return f.end(&rec, yield)
}

func (r *record) neverClosed() error {
	return fmt.Errorf("line %d: a quote in this record is not closed: what follows it can't be told apart, and was not read", r.begin)
}

func (f *file) end(rec *record, yield func(Entry, error) bool) error {
	defer rec.reset(f.line + 1)
	if rec.blank && rec.field == 0 {
		return nil
	}
	x, line, problem := rec.xuid()
	return f.yield(yield, Entry{x, line}, problem)
}

func (r *record) reset(line int) {
	*r = record{header: r.header, begin: line, at: line, blank: true, value: r.value[:0]}
}

// feed reads a line, or a part of one.
func (r *record) feed(b []byte, line int) {
	r.size += len(b)
	for _, c := range b {
		if c == 0 {
			r.bad = problemNUL
		}
		switch {
		case r.state == quoted && c == '"':
			r.state = quoteSeen
		case r.state == quoted:
			r.add(c)
		case r.state == quoteSeen && c == '"':
			r.state = quoted
			r.add(c)
		case c == r.separator:
			r.field++
			r.state = fieldBegins
			if r.field == r.column {
				r.at = line
			}
		case c == '"' && r.state == fieldBegins:
			r.state = quoted
			r.blank = false
		case c == '\n', c == '\r' && r.state == quoteSeen:
		case r.state == quoteSeen:
			r.bad = problemQuote
		default:
			r.state = plain
			r.add(c)
		}
	}
}

func (r *record) add(c byte) {
	if c != ' ' && c != '\t' && c != '\r' {
		r.blank = false
	}
	switch {
	case r.field != r.column:
	case len(r.value) < maxValue:
		r.value = append(r.value, c)
	default: // cut, it could be another XUID
		r.bad = problemValue
	}
}

// xuid is what the record says, or what is wrong with it.
func (r *record) xuid() (x queue.XUID, line int, problem string) {
	switch {
	case r.size > maxLine:
		return 0, r.begin, problemLong
	case r.bad != "":
		return 0, r.begin, r.bad
	case r.field+1 != r.columns:
		return 0, r.begin, fmt.Sprintf("has %d values, and the header names %d columns; a value with a separator in it needs quotes",
			r.field+1, r.columns)
	}
	value := bytes.TrimSpace(r.value)
	if err := x.UnmarshalText(value); err != nil {
		return 0, r.at, "xuid " + describe(value, err)
	}
	return x, r.at, ""
}
