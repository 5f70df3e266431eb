package main

import (
	"debug/elf"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestReleasedProgramsAreStatic builds them as the gate does. They run on any Linux, in an image with nothing else in it: there
// is no C library whose holes would be ours to follow.
func TestReleasedProgramsAreStatic(t *testing.T) {
	dir := t.TempDir()
	build := exec.CommandContext(t.Context(), "go", "build", "-o", dir+string(filepath.Separator), "../invited", "../invitectl", "../xblsim")
	build.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux")
	out, err := build.CombinedOutput()
	require.NoError(t, err, string(out))
	for _, program := range []string{"invited", "invitectl", "xblsim"} {
		file, err := elf.Open(filepath.Join(dir, program))
		require.NoError(t, err)
		for _, segment := range file.Progs {
			assert.NotEqual(t, elf.PT_INTERP, segment.Type, "%s asks for a loader of shared libraries", program)
		}
		libraries, err := file.ImportedLibraries()
		require.NoError(t, err)
		assert.Empty(t, libraries, program)
		require.NoError(t, file.Close())
	}
}
