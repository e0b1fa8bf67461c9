package browser

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var (
	namedTest = regexp.MustCompile(`\bTest\w+`)
	madeTest  = regexp.MustCompile(`(?m)^func (Test\w+)\(t \*testing\.T\)`)
	quoted    = regexp.MustCompile(`"([a-z0-9-]+)"`)
)

// sources are the tests of this package.
func sources(t *testing.T) (all string) {
	t.Helper()
	files, err := filepath.Glob("*_test.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		source, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		all += string(source)
	}
	return all
}

// found are the first groups of a form in a text.
func found(form *regexp.Regexp, text string) map[string]bool {
	all := map[string]bool{}
	for _, m := range form.FindAllStringSubmatch(text, -1) {
		all[m[1]] = true
	}
	return all
}

// table reads the rows of the table in a file whose first column has this head: each cell without
// blanks around it.
func table(t *testing.T, file, head string) (rows [][]string) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	_, after, _ := strings.Cut(string(text), "\n| "+head+" |")
	columns := 0
	for line := range strings.Lines("| " + head + " |" + after) {
		if !strings.HasPrefix(line, "|") {
			break
		}
		cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), "|")
		for i := range cells {
			cells[i] = strings.TrimSpace(cells[i])
		}
		if columns = max(columns, len(cells)); len(cells) != columns {
			t.Fatalf("%s: %d columns: %s", file, len(cells), line)
		}
		rows = append(rows, cells)
	}
	return rows[min(2, len(rows)):] // below the head and its rule
}

// TestMethodsAreAllTested: METHODS.md names for every method a test that enrols it, one that uses
// it and one that removes it, and there are these tests.
func TestMethodsAreAllTested(t *testing.T) {
	t.Parallel()
	made, rows := found(madeTest, sources(t)), table(t, "METHODS.md", "Method")
	for _, row := range rows {
		for _, cell := range row[1:] {
			names := namedTest.FindAllString(cell, -1)
			if len(names) == 0 {
				t.Errorf("%s: not enrolled, used and removed: %v", row[0], row)
			}
			for _, name := range names {
				if !made[name] {
					t.Errorf("%s: there is no %s", row[0], name)
				}
			}
		}
	}
	if len(rows) < 13 {
		t.Errorf("%d methods", len(rows))
	}
}

// TestFlowsAreAllInterrupted: METHODS.md names for every flow in which nodes die the test that goes
// through it, and there are these flows and tests.
func TestFlowsAreAllInterrupted(t *testing.T) {
	t.Parallel()
	made, said := found(madeTest, sources(t)), map[string]bool{}
	for _, row := range table(t, "METHODS.md", "Flow") {
		said[row[0]] = true
		if !made[row[2]] {
			t.Errorf("%s: there is no %s", row[0], row[2])
		}
	}
	flows := slices.Concat(signIns, accountFlows)
	for _, f := range flows {
		if !said[f.name] {
			t.Errorf("nothing is said of %q", f.name)
		}
	}
	if len(said) != len(flows)+1 { // the set-up has a test of its own
		t.Errorf("%d flows, of %d something is said", len(flows)+1, len(said))
	}
}

// TestPagesAreAllLookedAt: PAGES.md names a picture for every template that is a page, and a test
// takes it.
func TestPagesAreAllLookedAt(t *testing.T) {
	t.Parallel()
	taken, shown := found(quoted, sources(t)), map[string]bool{}
	for _, row := range table(t, "PAGES.md", "Template") {
		shown[row[0]] = true
		if !taken[row[1]] {
			t.Errorf("no test takes the picture %s of %s", row[1], row[0])
		}
	}
	root, pages := filepath.Join("..", ".."), 0
	err := filepath.WalkDir(filepath.Join(root, "api"), func(at string, d fs.DirEntry, err error) error {
		if err != nil || filepath.Ext(at) != ".html" || !strings.Contains(at, "templates") {
			return err
		}
		text, err := os.ReadFile(at)
		if err != nil || !strings.Contains(string(text), `{{define "main"}}`) {
			return err
		}
		name, err := filepath.Rel(root, at)
		if pages++; !shown[filepath.ToSlash(name)] {
			t.Errorf("no picture shows %s", name)
		}
		return err
	})
	if err != nil || pages != len(shown) {
		t.Errorf("%d pages, %d in PAGES.md: %v", pages, len(shown), err)
	}
}
