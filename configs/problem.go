package configs

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Place says where a value came from: a file's line and column, an environment
// variable, or neither where it is a default.
type Place struct {
	File   string // the name given to Load or Parse
	Line   int    // from 1; 0 where the problem is with no one line
	Column int    // from 1, in characters
	Env    string // the environment variable that overrode the file; File, Line and Column are then empty
}

// String returns file:line:column, or names the other source.
func (p Place) String() string {
	switch {
	case p.Env != "":
		return "environment variable " + p.Env
	case p.Line > 0:
		return fmt.Sprintf("%s:%d:%d", p.File, p.Line, p.Column)
	case p.File != "":
		return p.File
	default:
		return "default"
	}
}

// Error is one thing that is wrong with the configuration. Its text never holds a
// value that may be secret: no expanded variable, and nothing of the tokens section.
type Error struct {
	Place
	Path    string // such as quota.windows[0].max; empty where the problem is the whole file's
	Message string // what is wrong, what is allowed, and the way out

	cause error
}

// Error returns the place, the path and the message, with colons between them.
func (e *Error) Error() string { return line(e.Place, e.Path, e.Message) }

// Unwrap returns the error of the file system, if that was the reason.
func (e *Error) Unwrap() error { return e.cause }

// Errors is all that is wrong, in the order of the file, then of the environment.
type Errors []*Error

// Error returns one line per problem.
func (es Errors) Error() string {
	lines := make([]string, len(es))
	for i, e := range es {
		lines[i] = e.Error()
	}
	return strings.Join(lines, "\n")
}

// Unwrap lets errors.As find the first *Error, and errors.Is its cause.
func (es Errors) Unwrap() []error {
	errs := make([]error, len(es))
	for i, e := range es {
		errs[i] = e
	}
	return errs
}

// Warning is a thing that works but is seldom meant. It shows as little as an Error.
type Warning struct {
	Place
	Path    string
	Message string
	// Unusable says that nothing is sent as long as it is so. A worker starts all the same: it goes on by itself.
	Unusable bool
}

// String returns the place, the path and the message, with colons between them.
func (w Warning) String() string { return line(w.Place, w.Path, w.Message) }

// Warnings come in the order of the file, then of the environment.
type Warnings []Warning

func line(p Place, path, message string) string {
	if path == "" {
		return p.String() + ": " + message
	}
	return p.String() + ": " + path + ": " + message
}

// comparePlaces puts lines of the file first and what has no line last.
func comparePlaces(a, b Place) int {
	if (a.Line > 0) != (b.Line > 0) {
		return cmp.Compare(b.Line, a.Line)
	}
	return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column), cmp.Compare(a.Env, b.Env))
}

func sortErrors(es Errors) {
	slices.SortStableFunc(es, func(a, b *Error) int { return comparePlaces(a.Place, b.Place) })
}

func sortWarnings(ws Warnings) {
	slices.SortStableFunc(ws, func(a, b Warning) int { return comparePlaces(a.Place, b.Place) })
}
