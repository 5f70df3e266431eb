package harness

import (
	"bytes"
	"errors"
	"os/exec"
	"testing"
)

// Run runs a program to its end, which is soon.
func (p *Programs) Run(t testing.TB, program string, args ...string) (status int, out, errOut string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), p.Path(t, program), args...) //nolint:gosec // what a test asks for
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	if _, ended := errors.AsType[*exec.ExitError](err); err != nil && !ended {
		t.Fatalf("%s must run: %v", program, err)
	}
	return cmd.ProcessState.ExitCode(), stdout.String(), stderr.String()
}
