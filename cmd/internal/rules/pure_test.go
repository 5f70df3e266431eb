package rules

import (
	"go/ast"
	"slices"
	"strings"
)

// pureLayer is the core: its answers depend on its arguments alone, so that a test can play hours of quota in microseconds
// and a failure can be played again.
const pureLayer = "dispatcher/plan"

// impure are the packages (with those below them) that reach out of a function: to files, sockets, goroutines, loggers, chance.
var impure = []string{"context", "crypto/rand", "log", "math/rand", "net", "os", "runtime", "sync", "syscall"}

// clock are the functions of package time that read or set a clock. The core takes now as an argument.
var clock = []string{"After", "AfterFunc", "NewTicker", "NewTimer", "Now", "Since", "Sleep", "Tick", "Until"}

// coreIsPure looks at the core's shipped files. Its direct imports count: the types of queue and xbl carry their packages along.
func coreIsPure(tr *tree) (findings []string) {
	for _, p := range tr.packages {
		if own, _ := layerOf(p.dir); own != pureLayer {
			continue
		}
		for _, file := range p.shipped() {
			for _, spec := range file.Imports {
				name := strings.Trim(spec.Path.Value, `"`)
				if slices.ContainsFunc(impure, func(bad string) bool { return name == bad || strings.HasPrefix(name, bad+"/") }) {
					findings = append(findings, tr.at(spec.Pos(), "the core must not import %s: return a value and let the shell act", name))
				}
			}
			ast.Inspect(file.File, func(n ast.Node) bool {
				switch n := n.(type) {
				case *ast.SelectorExpr:
					if from, ok := n.X.(*ast.Ident); ok && file.imports()[from.Name] == "time" && slices.Contains(clock, n.Sel.Name) {
						findings = append(findings, tr.at(n.Pos(), "the core must not use time.%s: take now as an argument", n.Sel.Name))
					}
				case *ast.GoStmt:
					findings = append(findings, tr.at(n.Pos(), "the core must not start goroutines: the shell does"))
				}
				return true
			})
		}
	}
	return findings
}
