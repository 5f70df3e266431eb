package xbl

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// writeToken replaces the file of a sender as it is best done: with one rename.
func writeToken(t testing.TB, dir, sender, content string) {
	t.Helper()
	temporary := filepath.Join(t.TempDir(), "token")
	require.NoError(t, os.WriteFile(temporary, []byte(content), 0o600))
	require.NoError(t, os.Rename(temporary, filepath.Join(dir, sender)))
}

func TestAFileIsReadAgainWhenItChanges(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "alice")
	s := File(dir)
	read := func() string { return mustToken(t, s, "alice").authorization() }
	inPlace := func(content string) { require.NoError(t, os.WriteFile(path, []byte(content), 0o600)) }

	inPlace("XBL3.0 x=1;first\r\n")
	assert.Equal(t, "XBL3.0 x=1;first", read(), "without the line end")
	writeToken(t, dir, "alice", "XBL3.0 x=1;other")
	assert.Equal(t, "XBL3.0 x=1;other", read(), "replaced by another of the same size")
	stamp := time.Now()
	for i := range 3 {
		content := fmt.Sprintf("XBL3.0 x=1;again%02d", i)
		inPlace(content)
		require.NoError(t, os.Chtimes(path, stamp, stamp))
		assert.Equal(t, content, read(), "written in place, the same size, within the resolution of time stamps")
	}

	long := time.Now().Add(-time.Hour)
	require.NoError(t, os.Chtimes(path, long, long))
	settled := mustToken(t, s, "alice")
	assert.True(t, settled.Equal(mustToken(t, s, "alice")), "an unchanged file keeps its token")
}

// A Secret that Kubernetes mounts is links to a folder, which is replaced as a whole: the sender's own link never changes.
func TestASecretThatKubernetesMountsIsReadAgain(t *testing.T) {
	dir := t.TempDir()
	put := func(folder, content string) {
		require.NoError(t, os.Mkdir(filepath.Join(dir, folder), 0o750))
		require.NoError(t, os.WriteFile(filepath.Join(dir, folder, "alice"), []byte(content), 0o440))
		require.NoError(t, os.Symlink(folder, filepath.Join(dir, "..data_tmp")))
		require.NoError(t, os.Rename(filepath.Join(dir, "..data_tmp"), filepath.Join(dir, "..data")))
	}
	put("..2026_01", "XBL3.0 x=1;first")
	require.NoError(t, os.Symlink(filepath.Join("..data", "alice"), filepath.Join(dir, "alice")))
	s := File(dir)
	assert.Equal(t, "XBL3.0 x=1;first", mustToken(t, s, "alice").authorization())
	put("..2026_02", "XBL3.0 x=1;other")
	require.NoError(t, os.RemoveAll(filepath.Join(dir, "..2026_01")))
	assert.Equal(t, "XBL3.0 x=1;other", mustToken(t, s, "alice").authorization())
}

func TestAnUnchangedFileIsNotReadAgain(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "alice")
	long := time.Now().Add(-time.Hour)
	write := func(content string) {
		require.NoError(t, os.WriteFile(path, []byte(content), 0o600))
		require.NoError(t, os.Chtimes(path, long, long))
	}
	write("XBL3.0 x=1;first")
	s := File(dir)
	token := mustToken(t, s, "alice")
	write("XBL3.0 x=1;other") // What no stat can show, a read would.
	assert.True(t, token.Equal(mustToken(t, s, "alice")))
}

func TestEverySenderHasItsOwnFile(t *testing.T) {
	dir := t.TempDir()
	for _, sender := range []string{"alice", "bob"} {
		writeToken(t, dir, sender, "XBL3.0 x=1;of-"+sender)
	}
	s := File(dir)
	var wg sync.WaitGroup
	for _, sender := range []string{"alice", "bob", "alice", "bob"} {
		wg.Go(func() {
			for range 200 {
				token, err := s.Token(t.Context(), sender)
				assert.NoError(t, err)
				assert.Equal(t, "XBL3.0 x=1;of-"+sender, token.authorization())
				s.Refused(sender, Token{})
			}
		})
	}
	wg.Wait()
}

