package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime/debug"
	"strings"

	"github.com/invitedhq/invited/cmd/internal/cli"
	"github.com/invitedhq/invited/cmd/internal/roster"
	"github.com/invitedhq/invited/queue"
)

// list is what a file of recipients has in it.
type list struct {
	name       string
	recipients queue.Recipients
	repeats    int
	bad        int
	first      []*roster.LineError // the first of the bad
}

// badShown is how many bad lines are shown.
const badShown = 20

// readList reads all lines. Its error is the file's, or that ctx ended.
func readList(ctx context.Context, name string, r io.Reader) (*list, error) {
	l := &list{name: name}
	n := 0
	for entry, err := range roster.Read(r) {
		if n++; n%4096 == 0 && ctx.Err() != nil {
			return nil, errors.New("stopped while reading; nothing was published")
		}
		if bad, ok := errors.AsType[*roster.LineError](err); ok {
			l.bad++
			if len(l.first) < badShown {
				l.first = append(l.first, bad)
			}
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w; nothing was published", name, err)
		}
		if !l.recipients.Add(entry.XUID) {
			l.repeats++
		}
	}
	l.recipients.Compact()
	debug.FreeOSMemory() // the collector alone would let the upload use as much again before it looks
	return l, nil
}

func (t *tool) printBadLines(l *list) {
	for _, bad := range l.first {
		fmt.Fprintf(t.errOut, "%s: %s\n", l.name, cli.Printable(bad.Error()))
	}
	if more := l.bad - len(l.first); more > 0 {
		fmt.Fprintf(t.errOut, "%s: and %s more\n", l.name, plural(more, "bad line"))
	}
}

// leftOut says what of the file was.
func (l *list) leftOut() string {
	var parts []string
	if l.repeats > 0 {
		parts = append(parts, plural(l.repeats, "repeat"))
	}
	if l.bad > 0 {
		parts = append(parts, plural(l.bad, "bad line"))
	}
	if parts == nil {
		return ""
	}
	return "; " + strings.Join(parts, " and ") + " left out"
}
