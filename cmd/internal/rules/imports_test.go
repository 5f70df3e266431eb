package rules

import (
	"slices"
	"strings"
)

// layer is a folder of the diagram in docs/architecture.md, with the packages below it that have no layer of their own.
type layer struct {
	imports []string // the layers it may know
	tests   []string // further ones that its tests may know
}

// layers says who may know whom. A layer always knows itself.
var layers = map[string]layer{
	"cmd": {imports: []string{"configs", "metrics", "dispatcher", "dispatcher/plan", "queue", "queue/embedded", "xbl", "xbl/xblsim"}},
	"configs": {
		imports: []string{"dispatcher", "dispatcher/plan", "queue", "queue/embedded", "xbl"},
	},
	"metrics": {
		imports: []string{"dispatcher", "dispatcher/plan", "queue", "xbl"},
		tests:   []string{"queue/embedded", "xbl/xblsim"},
	},
	"dispatcher": {
		imports: []string{"dispatcher/plan", "queue", "xbl"},
		tests:   []string{"queue/embedded", "xbl/xblsim"},
	},
	// The core speaks of jobs and answers, so it shares their types; pure_test.go keeps it from doing anything with them.
	"dispatcher/plan": {imports: []string{"queue", "xbl"}},
	// The leaves do not know each other: either can be read, tested and reused alone.
	"queue": {tests: []string{"queue/embedded"}},
	"xbl":   {tests: []string{"xbl/xblsim"}},
	// A server in the process, for whoever starts one; it must not depend on what is stored in it.
	"queue/embedded": {},
	// The stand-in is the tests' oracle: code shared with the client would share the client's mistakes.
	"xbl/xblsim": {},
	"deploy":     {tests: []string{"configs", "metrics"}},
	"docs":       {},
}

// library says which layers may use a package of others, by the longest prefix that fits.
type library struct {
	path  string
	in    []string
	tests bool // every test may use it
}

var libraries = []library{
	// JetStream stays behind one package, in tests too: what a consumer or a stream is, is said once. The embedded server's
	// tests ask it for a stream, to see that it keeps one.
	{path: "github.com/nats-io/nats.go/jetstream", in: []string{"queue", "queue/embedded"}},
	{path: "github.com/nats-io/nats.go", in: []string{"queue", "queue/embedded", "cmd"}, tests: true},
	// The server is 15 MB of binary: only who embeds it pays for it.
	{path: "github.com/nats-io/nats-server", in: []string{"queue/embedded"}, tests: true},
	// Status codes of the API are read in xbl. metrics and cmd serve pages.
	{path: "net/http", in: []string{"xbl", "xbl/xblsim", "metrics", "cmd"}, tests: true},
	// Every metric's name is in metrics; the others report events to an interface of their own. cmd makes the registry.
	{path: "github.com/prometheus", in: []string{"metrics", "cmd"}, tests: true},
	// Spans, likewise; cmd sets the one handler of errors that OpenTelemetry has for a process. Tests play the collector.
	{path: "go.opentelemetry.io", in: []string{"metrics", "cmd"}, tests: true},
	{path: "google.golang.org/protobuf", in: []string{"metrics"}, tests: true},
	{path: "github.com/goccy/go-yaml", in: []string{"configs"}, tests: true},
	{path: "github.com/spf13", in: []string{"cmd"}},
	{path: "github.com/schollz/progressbar", in: []string{"cmd"}},
	{path: "golang.org/x/term", in: []string{"cmd"}},
	// A terminal for programs that tests run: the harness drives it.
	{path: "github.com/creack/pty", in: []string{"cmd"}},
	{path: "github.com/hinshun/vt10x", in: []string{"cmd"}},
	// For tests only: none of them may reach the binary.
	{path: "github.com/stretchr/testify", tests: true},
	{path: "pgregory.net/rapid", tests: true},
	{path: "go.uber.org/goleak", tests: true},
}

// testSupport are packages for tests: what they bring along must not reach a binary. They may know each other.
var testSupport = []string{"cmd/internal/harness", "queue/bareloop", "queue/embedded/embeddedtest", "xbl/tokens/wire/wiretest"}

// testSupportStaysInTests holds the list above.
func testSupportStaysInTests(tr *tree) (findings []string) {
	for _, p := range tr.packages {
		if slices.Contains(testSupport, p.dir) {
			continue
		}
		for _, file := range p.shipped() {
			for _, spec := range file.Imports {
				dir, ours := strings.CutPrefix(strings.Trim(spec.Path.Value, `"`), tr.module+"/")
				if ours && slices.Contains(testSupport, dir) {
					findings = append(findings, tr.at(spec.Pos(), "%s is for tests: nothing that is shipped may import it", dir))
				}
			}
		}
	}
	return findings
}

// layerOf finds the layer of a folder: itself, or the nearest folder above it that is one.
func layerOf(dir string) (string, bool) {
	for {
		if _, ok := layers[dir]; ok {
			return dir, true
		}
		cut := strings.LastIndexByte(dir, '/')
		if cut < 0 {
			return "", false
		}
		dir = dir[:cut]
	}
}

// importsRunDownward holds the table of layers.
func importsRunDownward(tr *tree) (findings []string) {
	for _, p := range tr.packages {
		own, ok := layerOf(p.dir)
		if !ok {
			findings = append(findings, p.files[0].path+":1: belongs to no layer; give its folder a place in the table of layers")
			continue
		}
		for _, file := range p.files {
			known := append([]string{own}, layers[own].imports...)
			if file.test {
				known = append(known, layers[own].tests...)
			}
			for _, spec := range file.Imports {
				dir, ours := strings.CutPrefix(strings.Trim(spec.Path.Value, `"`), tr.module+"/")
				if other, _ := layerOf(dir); ours && !slices.Contains(known, other) {
					findings = append(findings, tr.at(spec.Pos(), "%s must not know %s: imports run downward", own, dir))
				}
			}
		}
	}
	return findings
}

// librariesStayPut holds the table of libraries.
func librariesStayPut(tr *tree) (findings []string) {
	for _, p := range tr.packages {
		own, _ := layerOf(p.dir)
		for _, file := range p.files {
			for _, spec := range file.Imports {
				lib, ok := libraryOf(strings.Trim(spec.Path.Value, `"`))
				if ok && !slices.Contains(lib.in, own) && !(file.test && lib.tests) {
					findings = append(findings, tr.at(spec.Pos(), "%s must not use %s: only %s may",
						own, lib.path, lib.users()))
				}
			}
		}
	}
	return findings
}

// users says in words who may use a library.
func (l library) users() string {
	users := l.in
	if l.tests {
		users = append(slices.Clip(users), "tests")
	}
	return strings.Join(users, ", ")
}

func libraryOf(importPath string) (best library, found bool) {
	for _, lib := range libraries {
		fits := importPath == lib.path || strings.HasPrefix(importPath, lib.path+"/")
		if fits && len(lib.path) > len(best.path) {
			best, found = lib, true
		}
	}
	return best, found
}
