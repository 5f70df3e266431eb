package harness

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"time"
)

// CPU is the processor time that the current run has taken so far, in user and kernel mode. It asks the kernel, which has to be
// Linux, in whose hundredths of a second it comes.
func (p *Process) CPU() time.Duration {
	p.t.Helper()
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.Pid()))
	if err != nil {
		p.t.Fatalf("the processor time of %s can't be read: %v", p.name, err)
	}
	// The program's name stands in parentheses and may have spaces. After it the fields count from the third; 14 and 15 are the times.
	fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])
	var ticks int64
	for _, f := range fields[11:13] {
		n, _ := strconv.ParseInt(string(f), 10, 64) // digits
		ticks += n
	}
	return time.Duration(ticks) * (time.Second / 100)
}
