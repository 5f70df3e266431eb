package harness

import (
	"os/exec"
	"testing"
)

// Installed prepares a program of the system, found on the PATH, to be run as the project's own are: it ends with the test, and
// what it wrote is shown when that fails.
func Installed(t testing.TB, program string, args ...string) *Process {
	t.Helper()
	path, err := exec.LookPath(program)
	if err != nil {
		t.Fatalf("%s must be installed: %v", program, err)
	}
	x := &Process{t: t, name: program, path: path, args: args}
	t.Cleanup(x.cleanup)
	return x
}
