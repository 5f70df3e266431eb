package rules

import (
	"bytes"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// topLevel is what a visitor sees first. Names that begin with a dot are settings of tools and do not count.
var topLevel = []string{
	"CHANGELOG.md", "CONTRIBUTING.md", "LICENSE", "README.md", "cmd", "configs", "deploy", "dispatcher", "docs", "go.mod", "go.sum",
	"metrics", "queue", "xbl",
}

// maxLines is where a Go file wants a second look: it probably holds two ideas.
const maxLines = 500

// longFiles may be longer, each with the reason why splitting it would not help the reader.
var longFiles = map[string]string{}

// topLevelIsTheDiagram keeps the first page of the repository short.
func topLevelIsTheDiagram(tr *tree) (findings []string) {
	seen := map[string]bool{}
	for _, name := range tr.names() {
		top, _, _ := strings.Cut(name, "/")
		if !seen[top] && !strings.HasPrefix(top, ".") && !slices.Contains(topLevel, top) {
			findings = append(findings, fmt.Sprintf("%s: the top level has only %s", top, strings.Join(topLevel, ", ")))
		}
		seen[top] = true
	}
	return findings
}

// filesStayReadable holds maxLines, and drops a file from longFiles once it is short again.
func filesStayReadable(tr *tree) (findings []string) {
	for _, name := range tr.names() {
		lines := bytes.Count(tr.files[name], []byte("\n"))
		reason, allowed := longFiles[name]
		switch {
		case !strings.HasSuffix(name, ".go"):
		case lines > maxLines && reason == "":
			findings = append(findings, fmt.Sprintf("%s:%d: longer than %d lines: split it by idea, or give a reason in longFiles",
				name, lines, maxLines))
		case lines <= maxLines && allowed:
			findings = append(findings, fmt.Sprintf("%s:1: is short again: take it out of longFiles", name))
		}
	}
	for name := range longFiles {
		if tr.files[name] == nil {
			findings = append(findings, name+":1: is gone: take it out of longFiles")
		}
	}
	return findings
}

// personalPath finds absolute paths below the folders that hold people's own files: they work on one machine only.
var personalPath = regexp.MustCompile(`(?:^|[^\w.~}-])/(?:home|root|work|Users)/\w`)

// registryHost finds hosts that packages are downloaded from: which one to use is the machine's setting, not the project's. The
// dots are written as [.], so that this line does not find itself.
var registryHost = regexp.MustCompile(`(?:proxy|sum|index)[.]golang[.]org|goproxy[.](?:io|cn)|registry[.](?:npmjs[.]org|yarnpkg[.]com)|` +
	`(?:deb|security)[.]debian[.]org|archive[.]ubuntu[.]com|pypi[.]org|pythonhosted[.]org|static[.]crates[.]io`)

// noTraceOfOneMachine looks at every text file, whatever it is for.
func noTraceOfOneMachine(tr *tree) (findings []string) {
	for _, name := range tr.names() {
		for i, line := range bytes.Split(tr.text(name), []byte("\n")) {
			for _, trace := range []*regexp.Regexp{personalPath, registryHost} {
				if found := trace.Find(line); found != nil {
					findings = append(findings, fmt.Sprintf("%s:%d: %q belongs to one machine: use a relative path, or leave it to settings",
						name, i+1, bytes.TrimSpace(found)))
				}
			}
		}
	}
	return findings
}
