package rules

import (
	"fmt"
	"go/ast"
	"path"
	"slices"
	"strings"
)

// minPackageDoc is the least number of characters a package comment has: a few sentences, enough to say what the package is
// for and where to begin. Good ones are much longer.
const minPackageDoc = 200

// selfExplaining are methods whose meaning is fixed by an interface that every Go programmer knows.
var selfExplaining = []string{
	"As", "Error", "Format", "GoString", "Is", "Len", "Less", "LogValue", "MarshalJSON", "MarshalText", "MarshalYAML", "Pop", "Push",
	"ServeHTTP", "String", "Swap", "UnmarshalJSON", "UnmarshalText", "UnmarshalYAML", "Unwrap",
}

// packagesTeach wants one package comment per package, in doc.go (a command's may also be in main.go), of some length.
func packagesTeach(tr *tree) (findings []string) {
	for _, p := range tr.packages {
		shipped := p.shipped()
		if len(shipped) == 0 {
			continue
		}
		places := []string{path.Join(p.dir, "doc.go")}
		if p.isMain() {
			places = append(places, path.Join(p.dir, "main.go"))
		}
		var length int
		for _, file := range shipped {
			switch {
			case file.Doc == nil:
			case slices.Contains(places, file.path):
				length += len(file.Doc.Text())
			default:
				findings = append(findings, tr.at(file.Doc.Pos(), "the package comment belongs in %s", strings.Join(places, " or ")))
			}
		}
		if length < minPackageDoc {
			findings = append(findings, fmt.Sprintf("%s:1: the package comment has %d characters; a newcomer needs at least %d",
				places[0], length, minPackageDoc))
		}
	}
	return findings
}

// exportedNamesAreDocumented looks at all that an importer can name: functions, methods, types, constants and variables.
// A comment on a group of constants counts for each of them.
func exportedNamesAreDocumented(tr *tree) (findings []string) {
	for _, p := range tr.packages {
		if p.isMain() {
			continue
		}
		for _, file := range p.shipped() {
			for _, decl := range file.Decls {
				for _, name := range undocumented(decl) {
					findings = append(findings, tr.at(name.Pos(), "%s is exported and has no doc comment", name.Name))
				}
			}
		}
	}
	return findings
}

func undocumented(decl ast.Decl) (names []*ast.Ident) {
	switch decl := decl.(type) {
	case *ast.FuncDecl:
		known := decl.Recv != nil && (slices.Contains(selfExplaining, decl.Name.Name) || !exportedReceiver(decl.Recv))
		if decl.Doc == nil && decl.Name.IsExported() && !known {
			names = append(names, decl.Name)
		}
	case *ast.GenDecl:
		for _, spec := range decl.Specs {
			switch spec := spec.(type) {
			case *ast.TypeSpec:
				if decl.Doc == nil && spec.Doc == nil && spec.Comment == nil {
					names = append(names, spec.Name)
				}
			case *ast.ValueSpec:
				if decl.Doc == nil && spec.Doc == nil && spec.Comment == nil {
					names = append(names, spec.Names...)
				}
			}
		}
	}
	return slices.DeleteFunc(names, func(name *ast.Ident) bool { return !name.IsExported() })
}

func exportedReceiver(receivers *ast.FieldList) bool {
	base := receivers.List[0].Type
	for {
		switch t := base.(type) {
		case *ast.StarExpr:
			base = t.X
		case *ast.IndexExpr:
			base = t.X
		case *ast.IndexListExpr:
			base = t.X
		case *ast.Ident:
			return t.IsExported()
		default:
			return true
		}
	}
}
