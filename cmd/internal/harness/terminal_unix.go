//go:build unix

package harness

import (
	"errors"
	"os"
	"os/exec"
	"reflect"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/creack/pty"
	"github.com/hinshun/vt10x"
	"golang.org/x/term"
)

// Terminal is a program that runs at a terminal of its own, as it does before a person: what it writes is drawn on a screen, and
// what is typed goes through the line discipline, Ctrl-C too. Windows has none.
type Terminal struct {
	t      testing.TB
	name   string
	cmd    *exec.Cmd
	keys   *os.File    // the person's side
	screen *os.File    // the program's
	modes  *term.State // of the terminal, before the program ran
	ended  chan struct{}
	read   chan struct{} // closed when all that was written is drawn

	mu      sync.Mutex
	drawn   vt10x.Terminal
	raw     strings.Builder
	changed chan struct{} // closed, and made anew, with each write
}

// Terminal starts a program at a terminal of so many columns and rows, with these variables on top of the test's own.
func (p *Programs) Terminal(t testing.TB, columns, rows int, env []string, program string, args ...string) *Terminal {
	t.Helper()
	keys, screen, err := pty.Open()
	if err != nil {
		t.Fatalf("there must be a terminal: %v", err)
	}
	x := &Terminal{
		t: t, name: program, keys: keys, screen: screen, ended: make(chan struct{}), read: make(chan struct{}),
		drawn: vt10x.New(vt10x.WithSize(columns, rows)), changed: make(chan struct{}),
	}
	x.Resize(columns, rows)
	if x.modes, err = term.GetState(int(screen.Fd())); err != nil {
		t.Fatalf("a terminal must have modes: %v", err)
	}
	x.cmd = exec.CommandContext(t.Context(), p.Path(t, program), args...) //nolint:gosec // what a test asks for
	x.cmd.Env = append(append(os.Environ(), "TERM=xterm-256color", "NO_COLOR="), env...)
	x.cmd.Stdin, x.cmd.Stdout, x.cmd.Stderr = screen, screen, screen
	x.cmd.SysProcAttr = noOrphans()
	x.cmd.SysProcAttr.Setsid, x.cmd.SysProcAttr.Setctty = true, true // Ctrl-C is for whoever's terminal it is
	if err := x.cmd.Start(); err != nil {
		t.Fatalf("%s must start: %v", program, err)
	}
	go x.draw()
	go func() {
		_ = x.cmd.Wait() // how it ended is in its ProcessState
		close(x.ended)
	}()
	t.Cleanup(x.cleanup)
	return x
}

// draw draws what is written until the terminal is closed.
func (x *Terminal) draw() {
	defer close(x.read)
	buffer := make([]byte, 4096)
	for {
		n, err := x.keys.Read(buffer)
		x.mu.Lock()
		x.raw.Write(buffer[:n])
		_, _ = x.drawn.Write(buffer[:n]) // into memory
		close(x.changed)
		x.changed = make(chan struct{})
		x.mu.Unlock()
		if err != nil {
			return
		}
	}
}

// look is the screen now, without blanks at the ends of its lines and below them, and what is closed at its next change.
func (x *Terminal) look() (screen string, changed <-chan struct{}) {
	x.mu.Lock()
	defer x.mu.Unlock()
	lines := strings.Split(x.drawn.String(), "\n")
	for i := range lines {
		lines[i] = strings.TrimRight(lines[i], " ")
	}
	return strings.TrimRight(strings.Join(lines, "\n"), "\n"), x.changed
}

// Screen is what a person sees.
func (x *Terminal) Screen() string {
	screen, _ := x.look()
	return screen
}

// Raw is all that was written, byte by byte.
func (x *Terminal) Raw() string {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.raw.String()
}

// Await waits until the screen matches a pattern, and returns it. A program that ends meanwhile is drawn to its last word.
func (x *Terminal) Await(pattern string) string {
	x.t.Helper()
	return x.AwaitScreen(pattern, regexp.MustCompile(pattern).MatchString)
}

// AwaitScreen waits until something holds of the screen, and returns it. What is what is waited for, in words. What a program writes
// at once may be drawn in parts, so whatever has to hold of one screen belongs into one call.
func (x *Terminal) AwaitScreen(what string, holds func(screen string) bool) string {
	x.t.Helper()
	late := time.After(patience)
	for {
		screen, changed := x.look()
		if holds(screen) {
			return screen
		}
		select {
		case <-changed:
		case <-late:
			x.t.Fatalf("after %s the screen of %s does not show %s:\n%s", patience, x.name, what, screen)
		}
	}
}

// Type presses keys: \r is Enter, \x03 is Ctrl-C.
func (x *Terminal) Type(keys string) {
	x.t.Helper()
	if _, err := x.keys.WriteString(keys); err != nil {
		x.t.Fatalf("%s must be typed: %v", keys, err)
	}
}

// Resize gives the terminal another size. What is on the screen stays where it is.
func (x *Terminal) Resize(columns, rows int) {
	x.t.Helper()
	x.mu.Lock()
	defer x.mu.Unlock()
	x.drawn.Resize(columns, rows)
	if err := pty.Setsize(x.keys, &pty.Winsize{Cols: uint16(columns), Rows: uint16(rows)}); err != nil {
		x.t.Fatalf("a terminal must have a size: %v", err)
	}
}

// End waits until the program has ended and all it wrote is drawn, and returns its exit status. The terminal must be as it was: its
// modes, no colour left on, the cursor visible, no other screen.
func (x *Terminal) End() (status int) {
	x.t.Helper()
	select {
	case <-x.ended:
	case <-time.After(patience):
		x.t.Fatalf("%s does not end:\n%s", x.name, x.Screen())
	}
	modes, err := term.GetState(int(x.screen.Fd()))
	if err != nil || !reflect.DeepEqual(x.modes, modes) {
		x.t.Errorf("%s leaves the terminal in other modes: %v", x.name, err)
	}
	x.close()
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.drawn.Mode()&vt10x.ModeAltScreen != 0 || !x.drawn.CursorVisible() {
		x.t.Errorf("%s leaves the terminal on another screen, or without its cursor", x.name)
	}
	if at := x.drawn.Cursor(); at.Attr.FG != vt10x.DefaultFG || at.Attr.BG != vt10x.DefaultBG || at.Attr.Mode != 0 {
		x.t.Errorf("%s leaves a colour on", x.name)
	}
	return x.cmd.ProcessState.ExitCode()
}

// close hangs up the program's side, so that the other one is read to its end.
func (x *Terminal) close() {
	if err := x.screen.Close(); errors.Is(err, os.ErrClosed) {
		return
	}
	<-x.read
	_ = x.keys.Close() // it was read
}

func (x *Terminal) cleanup() {
	_ = x.cmd.Process.Kill() // it may have ended
	<-x.ended
	x.close()
	if x.t.Failed() {
		x.t.Logf("%s wrote:\n%q", x.name, x.Raw())
	}
}
