package rules

import (
	"bytes"
	"fmt"
	"go/ast"
	"regexp"
	"strings"
)

// named is a test, benchmark, fuzz target or example that a page names, in code quotes.
var named = regexp.MustCompile("`((?:Test|Benchmark|Fuzz|Example)[A-Z]\\w*)`")

// pagesNameRealTests: a page that says what proves a promise must not go on saying it when the proof is gone.
func pagesNameRealTests(tr *tree) (findings []string) {
	there := map[string]bool{}
	for _, p := range tr.packages {
		for _, file := range p.files {
			for _, decl := range file.Decls {
				if fn, ok := decl.(*ast.FuncDecl); ok && file.test {
					there[fn.Name.Name] = true
				}
			}
		}
	}
	for name, text := range tr.files {
		if !strings.HasSuffix(name, ".md") {
			continue
		}
		for n, line := range strings.Split(string(text), "\n") {
			for _, match := range named.FindAllStringSubmatch(line, -1) {
				if !there[match[1]] {
					findings = append(findings, fmt.Sprintf("%s:%d: names %s, and there is no such test", name, n+1, match[1]))
				}
			}
		}
	}
	return findings
}

// fuzzTargetsAreListed: the page has a row for each target, so that whoever runs the page runs them all.
func fuzzTargetsAreListed(tr *tree) (findings []string) {
	const page = "docs/fuzzing.md"
	for _, p := range tr.packages {
		for _, file := range p.files {
			for _, decl := range file.Decls {
				fn, ok := decl.(*ast.FuncDecl)
				if !ok || !file.test || !strings.HasPrefix(fn.Name.Name, "Fuzz") {
					continue
				}
				if row := "| `" + p.dir + "` | `" + fn.Name.Name + "` |"; !bytes.Contains(tr.files[page], []byte("\n"+row)) {
					findings = append(findings, tr.at(fn.Pos(), "%s has no row that begins with %s", page, row))
				}
			}
		}
	}
	return findings
}

// theGateRunsWhatTheReadmeSays: the two commands of the README, to the letter.
func theGateRunsWhatTheReadmeSays(tr *tree) (findings []string) {
	for _, command := range []string{"go test -race ./...", "go run ./cmd/invited demo"} {
		for _, name := range []string{"README.md", ".ci/run"} {
			if !bytes.Contains(tr.files[name], []byte(command)) {
				findings = append(findings, fmt.Sprintf("%s:1: does not have the command %q", name, command))
			}
		}
	}
	return findings
}

var pageBreaches = []breach{
	{
		name: "a page names a test that is gone", check: pagesNameRealTests, path: "docs/a.md",
		text: "proven by\n`TestGone`\n", want: "docs/a.md:2: names TestGone, and there is no such test",
	},
	{
		name: "a fuzz target is not listed", check: fuzzTargetsAreListed, path: "queue/a_test.go",
		text: "package queue\n\nfunc FuzzGone(f *testing.F) {}\n", want: "docs/fuzzing.md has no row that begins with | `queue` | `FuzzGone` |",
	},
	{
		name: "a page names a function", check: pagesNameRealTests, path: "docs/a.md", text: "`Testify` and `Planner.Answer`\n",
	},
}
