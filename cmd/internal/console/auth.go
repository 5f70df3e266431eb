package console

import (
	"bufio"
	"bytes"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"io/fs"
	"log/slog"
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
	log  *slog.Logger
	// comparing holds a token while a password is compared, one at a time: each costs a processor for up to a second.
	comparing chan struct{}

	mu      sync.Mutex
	looked  time.Time
	stamp   stamp
	digests map[string][]byte
	problem error
	key     []byte              // of passed
	passed  map[string]struct{} // what was compared before, as a keyed digest
	dearest []byte              // the digest that costs most; nobody's password is compared with it, so that names can't be told apart
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
	// longestRest is the longest time after a wrong password in which no other is compared.
	longestRest = time.Second
)

// newAuth reads the file. An error says what is wrong with it, and never repeats what is in it.
func newAuth(file string, log *slog.Logger) (*auth, error) {
	a := &auth{file: file, log: log, comparing: make(chan struct{}, 1), key: make([]byte, 32)}
	_, _ = rand.Read(a.key)
	a.read(time.Now())
	if a.problem != nil {
		return nil, a.problem
	}
	return a, nil
}

// user is who asks; false: nobody who may.
func (a *auth) user(r *http.Request) (name string, ok bool) {
	name, password, ok := r.BasicAuth()
	if !ok {
		return "", false
	}
	want, digest, state := a.before(name, password)
	if state != notCompared {
		return name, state == letIn
	}
	select {
	case a.comparing <- struct{}{}:
	case <-r.Context().Done():
		return "", false
	}
	began := time.Now()
	if bcrypt.CompareHashAndPassword(want, []byte(password)) != nil || !a.pass(name, want, digest) {
		// Whoever guesses does not keep a processor busy, and those who were let in before don't wait for them.
		time.AfterFunc(min(9*time.Since(began), longestRest), func() { <-a.comparing })
		return "", false
	}
	<-a.comparing
	return name, true
}

type authState int

const (
	refused authState = iota
	notCompared
	letIn
)

// before says whether a name and a password were compared before, and else with what they are to be.
func (a *auth) before(name, password string) (want []byte, digest string, state authState) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if now := time.Now(); now.Sub(a.looked) >= lookAtFileEvery {
		a.read(now)
	}
	if a.problem != nil {
		return nil, "", refused
	}
	mac := hmac.New(sha256.New, a.key)
	fmt.Fprintf(mac, "%d:%s%s", len(name), name, password)
	digest = string(mac.Sum(nil))
	if _, before := a.passed[digest]; before {
		return nil, digest, letIn
	}
	want, known := a.digests[name]
	if !known {
		want = a.dearest
	}
	return want, digest, notCompared
}

// pass lets in who has the password, if the name is one of the file's still.
func (a *auth) pass(name string, want []byte, digest string) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if is, known := a.digests[name]; a.problem != nil || !known || !bytes.Equal(is, want) {
		return false
	}
	if len(a.passed) >= maxPassed {
		clear(a.passed)
	}
	a.passed[digest] = struct{}{}
	return true
}

// read reads the file, if it is another one than before. a.mu is held, or nobody else knows a yet.
func (a *auth) read(now time.Time) {
	a.looked = now
	before, began := a.problem, a.digests != nil
	info, err := os.Stat(a.file)
	if err != nil {
		a.problem = fmt.Errorf("admin.auth_file: %w", err)
	} else if is := (stamp{info.Size(), info.ModTime()}); a.digests == nil || a.problem != nil || is != a.stamp {
		a.stamp, a.passed = is, make(map[string]struct{})
		a.digests, a.problem = parseAuth(a.file, info)
		a.dearest = dearest(a.digests)
	}
	switch {
	case a.problem != nil && before == nil && began:
		a.log.Error("nobody is let into the console", "error", a.problem)
	case a.problem == nil && before != nil:
		a.log.Info("the console lets in those of admin.auth_file again")
	}
}

func dearest(digests map[string][]byte) (digest []byte) {
	most := 0
	for _, d := range digests {
		if cost, err := bcrypt.Cost(d); err == nil && cost > most {
			digest, most = d, cost
		}
	}
	return digest
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
