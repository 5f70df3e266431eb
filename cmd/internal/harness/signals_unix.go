//go:build unix

package harness

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
)

const executable = ""

// Pause stops the process in its tracks (SIGSTOP): it is alive, holds its connections and does nothing, as on a machine that is
// suspended.
func (p *Process) Pause() {
	p.t.Helper()
	p.signal(syscall.SIGSTOP)
	Until(p.t, patience, "each thread has stopped", p.paused)
}

// Resume lets a paused process go on (SIGCONT).
func (p *Process) Resume() {
	p.t.Helper()
	p.signal(syscall.SIGCONT)
}

// Hangup is SIGHUP: it reads its configuration again.
func (p *Process) Hangup() {
	p.t.Helper()
	p.signal(syscall.SIGHUP)
}

// paused says whether all threads have stopped, which can be a moment after the signal was sent. Where there is no /proc it
// says yes.
func (p *Process) paused() bool {
	threads, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", p.Pid()))
	for _, file := range threads {
		stat, err := os.ReadFile(file)
		if err != nil {
			continue // it has ended
		}
		// The state follows the name, which is in brackets.
		if name := bytes.LastIndex(stat, []byte(") ")); name < 0 || !bytes.HasPrefix(stat[name:], []byte(") T")) {
			return false
		}
	}
	return true
}
