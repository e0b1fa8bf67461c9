package layout

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// A source is one parsed Go file of the module.
type source struct {
	path string // slash-separated, from the top of the module
	ast  *ast.File
	fset *token.FileSet
}

func (s *source) test() bool             { return strings.HasSuffix(s.path, "_test.go") }
func (s *source) dir() string            { return path.Dir(s.path) }
func (s *source) line(pos token.Pos) int { return s.fset.Position(pos).Line }

func (s *source) imports() []string {
	var paths []string
	for _, i := range s.ast.Imports {
		if p, err := strconv.Unquote(i.Path.Value); err == nil {
			paths = append(paths, p)
		}
	}
	return paths
}

func (s *source) importsPath(p string) bool { return slices.Contains(s.imports(), p) }

// root returns the top of the module: the nearest folder upwards with a go.mod.
func root(t *testing.T) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir
		}
		if filepath.Dir(dir) == dir {
			t.Fatal("no go.mod above the test")
		}
		dir = filepath.Dir(dir)
	}
}

var parsed = sync.OnceValues(parse)

// sources returns every Go file of the module; nested modules are their own house.
func sources(t *testing.T) []*source {
	t.Helper()
	files, err := parsed()
	if err != nil {
		t.Fatal(err)
	}
	if len(files) < 10 {
		t.Fatalf("only %d files found: the rules would hold of nothing", len(files))
	}
	return files
}

func parse() ([]*source, error) {
	top, err := filepath.Abs("../..")
	if err != nil {
		return nil, err
	}
	fset := token.NewFileSet()
	var files []*source
	err = filepath.WalkDir(top, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			_, nested := os.Stat(filepath.Join(p, "go.mod"))
			if p != top && (nested == nil || strings.HasPrefix(d.Name(), ".") || d.Name() == "testdata") {
				return filepath.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(p, ".go") {
			return nil
		}
		f, err := parser.ParseFile(fset, p, nil, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(top, p)
		if err != nil {
			return err
		}
		files = append(files, &source{path: filepath.ToSlash(rel), ast: f, fset: fset})
		return nil
	})
	return files, err
}

// ignored reports whether .gitignore names a top-level entry.
func ignored(t *testing.T, name string) bool {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(root(t), ".gitignore"))
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range strings.Split(string(b), "\n") {
		if ok, _ := path.Match(strings.Trim(line, "/"), name); ok && line != "" {
			return true
		}
	}
	return false
}
