package main

import (
	"bytes"
	"debug/elf"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestReleasedProgramsAreStaticAndTheSameBytesAnywhere runs the very command that builds the images, with another folder to write to:
// here, in a checkout perhaps, and in a folder with nothing but what .dockerignore lets through.
//
// Static programs run on any Linux, in an image with nothing else in it: there is no C library whose holes would be ours to follow.
// Equal bytes let anybody see for themselves that a release was made of the source that it names.
func TestReleasedProgramsAreStaticAndTheSameBytesAnywhere(t *testing.T) {
	here, elsewhere := filepath.Join("..", ".."), t.TempDir()
	copyBuildContext(t, here, elsewhere)
	first, second := buildRelease(t, here), buildRelease(t, elsewhere)
	for _, program := range []string{"invited", "invitectl", "xblsim"} {
		assertStatic(t, filepath.Join(first, program))
		one, err := os.ReadFile(filepath.Join(first, program))
		require.NoError(t, err)
		other, err := os.ReadFile(filepath.Join(second, program))
		require.NoError(t, err)
		assert.True(t, bytes.Equal(one, other), "%s is not the same, built in two folders", program)
	}
	version := exec.CommandContext(t.Context(), filepath.Join(first, "invited"), "version")
	said, err := version.Output()
	require.NoError(t, err)
	assert.Equal(t, "invited v1.2.3 (c0ffee) "+runtime.Version()+" linux/"+runtime.GOARCH+"\n", string(said))
}

// buildRelease runs the build command of the Dockerfile in a folder, and says where the programs are.
func buildRelease(t *testing.T, dir string) string {
	t.Helper()
	out := t.TempDir()
	command := readDockerfile(t).buildCommand(t)
	require.Contains(t, command, " /out/$TARGETPLATFORM/ ")
	build := exec.CommandContext(t.Context(), "sh", "-c", strings.ReplaceAll(command, " /out/", " "+out+"/"))
	build.Dir = dir
	build.Env = append(os.Environ(), "GOFLAGS=-mod=readonly", // the default: this machine's own are not in the image
		"VERSION=v1.2.3", "REVISION=c0ffee", "TARGETOS=linux", "TARGETARCH="+runtime.GOARCH, "TARGETPLATFORM=linux/"+runtime.GOARCH)
	said, err := build.CombinedOutput()
	require.NoError(t, err, string(said))
	return filepath.Join(out, "linux", runtime.GOARCH)
}

// copyBuildContext copies what Docker would send. It understands .dockerignore as far as ours goes: nothing, except ("!path"), but
// never these names ("**/name").
func copyBuildContext(t *testing.T, from, to string) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(from, ".dockerignore"))
	require.NoError(t, err)
	var kept, left []string
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSpace(line)
		if name, ok := strings.CutPrefix(line, "!"); ok {
			kept = append(kept, name)
		} else if name, ok := strings.CutPrefix(line, "**/"); ok {
			left = append(left, name)
		}
	}
	for _, top := range kept {
		require.NoError(t, filepath.WalkDir(filepath.Join(from, top), func(file string, d fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			for _, pattern := range left {
				if matched, _ := path.Match(pattern, d.Name()); matched && d.IsDir() {
					return filepath.SkipDir
				} else if matched {
					return nil
				}
			}
			name, err := filepath.Rel(from, file)
			if err != nil || d.IsDir() {
				return err
			}
			content, err := os.ReadFile(file)
			if err != nil {
				return err
			}
			if err := os.MkdirAll(filepath.Dir(filepath.Join(to, name)), 0o755); err != nil {
				return err
			}
			return os.WriteFile(filepath.Join(to, name), content, 0o600)
		}))
	}
}

func assertStatic(t *testing.T, program string) {
	t.Helper()
	file, err := elf.Open(program)
	require.NoError(t, err)
	defer file.Close()
	for _, segment := range file.Progs {
		assert.NotEqual(t, elf.PT_INTERP, segment.Type, "%s asks for a loader of shared libraries", program)
	}
	libraries, err := file.ImportedLibraries()
	require.NoError(t, err)
	assert.Empty(t, libraries, program)
}
