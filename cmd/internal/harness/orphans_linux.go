package harness

import "syscall"

// noOrphans has the kernel kill a process when the test binary is gone, which may be killed itself before it can clean up.
func noOrphans() *syscall.SysProcAttr { return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} }
