//go:build unix

package s2s

import (
	"path/filepath"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestADelegationThatIsAPipeKeepsNobodyWaiting(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, syscall.Mkfifo(filepath.Join(dir, "ada"), 0o600))
	_, problem := readDelegation(dir, "ada")
	require.NotNil(t, problem)
	assert.ErrorContains(t, problem, "no regular file")
}
