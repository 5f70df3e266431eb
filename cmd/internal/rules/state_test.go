package rules

import (
	"go/ast"
	"go/token"
	"regexp"
	"slices"
	"strings"
)

// A package variable is allowed where it is a constant that the language can't spell:
//
//   - it has its value from the start, and nothing in its package writes to it or takes its address;
//   - the value is a literal, a table, or the result of one of constantCalls;
//   - it is unexported, for an importer could write to it: only error values (Err…) are exported.
//
// Three kinds have no value of that sort and are fine too: var _ Interface = …, which the compiler checks and throws away; files
// embedded by //go:embed; and a version that the linker sets, with its -X main.name= in the comment. Test files are not looked at: their state ends with the test binary.

// constantCalls return what nobody changes afterwards.
var constantCalls = map[string][]string{
	"errors":        {"New"},
	"fmt":           {"Errorf"},
	"html/template": {"Must"},
	"net/netip":     {"MustParseAddr", "MustParsePrefix"},
	"reflect":       {"TypeFor"},
	"regexp":        {"MustCompile"},
	"strings":       {"NewReplacer"},
	"text/template": {"Must"},
	"time":          {"Date"},
	// A description is a name and a help text; a counter or a gauge would be state.
	"github.com/prometheus/client_golang/prometheus": {"NewDesc"},
	// The options of a decoder, put together once.
	"github.com/go-json-experiment/json":          {"JoinOptions"},
	"github.com/go-json-experiment/json/jsontext": {},
}

var errorName = regexp.MustCompile(`^Err[A-Z]`)

// nothingRunsAtImport: an init function acts before main can decide, in an order nobody chose.
func nothingRunsAtImport(tr *tree) (findings []string) {
	for _, p := range tr.packages {
		for _, file := range p.files {
			for _, decl := range file.Decls {
				if fn, ok := decl.(*ast.FuncDecl); ok && fn.Recv == nil && fn.Name.Name == "init" {
					findings = append(findings, tr.at(fn.Pos(), "no init functions: let the caller construct what it needs"))
				}
			}
		}
	}
	return findings
}

// noHiddenState holds what the comment above says.
func noHiddenState(tr *tree) (findings []string) {
	for _, p := range tr.packages {
		declared := p.functions()
		written := p.written()
		for _, file := range p.shipped() {
			for _, decl := range file.Decls {
				group, ok := decl.(*ast.GenDecl)
				if !ok || group.Tok != token.VAR {
					continue
				}
				for _, spec := range group.Specs {
					v := spec.(*ast.ValueSpec)
					if embedded(group, v) || linked(file, group, v) {
						continue
					}
					for i, name := range v.Names {
						if problem := problemOf(file, v, i, declared, written); problem != "" {
							findings = append(findings, tr.at(name.Pos(), "package variable %s %s", name.Name, problem))
						}
					}
				}
			}
		}
	}
	return findings
}

func problemOf(file *source, v *ast.ValueSpec, i int, declared, written map[string]bool) string {
	name := v.Names[i].Name
	switch {
	case name == "_":
		return ""
	case len(v.Values) != len(v.Names):
		return "has no value of its own: it can only be there to change; put it into a type"
	case written[name]:
		return "is written to, or its address is taken: put it into a type"
	case !isConstant(file, v.Values[i], declared):
		return "holds something that can change or that a call made: construct it where it is used, or in a type"
	case v.Names[i].IsExported() && !errorName.MatchString(name):
		return "is exported, so any importer can change it: export a function that returns it"
	default:
		return ""
	}
}

// isConstant reports whether an expression is a literal, a table, or a call whose result nobody changes.
func isConstant(file *source, value ast.Expr, declared map[string]bool) bool {
	constant := true
	ast.Inspect(value, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.FuncLit:
			return false // what it does happens when it is called, with the caller's knowledge
		case *ast.UnaryExpr:
			constant = constant && n.Op != token.AND && n.Op != token.ARROW
		case *ast.CompositeLit:
			constant = constant && !isSync(file, n.Type)
		case *ast.CallExpr:
			constant = constant && isConstantCall(file, n, declared)
		}
		return constant
	})
	return constant
}

