package rules

import (
	"fmt"
	"regexp"
)

// dependencyPage is where a reader learns why something was taken in.
const dependencyPage = "docs/dependencies.md"

var (
	// requirement is a line of go.mod: on one line, or inside a block.
	requirement = regexp.MustCompile(`(?m)^(?:require +|\t)(\S+) v\S+( // indirect)?$`)
	// explained is a section of the page.
	explained = regexp.MustCompile("(?m)^### `(\\S+)`")
)

// dependenciesAreExplained compares go.mod with the page, both ways. It does not look at indirect requirements, which are
// others' choices, except that a section about one is not yet wrong: its first import may be on its way.
func dependenciesAreExplained(tr *tree) (findings []string) {
	sections := map[string]bool{}
	for _, match := range explained.FindAllSubmatch(tr.files[dependencyPage], -1) {
		sections[string(match[1])] = true
	}
	required := map[string]bool{}
	for _, match := range requirement.FindAllSubmatch(tr.files["go.mod"], -1) {
		name, direct := string(match[1]), len(match[2]) == 0
		required[name] = true
		if direct && !sections[name] {
			findings = append(findings, fmt.Sprintf("go.mod:1: %s has no section in %s: its reason, licence and what else was considered",
				name, dependencyPage))
		}
	}
	for _, match := range explained.FindAllSubmatch(tr.files[dependencyPage], -1) {
		if name := string(match[1]); !required[name] {
			findings = append(findings, fmt.Sprintf("%s:1: explains %s, which go.mod no longer requires", dependencyPage, name))
		}
	}
	return findings
}
