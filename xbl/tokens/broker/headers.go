package broker

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/textproto"
	"os"
	"strings"
)

// maxHeaders bounds the file of headers, in bytes.
const maxHeaders = 32 << 10

// readHeaders reads lines of "Name: value". Empty lines, and those that begin with #, are left out. Errors name the line
// and nothing of it: it may be a password.
func readHeaders(file string) (http.Header, error) {
	info, err := os.Stat(file)
	switch {
	case err != nil:
		return nil, fmt.Errorf("it can't be read: %w", reason(err))
	case !info.Mode().IsRegular(): // opening a pipe would wait for whoever writes to it
		return nil, errors.New("it is no regular file")
	}
	f, err := os.Open(file)
	if err != nil {
		return nil, fmt.Errorf("it can't be read: %w", reason(err))
	}
	defer func() { _ = f.Close() }()
	content, err := io.ReadAll(io.LimitReader(f, maxHeaders+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("it can't be read: %w", reason(err))
	case len(content) > maxHeaders:
		return nil, fmt.Errorf("it is longer than %d bytes", maxHeaders)
	}
	return parseHeaders(string(content))
}

func reason(err error) error {
	if pathErr, ok := errors.AsType[*fs.PathError](err); ok {
		return pathErr.Err
	}
	return err
}

func parseHeaders(content string) (http.Header, error) {
	h := http.Header{}
	n := 0
	for line := range strings.Lines(content) {
		n++
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		name, value, ok := strings.Cut(line, ":")
		value = strings.TrimSpace(value)
		switch {
		case !ok || !isName(name):
			return nil, fmt.Errorf("line %d: it must be a header's name, a colon and its value", n)
		case !isValue(value):
			return nil, fmt.Errorf("line %d: the value is empty or has a control character", n)
		case ours(name):
			return nil, fmt.Errorf("line %d: this header is the worker's to set", n)
		}
		h.Add(name, value)
	}
	return h, nil
}

// ours are headers that say how the request is framed, and where it goes.
func ours(name string) bool {
	switch textproto.CanonicalMIMEHeaderKey(name) {
	case "Host", "Content-Length", "Transfer-Encoding", "Connection", "Trailer", "Te", "Upgrade":
		return true
	default:
		return false
	}
}

func isName(s string) bool {
	return s != "" && !strings.ContainsFunc(s, func(r rune) bool {
		return r <= ' ' || r > '~' || strings.ContainsRune(`"(),/:;<=>?@[\]{}`, r)
	})
}

func isValue(s string) bool {
	return s != "" && !strings.ContainsFunc(s, func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f })
}

// CheckHeaders says what is wrong with a file of headers.
func CheckHeaders(file string) error {
	_, err := readHeaders(file)
	return err
}
