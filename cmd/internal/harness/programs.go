package harness

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
)

// The programs. Everything but the NATS server is the project's own.
const (
	Invited    = "invited"
	Invitectl  = "invitectl"
	Xblsim     = "xblsim"
	NATSServer = "nats-server"
)

// packageOf is what a program is built from. The NATS server comes from the module that go.mod pins: the one that is embedded.
func packageOf(program string) string {
	if program == NATSServer {
		return "github.com/nats-io/nats-server/v2"
	}
	return "github.com/invitedhq/invited/cmd/" + strings.TrimSuffix(program, InvitedOffClock[len(Invited):])
}

// Programs builds programs, each of them once. Its zero value is ready; several tests may use it at once.
type Programs struct {
	mu    sync.Mutex
	dir   string
	built []string
}

// Path builds a program, unless that was done before, and says where it is.
func (p *Programs) Path(t testing.TB, program string) string {
	t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := p.build(t, program); err != nil {
		t.Fatalf("%s must build: %v", program, err)
	}
	return filepath.Join(p.dir, program+executable)
}

func (p *Programs) build(t testing.TB, program string) (err error) {
	if slices.Contains(p.built, program) {
		return nil
	}
	if p.dir == "" {
		// The programs outlive the first test that wants one.
		if p.dir, err = os.MkdirTemp("", "invited-programs-"); err != nil { //nolint:usetesting // t.TempDir ends with t
			return err
		}
	}
	args, env := []string{"build", "-o", filepath.Join(p.dir, program+executable)}, os.Environ()
	switch program {
	case NATSServer: // its races are not ours to find; so the gate has compiled its parts already
		args, env = append(args, "-trimpath"), append(env, "CGO_ENABLED=0")
	case InvitedOffClock:
		// All that imports time has to be compiled for it, which nothing else needs: without optimizing and without cgo, which takes a
		// third less. It is not watched for races either way.
		overlay, err := clockOverlay(t.TempDir(), mainOf(t))
		if err != nil {
			return err
		}
		args = append(args, "-gcflags", "all=-N -l -dwarf=false", "-ldflags", "-s -w", "-overlay", overlay)
		env = append(env, "CGO_ENABLED=0")
	default:
		args = append(args, raceFlags()...)
	}
	build := exec.CommandContext(t.Context(), "go", append(args, packageOf(program))...) //nolint:gosec // one of the programs above
	build.Env = env
	out, err := build.CombinedOutput()
	if err != nil {
		return fmt.Errorf("%w\n%s", err, out)
	}
	p.built = append(p.built, program)
	return nil
}

// mainOf is the directory of invited's sources.
func mainOf(t testing.TB) string {
	t.Helper()
	list := exec.CommandContext(t.Context(), "go", "list", "-f", "{{.Dir}}", packageOf(Invited)) //nolint:gosec // a constant
	out, err := list.Output()
	if err != nil {
		t.Fatalf("the sources of invited must be there: %v", err)
	}
	return strings.TrimSpace(string(out))
}

// Remove removes what was built.
func (p *Programs) Remove() {
	p.mu.Lock()
	defer p.mu.Unlock()
	_ = os.RemoveAll(p.dir) // the system cleans its temporary files as well
	p.dir, p.built = "", nil
}
