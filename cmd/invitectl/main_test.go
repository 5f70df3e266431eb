package main

import (
	"os"
	"regexp"
	"testing"

	"github.com/invitedhq/invited/cmd/internal/harness"
)

var programs harness.Programs

// sgr are what paints, of what is written to a terminal.
var sgr = regexp.MustCompile(`\x1b\[[0-9;]*m`)

func TestMain(m *testing.M) {
	status := m.Run()
	programs.Remove()
	os.Exit(status)
}
