package main

import (
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/invitedhq/invited/metrics"
)

// version and revision are set by the linker for a release: -ldflags "-X main.version=v1.2.3 -X main.revision=<commit>". So a
// build from a source archive, or in a container, says the same as one from a checkout, byte for byte.
var version, revision string

type build metrics.Build

// buildOf says what this binary was built from: what the linker was told, else
// what the Go toolchain recorded.
func buildOf() build {
	b := build{Version: version, Revision: revision}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return b
	}
	if b.Version == "" && info.Main.Version != "" {
		b.Version = info.Main.Version
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" && b.Revision == "" {
			b.Revision = s.Value
		}
	}
	return b
}

func (b build) String() string {
	s := "invited " + b.Version
	if b.Revision != "" {
		s += " (" + b.Revision + ")"
	}
	return fmt.Sprintf("%s %s %s/%s", s, runtime.Version(), runtime.GOOS, runtime.GOARCH)
}