func isConstantCall(file *source, call *ast.CallExpr, declared map[string]bool) bool {
	switch fun := call.Fun.(type) {
	case *ast.SelectorExpr:
		for importPath, names := range constantCalls {
			if file.calls(call, importPath, names...) {
				return true
			}
		}
		if fun.Sel.Name == "String" && len(call.Args) == 0 {
			return true // text about another constant, inside an error
		}
		from, ok := fun.X.(*ast.Ident) // template.New("").Parse(…) inside Must
		return !ok || strings.HasSuffix(file.imports()[from.Name], "/template")
	case *ast.Ident:
		makers := []string{"make", "new", "append"}
		return !declared[fun.Name] && !slices.Contains(makers, fun.Name) // what remains is a conversion, len, min, max …
	case *ast.ArrayType:
		return true // []byte("…")
	default:
		return false
	}
}

func isSync(file *source, typ ast.Expr) bool {
	selector, ok := typ.(*ast.SelectorExpr)
	if !ok {
		return false
	}
	from, ok := selector.X.(*ast.Ident)
	return ok && strings.HasPrefix(file.imports()[from.Name], "sync")
}

func embedded(group *ast.GenDecl, v *ast.ValueSpec) bool {
	for _, doc := range []*ast.CommentGroup{group.Doc, v.Doc} {
		if doc != nil && slices.ContainsFunc(doc.List, func(c *ast.Comment) bool { return strings.HasPrefix(c.Text, "//go:embed ") }) {
			return true
		}
	}
	return false
}

// linked reports whether a command's string is filled in by the linker, and its comment says so.
func linked(file *source, group *ast.GenDecl, v *ast.ValueSpec) bool {
	flag := "-X main." + v.Names[0].Name + "="
	return file.Name.Name == "main" && (strings.Contains(group.Doc.Text(), flag) || strings.Contains(v.Doc.Text(), flag))
}

// functions names the functions that the package declares.
func (p *pkg) functions() map[string]bool {
	names := map[string]bool{}
	for _, file := range p.files {
		for _, decl := range file.Decls {
			if fn, ok := decl.(*ast.FuncDecl); ok && fn.Recv == nil {
				names[fn.Name.Name] = true
			}
		}
	}
	return names
}

// written names what the package's code (tests too) assigns to, takes the address of, or clears. It goes by name: a local
// variable that is called like a package variable counts as it, and one of the two wants another name.
func (p *pkg) written() map[string]bool {
	names := map[string]bool{}
	note := func(e ast.Expr) {
		if e != nil {
			names[rootOf(e)] = true
		}
	}
	for _, file := range p.files {
		ast.Inspect(file.File, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.AssignStmt:
				if n.Tok != token.DEFINE {
					for _, left := range n.Lhs {
						note(left)
					}
				}
			case *ast.IncDecStmt:
				note(n.X)
			case *ast.RangeStmt:
				if n.Tok == token.ASSIGN {
					note(n.Key)
					note(n.Value)
				}
			case *ast.UnaryExpr:
				if n.Op == token.AND {
					note(n.X)
				}
			case *ast.CallExpr:
				if fun, ok := n.Fun.(*ast.Ident); ok && (fun.Name == "delete" || fun.Name == "clear") && len(n.Args) > 0 {
					note(n.Args[0])
				}
			}
			return true
		})
	}
	delete(names, "")
	return names
}

// rootOf finds the variable that table[i].field belongs to.
func rootOf(e ast.Expr) string {
	for {
		switch x := e.(type) {
		case *ast.Ident:
			return x.Name
		case *ast.IndexExpr:
			e = x.X
		case *ast.SelectorExpr:
			e = x.X
		case *ast.StarExpr:
			e = x.X
		case *ast.ParenExpr:
			e = x.X
		default:
			return ""
		}
	}
}
