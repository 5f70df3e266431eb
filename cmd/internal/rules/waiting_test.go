package rules

import (
	"go/ast"
	"slices"
	"strings"
)

// nothingSleeps: shipped code waits for a channel, a timer and its context together, so that it can be stopped; tests wait
// for what they test, not for a guess of how long it takes. Fake time is the exception: in a synctest bubble a sleep is exact
// and takes no time. A sleep is in a bubble if it stands inside the function given to synctest.Test, or to a helper of the
// package that calls synctest.Test, or in a function whose doc comment says that it runs in a bubble.
func nothingSleeps(tr *tree) (findings []string) {
	for _, p := range tr.packages {
		openers := bubbleOpeners(p)
		for _, file := range p.files {
			ast.PreorderStack(file.File, nil, func(n ast.Node, above []ast.Node) bool {
				call, ok := n.(*ast.CallExpr)
				switch {
				case !ok || !file.calls(call, "time", "Sleep"):
				case !file.test:
					findings = append(findings, tr.at(call.Pos(), "time.Sleep can't be stopped: wait for a timer and the context"))
				case !inBubble(file, above, openers):
					findings = append(findings, tr.at(call.Pos(), "time.Sleep outside a synctest bubble: wait for what is tested"))
				}
				return true
			})
		}
	}
	return findings
}

// bubbleOpeners names the package's functions that call synctest.Test, themselves or through each other.
func bubbleOpeners(p *pkg) map[string]bool {
	openers := map[string]bool{}
	for before := -1; before != len(openers); {
		before = len(openers)
		for _, file := range p.files {
			for _, decl := range file.Decls {
				fn, ok := decl.(*ast.FuncDecl)
				if !ok || !file.test {
					continue
				}
				ast.Inspect(fn, func(n ast.Node) bool {
					if call, ok := n.(*ast.CallExpr); ok && opensBubble(file, call, openers) {
						openers[fn.Name.Name] = true
					}
					return true
				})
			}
		}
	}
	return openers
}

func opensBubble(file *source, call *ast.CallExpr, openers map[string]bool) bool {
	switch fun := call.Fun.(type) {
	case *ast.Ident:
		return openers[fun.Name]
	case *ast.SelectorExpr:
		return file.calls(call, "testing/synctest", "Test") || openers[fun.Sel.Name]
	default:
		return false
	}
}

func inBubble(file *source, above []ast.Node, openers map[string]bool) bool {
	return slices.ContainsFunc(above, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.CallExpr:
			return opensBubble(file, n, openers)
		case *ast.FuncDecl:
			return strings.Contains(n.Doc.Text(), "bubble")
		default:
			return false
		}
	})
}

// nothingIsSkipped: a skipped test looks green and proves nothing. What a test needs, it brings along. (A property test may
// discard a draw: rapid.T has a Skip of its own.)
func nothingIsSkipped(tr *tree) (findings []string) {
	for _, p := range tr.packages {
		for _, file := range p.files {
			ast.PreorderStack(file.File, nil, func(n ast.Node, above []ast.Node) bool {
				call, ok := n.(*ast.CallExpr)
				if !ok {
					return true
				}
				selector, ok := call.Fun.(*ast.SelectorExpr)
				if !ok || !slices.Contains([]string{"Skip", "Skipf", "SkipNow"}, selector.Sel.Name) {
					return true
				}
				if receiver, ok := selector.X.(*ast.Ident); ok && isTestingParameter(file, receiver.Name, above) {
					findings = append(findings, tr.at(call.Pos(), "a skipped test proves nothing: let it bring what it needs"))
				}
				return true
			})
		}
	}
	return findings
}

// isTestingParameter looks up the nearest function around that has a parameter of this name.
func isTestingParameter(file *source, name string, above []ast.Node) bool {
	for _, n := range slices.Backward(above) {
		var fn *ast.FuncType
		switch n := n.(type) {
		case *ast.FuncDecl:
			fn = n.Type
		case *ast.FuncLit:
			fn = n.Type
		default:
			continue
		}
		for _, field := range fn.Params.List {
			if slices.ContainsFunc(field.Names, func(id *ast.Ident) bool { return id.Name == name }) {
				return fromTesting(file, field.Type)
			}
		}
	}
	return false
}

func fromTesting(file *source, typ ast.Expr) bool {
	if star, ok := typ.(*ast.StarExpr); ok {
		typ = star.X
	}
	selector, ok := typ.(*ast.SelectorExpr)
	if !ok {
		return false
	}
	from, ok := selector.X.(*ast.Ident)
	return ok && file.imports()[from.Name] == "testing"
}
