package harness

const executable = ".exe"

// Pause is not there: Windows can't stop a process in its tracks.
func (p *Process) Pause() {
	p.t.Helper()
	p.t.Fatal("a process can't be paused on Windows")
}

// Hangup is not there either.
func (p *Process) Hangup() {
	p.t.Helper()
	p.t.Fatal("there is no SIGHUP on Windows")
}

// Resume is not there either.
func (p *Process) Resume() { p.Pause() }
