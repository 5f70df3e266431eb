//go:build !linux

package harness

import "syscall"

func noOrphans() *syscall.SysProcAttr { return &syscall.SysProcAttr{} }