func TestUnusableFilesSayWhyAndWhatToDo(t *testing.T) {
	dir := t.TempDir()
	put := func(name, content string, mode fs.FileMode) {
		path := filepath.Join(dir, name)
		require.NoError(t, os.WriteFile(path, []byte(content), 0o600))
		require.NoError(t, os.Chmod(path, mode))
	}
	put("empty", "", 0o600)
	put("blank", " \n", 0o600)
	put("half", "XBL3.0 x=hunter2", 0o600)
	put("json", `{"authorization":"hunter2"}`, 0o600)
	put("lines", "XBL3.0 x=1;hunter2\nXBL3.0 x=2;hunter2", 0o600)
	put("large", "XBL3.0 x=1;hunter2"+strings.Repeat("x", maxAuthorization), 0o600)
	put("open", testAuthorization, 0o644)
	require.NoError(t, os.Mkdir(filepath.Join(dir, "directory"), 0o700))
	require.NoError(t, os.Symlink(filepath.Join(dir, "nowhere"), filepath.Join(dir, "dangling")))
	require.NoError(t, os.Symlink("looped", filepath.Join(dir, "looped")))

	const form = "expected is an Authorization value of the form XBL3.0 x=<userhash>;<token>"
	at := func(name string) string { return filepath.Join(dir, name) }
	tests := []struct {
		sender string
		kind   TokenErrorKind
		says   []string
	}{
		{"absent", TokenMissing, []string{"write the sender's Authorization value to " + at("absent")}},
		{"dangling", TokenMissing, []string{at("dangling")}},
		{"empty", TokenInvalid, []string{at("empty"), "it is empty", form}},
		{"blank", TokenInvalid, []string{at("blank"), "it is empty", form}},
		{"half", TokenInvalid, []string{at("half"), "token after it is missing", form}},
		{"json", TokenInvalid, []string{at("json"), "does not begin", form}},
		{"lines", TokenInvalid, []string{at("lines"), "line break", form}},
		{"large", TokenInvalid, []string{at("large"), "32786 bytes", "32768"}},
		{"directory", TokenInvalid, []string{at("directory") + " is no regular file"}},
		{"looped", TokenInvalid, []string{at("looped")}},
	}
	if runtime.GOOS != "windows" {
		tests = append(tests, struct {
			sender string
			kind   TokenErrorKind
			says   []string
		}{"open", TokenInvalid, []string{"chmod o-rwx " + at("open"), "defaultMode: 0440"}})
	}
	s := File(dir)
	for _, tt := range tests {
		t.Run(tt.sender, func(t *testing.T) {
			for range 2 {
				te := requireTokenError(t, s, tt.sender, tt.kind)
				for _, words := range tt.says {
					assert.ErrorContains(t, te, words)
				}
			}
			require.NoError(t, os.RemoveAll(at(tt.sender)))
			writeToken(t, dir, tt.sender, testAuthorization)
			mustToken(t, s, tt.sender)
		})
	}
}

func TestAFileThatIsOpenedToEveryoneIsRefusedFromThenOn(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "alice")
	writeToken(t, dir, "alice", testAuthorization)
	long := time.Now().Add(-time.Hour)
	require.NoError(t, os.Chtimes(path, long, long))
	s := File(dir)
	mustToken(t, s, "alice")
	require.NoError(t, os.Chmod(path, 0o604))
	requireTokenError(t, s, "alice", TokenInvalid)
	require.NoError(t, os.Chmod(path, 0o640))
	mustToken(t, s, "alice")
}

func TestMissingDirectoriesAreTold(t *testing.T) {
	te := requireTokenError(t, File(""), "alice", TokenMissing)
	assert.ErrorContains(t, te, "set tokens.file.dir")
	dir := filepath.Join(t.TempDir(), "none")
	te = requireTokenError(t, File(dir), "alice", TokenMissing)
	assert.ErrorContains(t, te, "the directory "+dir+" (tokens.file.dir) does not exist")
	assert.ErrorIs(t, te, fs.ErrNotExist)
}

func TestASenderCannotLeadOutOfTheDirectory(t *testing.T) {
	dir := t.TempDir()
	writeToken(t, dir, "secret", testAuthorization)
	inner := filepath.Join(dir, "inner")
	require.NoError(t, os.Mkdir(inner, 0o700))
	for _, sender := range []string{"../secret", "..", ".", "", "a/b", `..\secret`, "a\x00", "/etc/passwd", "ä", strings.Repeat("a", 65)} {
		te := requireTokenError(t, File(inner), sender, TokenInvalid)
		assert.ErrorContains(t, te, "1 to 64 of A-Z a-z 0-9 _ -")
	}
	longest := strings.Repeat("a", 64)
	writeToken(t, inner, longest, testAuthorization)
	mustToken(t, File(inner), longest)
}

func FuzzTokenFile(f *testing.F) {
	for _, s := range []string{testAuthorization, testAuthorization + "\n", "", "XBL3.0 x=;", "XBL3.0 x=1;a\r\nb: c", "\xff", "XBL3.0 x=1;\x00"} {
		f.Add([]byte(s))
	}
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, content []byte) {
		require.NoError(t, os.WriteFile(filepath.Join(dir, "alice"), content, 0o600))
		token, err := File(dir).Token(t.Context(), "alice")
		if err != nil {
			var te *TokenError
			require.ErrorAs(t, err, &te)
			return
		}
		a := token.authorization()
		assert.Equal(t, strings.TrimSpace(string(content)), a)
		assert.False(t, strings.ContainsFunc(a, func(r rune) bool { return r < ' ' || r > '~' }), "no header is made of this")
	})
}

// BenchmarkFileToken is what an unchanged file costs a call: one stat.
func BenchmarkFileToken(b *testing.B) {
	dir := b.TempDir()
	writeToken(b, dir, "alice", testAuthorization)
	long := time.Now().Add(-time.Hour)
	require.NoError(b, os.Chtimes(filepath.Join(dir, "alice"), long, long))
	s := File(dir)
	b.ReportAllocs()
	for b.Loop() {
		_, _ = s.Token(b.Context(), "alice")
	}
}
