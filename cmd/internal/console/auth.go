package console

import (
	"bufio"
	"bytes"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"

	"golang.org/x/crypto/bcrypt"
)

// auth asks for a name and a password, which are compared with a file of bcrypt digests as htpasswd writes them. The file is read
// again when it changes; while it can't be used nobody is let in.
type auth struct {
	file string

	mu      sync.Mutex // and so one password is compared at a time: each costs a processor for a tenth of a second
	looked  time.Time
	stamp   stamp
	digests map[string][]byte
	problem error
	key     []byte              // of passed
	passed  map[string]struct{} // what was compared before, as a keyed digest
	unknown []byte              // what the password of nobody is compared with, so that names can't be told apart
}

// stamp changes with a file's content.
type stamp struct {
	size     int64
	modified time.Time
}

const (
	// lookAtFileEvery is how often the file is looked at.
	lookAtFileEvery = time.Second
	// maxPassed bounds what is kept of those who were let in.
	maxPassed = 1024
	// maxAuthFile bounds what is read: some ten thousand names.
	maxAuthFile = 1 << 20
	// maxCost keeps a digest from taking minutes to compare: 14 takes about a second.
	maxCost = 14
)

// newAuth reads the file. An error says what is wrong with it, and never repeats what is in it.
func newAuth(file string) (*auth, error) {
	a := &auth{file: file, key: make([]byte, 32)}
	_, _ = rand.Read(a.key)
	a.read(time.Now())
	if a.problem != nil {
		return nil, a.problem
	}
	var err error
	a.unknown, err = bcrypt.GenerateFromPassword(a.key, bcrypt.DefaultCost)
	return a, err
}

// user is who asks; false: nobody who may.
func (a *auth) user(r *http.Request) (name string, ok bool) {
	name, password, ok := r.BasicAuth()
	if !ok {
		return "", false
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if now := time.Now(); now.Sub(a.looked) >= lookAtFileEvery {
		a.read(now)
	}
	if a.problem != nil {
		return "", false
	}
	mac := hmac.New(sha256.New, a.key)
	fmt.Fprintf(mac, "%d:%s%s", len(name), name, password)
	digest := string(mac.Sum(nil))
	if _, before := a.passed[digest]; before {
		return name, true
	}
	want, known := a.digests[name]
	if !known {
		want = a.unknown
	}
	if bcrypt.CompareHashAndPassword(want, []byte(password)) != nil || !known {
		return "", false
	}
	if len(a.passed) >= maxPassed {
		clear(a.passed)
	}
	a.passed[digest] = struct{}{}
	return name, true
}

// read reads the file, if it is another one than before. a.mu is held, or nobody else knows a yet.
func (a *auth) read(now time.Time) {
	a.looked = now
	info, err := os.Stat(a.file)
	if err != nil {
		a.problem = fmt.Errorf("admin.auth_file: %w", err)
		return
	}
	if is := (stamp{info.Size(), info.ModTime()}); a.digests == nil || a.problem != nil || is != a.stamp {
		a.stamp, a.passed = is, make(map[string]struct{})
		a.digests, a.problem = parseAuth(a.file, info)
	}
}

func parseAuth(file string, info fs.FileInfo) (map[string][]byte, error) {
	if !info.Mode().IsRegular() || info.Size() > maxAuthFile {
		return nil, fmt.Errorf("admin.auth_file: %s must be a file of at most 1 MiB", file)
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("admin.auth_file: %w", err)
	}
	return parseDigests(file, text)
}

// parseDigests reads lines name:digest.
func parseDigests(file string, text []byte) (map[string][]byte, error) {
	digests := make(map[string][]byte)
	lines := bufio.NewScanner(bytes.NewReader(text))
	for n := 1; lines.Scan(); n++ {
		line := strings.TrimSpace(lines.Text())
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		name, digest, _ := strings.Cut(line, ":")
		cost, err := bcrypt.Cost([]byte(digest))
		if name == "" || err != nil || cost > maxCost {
			return nil, fmt.Errorf("admin.auth_file: %s:%d: must be name:digest with a bcrypt digest of a cost up to %d, "+
				"as htpasswd -nB NAME prints it", file, n, maxCost)
		}
		digests[name] = []byte(digest)
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("admin.auth_file: %s: %w", file, err)
	}
	if len(digests) == 0 {
		return nil, fmt.Errorf("admin.auth_file: %s has nobody in it", file)
	}
	return digests, nil
}
