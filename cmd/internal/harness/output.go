package harness

import (
	"bytes"
	"strings"
	"sync"
)

// output keeps what a process writes, line by line.
type output struct {
	mu      sync.Mutex
	lines   []string
	rest    []byte        // after the last line end
	changed chan struct{} // closed, and made anew, with each line
}

func newOutput() *output { return &output{changed: make(chan struct{})} }

// Write implements io.Writer.
func (o *output) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.rest = append(o.rest, b...)
	for {
		line, rest, ended := bytes.Cut(o.rest, []byte("\n"))
		if !ended {
			return len(b), nil
		}
		o.lines, o.rest = append(o.lines, string(line)), rest
		close(o.changed)
		o.changed = make(chan struct{})
	}
}

// from returns the lines from the n-th on, and a channel that is closed when there are more.
func (o *output) from(n int) ([]string, <-chan struct{}) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.lines[n:len(o.lines):len(o.lines)], o.changed
}

// shown is how many lines of one run a failed test shows.
const shown = 30

// tail is the last lines.
func (o *output) tail() string {
	lines, _ := o.from(0)
	left := ""
	if more := len(lines) - shown; more > 0 {
		lines, left = lines[more:], "…\n"
	}
	return left + strings.Join(lines, "\n")
}

func (o *output) contains(words string) bool {
	lines, _ := o.from(0)
	for _, line := range lines {
		if strings.Contains(line, words) {
			return true
		}
	}
	return false
}
