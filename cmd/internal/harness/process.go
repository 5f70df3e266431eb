package harness

import (
	"bytes"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Process is a program that can be started, ended and started again, with the same arguments each time. It belongs to one test.
type Process struct {
	t    testing.TB
	name string // in failures
	path string
	env  []string
	args []string
	runs []*run // the last one is the current one
}

// run is one time that the program ran.
type run struct {
	cmd    *exec.Cmd
	stdout bytes.Buffer // to be read once it has ended
	stderr *output
	ended  chan struct{}
	err    error // of Wait; to be read once it has ended
}

// patience is how long a process may take to say or do what is waited for.
const patience = 30 * time.Second

// Process prepares a program to be started, with these variables on top of the test's own environment.
func (p *Programs) Process(t testing.TB, name, program string, env []string, args ...string) *Process {
	t.Helper()
	x := &Process{t: t, name: name, path: p.Path(t, program), env: env, args: args}
	t.Cleanup(x.cleanup)
	return x
}

// Start starts the program. It must not be running.
func (p *Process) Start() {
	p.t.Helper()
	if p.Running() {
		p.t.Fatalf("%s runs already", p.name)
	}
	// The test's context ends before its cleanups, and kills what is running then.
	cmd := exec.CommandContext(p.t.Context(), p.path, p.args...) //nolint:gosec // what a test asks for
	r := &run{cmd: cmd, stderr: newOutput(), ended: make(chan struct{})}
	r.cmd.Env = append(os.Environ(), p.env...)
	r.cmd.Stdout, r.cmd.Stderr = &r.stdout, r.stderr
	r.cmd.SysProcAttr = noOrphans()
	if err := r.cmd.Start(); err != nil {
		p.t.Fatalf("%s must start: %v", p.name, err)
	}
	p.runs = append(p.runs, r)
	go func() {
		r.err = r.cmd.Wait()
		close(r.ended)
	}()
}

// Running says whether the program runs, paused or not.
func (p *Process) Running() bool {
	if len(p.runs) == 0 {
		return false
	}
	select {
	case <-p.current().ended:
		return false
	default:
		return true
	}
}

// Pid is the process id of the current run, or the last one.
func (p *Process) Pid() int { return p.current().cmd.Process.Pid }

func (p *Process) current() *run { return p.runs[len(p.runs)-1] }

// Await waits until the current run has written a line to its error output that the pattern matches, and returns the match and
// its groups. What was written before counts too.
func (p *Process) Await(pattern string) []string {
	p.t.Helper()
	re := regexp.MustCompile(pattern)
	late := time.After(patience)
	r := p.current()
	ended := r.ended
	for seen := 0; ; {
		lines, more := r.stderr.from(seen)
		for _, line := range lines {
			if found := re.FindStringSubmatch(line); found != nil {
				return found
			}
		}
		seen += len(lines)
		if ended == nil {
			p.t.Fatalf("%s ended before it said %s", p.name, pattern)
		}
		select {
		case <-more:
		case <-ended:
			ended = nil // one more look: the last words came before the end
		case <-late:
			p.t.Fatalf("%s did not say %s in %s", p.name, pattern, patience)
		}
	}
}

// Stderr is what all runs have written to their error output up to now.
func (p *Process) Stderr() string {
	var all strings.Builder
	for _, r := range p.runs {
		lines, _ := r.stderr.from(0)
		for _, line := range lines {
			all.WriteString(line + "\n")
		}
	}
	return all.String()
}

// Said says whether any run wrote these words to its error output.
func (p *Process) Said(words string) bool {
	return slices.ContainsFunc(p.runs, func(r *run) bool { return r.stderr.contains(words) })
}

// Stop ends the process with SIGTERM, as an operator would, and says how long that took. It must end with status 0.
func (p *Process) Stop() time.Duration {
	p.t.Helper()
	begun := time.Now()
	p.signal(syscall.SIGTERM)
	p.AwaitEnd()
	if err := p.current().err; err != nil {
		p.t.Fatalf("a stop by SIGTERM must end %s with status 0: %v", p.name, err)
	}
	return time.Since(begun)
}

// Kill ends the process as a crash would (kill -9), and waits until it is gone. It may be paused.
func (p *Process) Kill() {
	p.t.Helper()
	p.signal(os.Kill)
	p.AwaitEnd()
}

// Terminate sends SIGTERM and does not wait: see AwaitEnd.
func (p *Process) Terminate() {
	p.t.Helper()
	p.signal(syscall.SIGTERM)
}

// AwaitEnd waits until the process has ended by itself, or by a signal.
func (p *Process) AwaitEnd() {
	p.t.Helper()
	select {
	case <-p.current().ended:
	case <-time.After(patience):
		p.t.Fatalf("%s does not end", p.name)
	}
}

// Stdout is what a run that has ended wrote to its standard output.
func (p *Process) Stdout() []byte {
	p.t.Helper()
	p.AwaitEnd()
	return p.current().stdout.Bytes()
}

func (p *Process) signal(s os.Signal) {
	p.t.Helper()
	if len(p.runs) == 0 {
		p.t.Fatalf("%s was not started", p.name)
	}
	if err := p.current().cmd.Process.Signal(s); err != nil {
		p.t.Fatalf("%s can't be signalled (%s): %v", p.name, s, err)
	}
}

// cleanup ends the process, fails the test where a race was found, and shows what a failed test's process wrote.
func (p *Process) cleanup() {
	for n, r := range p.runs {
		_ = r.cmd.Process.Kill() // it may have ended
		<-r.ended
		if r.stderr.contains("WARNING: DATA RACE") {
			p.t.Errorf("%s has a data race", p.name)
		}
		if p.t.Failed() {
			p.t.Logf("%s, run %d of %d, said:\n%s", p.name, n+1, len(p.runs), r.stderr.tail())
		}
	}
}
