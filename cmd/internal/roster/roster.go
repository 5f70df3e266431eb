package roster

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"iter"
	"strconv"

	"github.com/invitedhq/invited/queue"
)

// maxLine is the most bytes of a line, and of a CSV record. A line of XUIDs has 21.
const maxLine = 64 << 10

// Entry is one recipient.
type Entry struct {
	XUID queue.XUID
	Line int // from 1; of the decompressed file
}

// LineError says what is wrong with one line. The lines after it can be read.
type LineError struct {
	Line    int    // from 1; of the decompressed file
	Problem string // in words, with the way out; it shows at most 40 characters of the line
}

func (e *LineError) Error() string { return "line " + strconv.Itoa(e.Line) + ": " + e.Problem }

// Read yields the recipients in the order of the file. The error of a line that
// can't be used is a *LineError, and reading goes on; its Entry has only the
// line. Any other error is of the file (it can't be read, is cut off, is none of
// the forms) and is the last item. Memory does not grow with the file, and a line
// of text costs no allocation. It can be ranged over once, by one goroutine.
func Read(r io.Reader) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		f, err := open(r)
		if err == nil {
			err = f.read(yield)
		}
		if err != nil && !errors.Is(err, errStopped) {
			yield(Entry{}, err)
		}
	}
}

func (f *file) read(yield func(Entry, error) bool) error {
	h, found, err := f.findHeader()
	switch {
	case err != nil:
		return err
	case found:
		return f.csv(h, yield)
	default:
		return f.text(yield)
	}
}

// errStopped means that the caller wants no more.
var errStopped = errors.New("stopped")

// file is the text of a roster.
type file struct {
	r    *bufio.Reader
	line int // that was read last
	zip  bool
}

const (
	magicGzip = "\x1f\x8b"
	magicZip  = "PK\x03\x04"
	bomUTF8   = "\xef\xbb\xbf"
	bomLE     = "\xff\xfe"
	bomBE     = "\xfe\xff"
)

// once does not ask a reader again that has ended: a terminal would want a
// second Ctrl-D, and what failed once must not seem to go on.
type once struct {
	r   io.Reader
	err error
}

func (o *once) Read(p []byte) (n int, err error) {
	if o.err != nil {
		return 0, o.err
	}
	n, o.err = o.r.Read(p)
	return n, o.err
}

func open(r io.Reader) (*file, error) {
	f := &file{r: bufio.NewReaderSize(&once{r: r}, maxLine)}
	if f.begins(magicGzip) {
		unzipped, err := gzip.NewReader(f.r)
		if err != nil {
			return nil, fmt.Errorf("it begins like a gzip file and is none: %w", err)
		}
		f = &file{r: bufio.NewReaderSize(&once{r: unzipped}, maxLine), zip: true}
	}
	switch {
	case f.begins(bomUTF8):
		_, _ = f.r.Discard(len(bomUTF8))
	case f.begins(bomLE), f.begins(bomBE):
		return nil, errors.New(`it is UTF-16, not UTF-8: save it again as UTF-8 (in a spreadsheet: "CSV UTF-8")`)
	case f.begins(magicZip):
		return nil, errors.New("it is a ZIP archive or a spreadsheet (.xlsx): unpack it, or save it as CSV")
	}
	return f, nil
}

func (f *file) begins(magic string) bool {
	head, _ := f.r.Peek(len(magic)) // an error comes again with the first line
	return string(head) == magic
}

// chunk returns the next line, or the next maxLine bytes of one that is longer,
// with its line break. io.EOF comes alone. What stands before another error is
// not returned: half a line could be somebody else's XUID.
func (f *file) chunk() ([]byte, error) {
	b, err := f.r.ReadSlice('\n')
	switch {
	case err == nil, errors.Is(err, bufio.ErrBufferFull), errors.Is(err, io.EOF) && len(b) > 0:
		return b, nil
	case errors.Is(err, io.EOF):
		return nil, io.EOF
	case f.zip:
		return nil, fmt.Errorf("after line %d the gzip data is cut off or damaged: %w", f.line, err)
	default:
		return nil, fmt.Errorf("after line %d: %w", f.line, err)
	}
}

func (f *file) text(yield func(Entry, error) bool) error {
	first := true
	for {
		line, err := f.chunk()
		if err != nil {
			return unlessEnd(err)
		}
		f.line++
		problem := ""
		if long := len(line) == maxLine && line[maxLine-1] != '\n'; long {
			if err := f.skipLine(); err != nil {
				return err
			}
			problem = problemLong
			line = nil
		}
		line = bytes.TrimSpace(line)
		if problem == "" && (len(line) == 0 || line[0] == '#') {
			continue
		}
		var x queue.XUID
		if problem == "" {
			if err := x.UnmarshalText(line); err != nil {
				problem = describe(line, err)
				if first {
					problem += problemFirst
				}
			}
		}
		first = false
		if err := f.yield(yield, Entry{x, f.line}, problem); err != nil {
			return err
		}
	}
}

func (f *file) skipLine() error {
	for {
		b, err := f.chunk()
		if err != nil {
			return unlessEnd(err)
		}
		if b[len(b)-1] == '\n' {
			return nil
		}
	}
}

func (f *file) yield(yield func(Entry, error) bool, e Entry, problem string) error {
	var more bool
	if problem == "" {
		more = yield(e, nil)
	} else {
		more = yield(Entry{Line: e.Line}, &LineError{e.Line, problem})
	}
	if !more {
		return errStopped
	}
	return nil
}

func unlessEnd(err error) error {
	if errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return nil
	}
	return err
}
