package configs

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
)

// maxFileSize bounds what is read. A configuration of ten thousand titles fits.
const maxFileSize = 1 << 20

// Getenv looks an environment variable up, as os.LookupEnv does.
type Getenv = func(name string) (value string, set bool)

// Load reads the file at path and checks it, with the certificates that it names for tokens. An empty path means no
// file: the defaults and the environment alone.
//
// The error is of type Errors and names all that is wrong. Warnings are there with and without an error.
func Load(path string, getenv Getenv) (Config, Warnings, error) {
	if path == "" {
		return Parse("", nil, getenv)
	}
	data, mode, err := read(path)
	if err != nil {
		return Config{}, nil, unreadable(path, err)
	}
	return load(path, data, mode, getenv)
}

func load(path string, data []byte, mode fs.FileMode, getenv Getenv) (Config, Warnings, error) {
	l := newLoader(path, getenv)
	l.readsFiles = true
	config, err := l.load(data)
	l.warnReadable(mode)
	return config, l.sortedWarnings(), err
}

// Reload is Load for who has read the file before, and refuses what would then be
// a mistake: a pipe, which is read once and would be waited for, and an empty file,
// such as one that somebody has just begun to write. At the start that means the
// defaults; later it would take the tokens away from a worker that works.
func Reload(path string, getenv Getenv) (Config, Warnings, error) {
	if path == "" {
		return Load(path, getenv)
	}
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return Config{}, nil, unreadable(path, err)
	case !info.Mode().IsRegular():
		return Config{}, nil, unreadable(path, errNotAgain)
	}
	data, mode, err := read(path)
	switch {
	case err != nil:
		return Config{}, nil, unreadable(path, err)
	case len(bytes.TrimSpace(data)) == 0:
		return Config{}, nil, unreadable(path, errEmpty)
	}
	return load(path, data, mode, getenv)
}

var (
	errNotAgain = errors.New("it is no regular file, which could be read again")
	errEmpty    = errors.New("it is empty")
)

// AdminListen reads admin.listen alone, for who asks a worker that runs. It is as in
// Load, except that other mistakes do not count: the worker that has read the file before
// goes on in spite of them. It fails, with Errors, where the value itself can't be read.
func AdminListen(path string, getenv Getenv) (string, error) {
	var data []byte
	if path != "" {
		var err error
		if data, _, err = read(path); err != nil {
			return "", unreadable(path, err)
		}
	}
	l := newLoader(path, getenv)
	_, err := l.load(data)
	noYAML := err != nil && len(l.errs) == 0
	if noYAML || l.failed[""] || l.failed["admin"] || l.failed[pathAdminListen] {
		return "", err
	}
	return l.config.Admin.Listen, nil
}

// Parse checks data, the text of a configuration file. The name stands for the file in
// errors and warnings. Otherwise it is like Load, but looks at no file.
func Parse(name string, data []byte, getenv Getenv) (Config, Warnings, error) {
	l := newLoader(name, getenv)
	config, err := l.load(data)
	return config, l.sortedWarnings(), err
}

func read(path string) ([]byte, fs.FileMode, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, 0, err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return nil, 0, err
	}
	// One byte more than allowed, so that a file that is too large is seen as one.
	data, err := io.ReadAll(io.LimitReader(file, maxFileSize+1))
	return data, info.Mode(), err
}

func unreadable(path string, err error) Errors {
	return Errors{{Place: Place{File: path}, Message: fmt.Sprintf("the file can't be read: %v", reason(err)), cause: err}}
}

// reason leaves out the path, which the error's place names already.
func reason(err error) error {
	if pathErr, ok := errors.AsType[*fs.PathError](err); ok {
		return pathErr.Err
	}
	return err
}

// loader carries one file through its stages: parse, bind, override, validate. Each
// stage goes on after a problem as far as it can, so that one run names them all.
type loader struct {
	name   string
	getenv Getenv

	config Config
	// places says where each value came from, by path. A path that is not in it has its default.
	places map[string]Place
	// hidden are the paths with text from the environment, which no message may show.
	hidden map[string]bool
	// failed are the paths with an error, which need no second one.
	failed map[string]bool

	// readsFiles has the files looked at that the configuration names.
	readsFiles bool

	errs  Errors
	warns Warnings
}

func newLoader(name string, getenv Getenv) *loader {
	return &loader{
		name:   name,
		getenv: getenv,
		config: Default(),
		places: map[string]Place{},
		hidden: map[string]bool{},
		failed: map[string]bool{},
	}
}

func (l *loader) load(data []byte) (Config, error) {
	root, syntax := parseDocument(l.name, data)
	if syntax != nil {
		return Config{}, Errors{syntax}
	}
	if root != nil {
		newBinder(l).bindRoot(root)
	}
	l.authorizationDefault()
	l.override()
	l.validate()
	l.warn()
	if len(l.errs) > 0 {
		sortErrors(l.errs)
		return Config{}, l.errs
	}
	return l.config, nil
}

func (l *loader) fail(path string, place Place, format string, args ...any) {
	l.failed[path] = true
	l.errs = append(l.errs, &Error{Place: place, Path: path, Message: fmt.Sprintf(format, args...)})
}

func (l *loader) warnAt(path, format string, args ...any) {
	l.warns = append(l.warns, Warning{Place: l.places[path], Path: path, Message: fmt.Sprintf(format, args...)})
}

func (l *loader) sortedWarnings() Warnings {
	sortWarnings(l.warns)
	return l.warns
}
