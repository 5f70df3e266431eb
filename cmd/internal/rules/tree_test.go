package rules

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// tree is a repository as the rules see it: all files as bytes, and the Go files parsed and grouped by folder.
type tree struct {
	module   string            // the path that go.mod declares
	files    map[string][]byte // by slash-separated path from the top
	packages []*pkg
	fset     *token.FileSet
}

// pkg is the Go files of one folder, external tests included.
type pkg struct {
	dir   string
	files []*source
}

type source struct {
	*ast.File
	path string
	test bool
}

// load reads a repository. What ignored names, and .git, is left out.
func load(t *testing.T, repo fs.FS, ignored map[string]bool) *tree {
	t.Helper()
	tr := &tree{files: map[string][]byte{}, fset: token.NewFileSet()}
	err := fs.WalkDir(repo, ".", func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case name == ".git" || ignored[name]:
			if d.IsDir() {
				return fs.SkipDir
			}
			return nil
		case !d.Type().IsRegular():
			return nil
		}
		tr.files[name], err = fs.ReadFile(repo, name)
		return err
	})
	require.NoError(t, err)
	tr.module = string(regexp.MustCompile(`(?m)^module (\S+)`).FindSubmatch(tr.files["go.mod"])[1])
	tr.parse(t)
	return tr
}

// parse fills packages. The tools' module and testdata are no part of what is built here.
func (tr *tree) parse(t *testing.T) {
	t.Helper()
	byDir := map[string]*pkg{}
	for _, name := range tr.names() {
		if path.Ext(name) != ".go" || strings.HasPrefix(name, ".") || strings.Contains(name, "testdata/") {
			continue
		}
		file, err := parser.ParseFile(tr.fset, name, tr.files[name], parser.ParseComments|parser.SkipObjectResolution)
		require.NoError(t, err, "the rules read syntax, so every file has to parse")
		dir := path.Dir(name)
		if byDir[dir] == nil {
			byDir[dir] = &pkg{dir: dir}
			tr.packages = append(tr.packages, byDir[dir])
		}
		byDir[dir].files = append(byDir[dir].files, &source{File: file, path: name, test: strings.HasSuffix(name, "_test.go")})
	}
}

// names lists all files in order, so that findings come in the same order every time.
func (tr *tree) names() []string {
	names := make([]string, 0, len(tr.files))
	for name := range tr.files {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// text is a file's content, or nil if it is no text.
func (tr *tree) text(name string) []byte {
	if content := tr.files[name]; !bytes.Contains(content, []byte{0}) {
		return content
	}
	return nil
}

// at writes a finding the way compilers do.
func (tr *tree) at(pos token.Pos, format string, args ...any) string {
	p := tr.fset.Position(pos)
	return fmt.Sprintf("%s:%d: %s", p.Filename, p.Line, fmt.Sprintf(format, args...))
}

// shipped lists the files that are not tests.
func (p *pkg) shipped() []*source {
	return slices.DeleteFunc(slices.Clone(p.files), func(s *source) bool { return s.test })
}

func (p *pkg) isMain() bool { return p.files[0].Name.Name == "main" }

// imports maps the name that a file knows a package by to the package's path.
func (s *source) imports() map[string]string {
	names := map[string]string{}
	for _, spec := range s.Imports {
		importPath := strings.Trim(spec.Path.Value, `"`)
		name := path.Base(importPath)
		if spec.Name != nil {
			name = spec.Name.Name
		}
		names[name] = importPath
	}
	return names
}

// calls reports whether call is importPath.name(…) and name is one of names; with no names, any function of that package.
func (s *source) calls(call *ast.CallExpr, importPath string, names ...string) bool {
	selector, ok := call.Fun.(*ast.SelectorExpr)
	if !ok {
		return false
	}
	from, ok := selector.X.(*ast.Ident)
	return ok && s.imports()[from.Name] == importPath && (len(names) == 0 || slices.Contains(names, selector.Sel.Name))
}
