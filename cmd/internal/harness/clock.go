package harness

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"time"
)

// InvitedOffClock is invited with a clock that a test can set: see Worker.SetClock. Everything in it, libraries too, goes by that
// clock; what is monotonic stays so, as in a machine whose clock is set.
const InvitedOffClock = "invited-off-clock"

// clockVariable names the file that such a program is told its clock by.
const clockVariable = "INVITED_TEST_CLOCK"

// The standard library is changed in one place: what time it is.
const (
	nowIs      = "func Now() Time {\n\tsec, nsec, mono := runtimeNow()\n"
	nowBecomes = nowIs + "\tsec += Off.Load()\n"
	nowAdds    = "\n// Off is what this program's clock is off by, in seconds.\nvar Off atomic.Int64\n"
	imports    = "import (\n"
)

// clockFile is added to the program. Its init is the only way into main without changing it.
const clockFile = `package main

import (
	"os"
	"strconv"
	"time"
)

func init() {
	file := os.Getenv("` + clockVariable + `")
	go func() {
		for range time.Tick(20 * time.Millisecond) {
			text, err := os.ReadFile(file)
			if err != nil {
				continue
			}
			seconds, err := strconv.ParseInt(string(text), 10, 64)
			if err != nil {
				continue
			}
			time.Off.Store(seconds)
			_ = os.Remove(file) // it is done
		}
	}()
}
`

// clockOverlay writes what go build -overlay is to put in place of the files.
func clockOverlay(dir, mainDir string) (file string, err error) {
	timeGo := filepath.Join(runtime.GOROOT(), "src", "time", "time.go") //nolint:staticcheck // a test's: the Go that runs it is there
	source, err := os.ReadFile(timeGo)
	if err != nil {
		return "", err
	}
	text := string(source)
	if strings.Count(text, nowIs) != 1 || strings.Count(text, imports) < 1 {
		return "", fmt.Errorf("%s is not as it was: see nowIs", timeGo)
	}
	text = strings.Replace(text, nowIs, nowBecomes, 1) + nowAdds
	text = strings.Replace(text, imports, imports+"\t\"sync/atomic\"\n", 1)
	replace := map[string]string{}
	for place, content := range map[string]string{timeGo: text, filepath.Join(mainDir, "off_clock.go"): clockFile} {
		own := filepath.Join(dir, filepath.Base(place))
		if err := os.WriteFile(own, []byte(content), 0o600); err != nil {
			return "", err
		}
		replace[place] = own
	}
	overlay, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		return "", err
	}
	file = filepath.Join(dir, "overlay.json")
	return file, os.WriteFile(file, overlay, 0o600)
}

// TellClock has the clock of a worker with OffClock set, to so much ahead of this machine's: at once, or when it starts.
func (w *Worker) TellClock(ahead time.Duration) {
	w.t.Helper()
	next := w.clock + ".next"
	err := os.WriteFile(next, []byte(strconv.FormatInt(int64(ahead/time.Second), 10)), 0o600)
	if err == nil {
		err = os.Rename(next, w.clock) // so that it is read whole
	}
	if err != nil {
		w.t.Fatalf("a clock must be set: %v", err)
	}
}

// SetClock does so while the worker runs, and returns when it is done.
func (w *Worker) SetClock(ahead time.Duration) {
	w.t.Helper()
	w.TellClock(ahead)
	Until(w.t, patience, "the worker's clock is set", func() bool {
		_, err := os.Stat(w.clock)
		return os.IsNotExist(err)
	})
}
