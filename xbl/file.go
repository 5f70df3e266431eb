package xbl

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"time"
)

// File is a source of one file per sender: <dir>/<sender> holds an Authorization value. Whoever refreshes tokens (a
// sidecar, a mounted secret) replaces the file, best by renaming a finished one onto it; the next call of Token sees it.
// While a file stays the same, a call of Token costs one stat.
//
// A file that is missing, empty, malformed, no regular file or readable by everyone is a [*TokenError] that says so. It
// concerns only that sender.
func File(dir string, options ...SourceOption) TokenSource {
	o := newSourceOptions(options)
	return &files{dir: dir, options: o, senders: recent[fileToken]{size: o.remembered}}
}

type files struct {
	dir     string
	options sourceOptions
	senders recent[fileToken]
}

// fileToken is what is known of one sender. Each has a lock of its own: a slow disk delays its sender and no other.
type fileToken struct {
	refusal refusal

	mu    sync.Mutex
	token Token       // zero: nothing usable was read
	info  fs.FileInfo // of the file when it was read
	read  time.Time
}

func (f *files) Token(_ context.Context, sender string) (Token, error) {
	token, fresh, problem := f.token(sender)
	if problem != nil {
		f.options.refreshed(problem)
		return Token{}, problem
	}
	if fresh {
		f.options.refreshed(nil)
	}
	return token, nil
}

// token is fresh where its file holds another one than before.
func (f *files) token(sender string) (t Token, fresh bool, problem *TokenError) {
	path, problem := f.path(sender)
	if problem != nil {
		return Token{}, false, problem
	}
	entry := f.senders.get(sender)
	t, fresh, problem = entry.current(path)
	if problem != nil {
		problem.Sender = sender
		return Token{}, false, problem
	}
	t, problem = entry.refusal.admit(sender, t, time.Now(), f.options.retryRefused)
	return t, fresh, problem
}

func (f *files) Refused(sender string, t Token) {
	entry := f.senders.find(sender)
	if entry == nil || t.IsZero() {
		return
	}
	entry.mu.Lock()
	defer entry.mu.Unlock()
	if t.secret == entry.token.secret {
		entry.refusal.refuse(t, time.Now(), f.options.retryRefused)
	}
}

// path is where the sender's token is. A sender comes from a subject, so from outside: it must not lead out of dir.
func (f *files) path(sender string) (string, *TokenError) {
	if f.dir == "" {
		return "", &TokenError{Kind: TokenMissing, Sender: sender, Detail: "set tokens.file.dir to the directory of the token files"}
	}
	if !ValidSender(sender) {
		return "", &TokenError{Kind: TokenInvalid, Sender: sender, Detail: "a sender is 1 to 64 of A-Z a-z 0-9 _ -"}
	}
	return filepath.Join(f.dir, sender), nil
}

// ValidSender says whether s can be a sender: 1 to 64 of A-Z a-z 0-9 _ -.
func ValidSender(s string) bool {
	for i := range len(s) {
		switch c := s[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '_', c == '-':
		default:
			return false
		}
	}
	return len(s) >= 1 && len(s) <= 64
}

// current returns the token in the file at path, read only if the file changed, and whether it is another one than before. The
// same content keeps the same token, so that touching the file does not revive a refused one.
func (e *fileToken) current(path string) (t Token, fresh bool, problem *TokenError) {
	e.mu.Lock()
	defer e.mu.Unlock()
	info, err := os.Stat(path)
	if err != nil {
		e.info = nil
		return Token{}, false, missingFile(path, err)
	}
	if e.unchanged(info) {
		return e.token, false, nil
	}
	e.info = nil
	now := time.Now()
	token, problem := readToken(path, info)
	if problem != nil {
		return Token{}, false, problem
	}
	if fresh = token.authorization() != e.token.authorization(); fresh {
		e.token = token
	}
	e.info, e.read = info, now
	return e.token, fresh, nil
}

// unchanged says that the file need not be read again. A file that was written just before it was read may have been
// written once more within the resolution of its time stamp, so such a reading is not trusted.
func (e *fileToken) unchanged(info fs.FileInfo) bool {
	const resolution = 2 * time.Second // of the coarsest file systems in use
	return e.info != nil && os.SameFile(info, e.info) && info.ModTime().Equal(e.info.ModTime()) &&
		info.Size() == e.info.Size() && info.Mode() == e.info.Mode() &&
		e.read.Sub(info.ModTime()).Abs() > resolution
}

func readToken(path string, info fs.FileInfo) (Token, *TokenError) {
	invalid := func(err error, format string, args ...any) (Token, *TokenError) {
		return Token{}, &TokenError{Kind: TokenInvalid, Detail: fmt.Sprintf(format, args...), Err: err}
	}
	switch {
	case !info.Mode().IsRegular():
		return invalid(nil, "%s is no regular file", path)
	case info.Mode().Perm()&0o004 != 0 && runtime.GOOS != "windows":
		return invalid(nil, "everyone on this machine may read %s; run: chmod o-rwx %s (a Kubernetes secret: defaultMode: 0440)",
			path, path)
	case info.Size() > maxAuthorization:
		return invalid(nil, "%s is %d bytes long, more than an Authorization value of at most %d", path, info.Size(), maxAuthorization)
	}
	content, err := readBounded(path)
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return Token{}, missingFile(path, err)
		}
		return invalid(err, "can't read the token file")
	}
	token, err := NewToken(string(content))
	if err != nil {
		return invalid(err, "content of %s", path)
	}
	return token, nil
}

// readBounded reads little more than a token, in case the file grew since it was looked at.
func readBounded(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	return io.ReadAll(io.LimitReader(f, maxAuthorization+1))
}

func missingFile(path string, err error) *TokenError {
	if !errors.Is(err, fs.ErrNotExist) {
		return &TokenError{Kind: TokenInvalid, Detail: "can't look at the token file", Err: err}
	}
	dir := filepath.Dir(path)
	if _, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) {
		return &TokenError{Kind: TokenMissing, Detail: "the directory " + dir + " (tokens.file.dir) does not exist", Err: fs.ErrNotExist}
	}
	return &TokenError{Kind: TokenMissing, Detail: "write the sender's Authorization value to " + path, Err: fs.ErrNotExist}
}
