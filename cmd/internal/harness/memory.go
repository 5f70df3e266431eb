package harness

import (
	"fmt"
	"os"
	"regexp"
	"strconv"
)

// Memory is how much memory a process has (resident set), in MiB.
type Memory struct {
	Now  float64
	Peak float64 // since it started
}

// Memory asks the kernel, which has to be Linux, so that the asking costs the process nothing.
func (p *Process) Memory() Memory {
	p.t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.Pid()))
	if err != nil {
		p.t.Fatalf("the memory of %s can't be read: %v", p.name, err)
	}
	field := func(name string) float64 {
		found := regexp.MustCompile(name + `:\s+(\d+) kB`).FindSubmatch(status)
		if found == nil {
			p.t.Fatalf("the kernel does not tell %s of %s", name, p.name)
		}
		kb, _ := strconv.ParseFloat(string(found[1]), 64) // digits
		return kb / 1024
	}
	return Memory{Now: field("VmRSS"), Peak: field("VmHWM")}
}
