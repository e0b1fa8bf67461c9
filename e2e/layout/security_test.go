package layout

import (
	"go/ast"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestSecurityRulesAreTested: every line of the table names tests, and they exist.
func TestSecurityRulesAreTested(t *testing.T) {
	t.Parallel()
	have := map[string]bool{}
	for _, f := range sources(t) {
		if !f.test() {
			continue
		}
		for _, d := range f.ast.Decls {
			if fn, ok := d.(*ast.FuncDecl); ok && fn.Recv == nil {
				have[f.dir()+"."+fn.Name.Name] = true
			}
		}
	}
	b, err := os.ReadFile(filepath.Join(root(t), "federation/oidc/SECURITY.md"))
	if err != nil {
		t.Fatal(err)
	}
	name := regexp.MustCompile("`([a-z0-9/]+\\.(?:Test|Fuzz)[A-Za-z0-9_]+)`")
	rules := 0
	for i, line := range strings.Split(string(b), "\n") {
		cells := strings.Split(line, "|")
		if len(cells) != 5 || strings.Contains(line, "|---|") || strings.TrimSpace(cells[1]) == "source" {
			continue
		}
		rules++
		tests := name.FindAllStringSubmatch(cells[3], -1)
		if len(tests) == 0 {
			t.Errorf("line %d names no test: %s", i+1, line)
		}
		for _, m := range tests {
			if !have[m[1]] {
				t.Errorf("line %d: there is no test %s", i+1, m[1])
			}
		}
	}
	if rules < 60 {
		t.Errorf("%d rules, want at least 60", rules)
	}
}

// TestChecklistNamesTests: a line of the ASVS checklist names tests that exist, or says after
// a dash what is not done.
func TestChecklistNamesTests(t *testing.T) {
	t.Parallel()
	have := map[string]bool{}
	for _, f := range sources(t) {
		for _, d := range f.ast.Decls {
			if fn, ok := d.(*ast.FuncDecl); ok && f.test() && fn.Recv == nil {
				have[fn.Name.Name] = true
			}
		}
	}
	b, err := os.ReadFile(filepath.Join(root(t), "identity/authn/ASVS.md"))
	if err != nil {
		t.Fatal(err)
	}
	name := regexp.MustCompile("`(Test[A-Za-z0-9_]+)`")
	lines := 0
	for i, line := range strings.Split(string(b), "\n") {
		if !strings.HasPrefix(line, "| V") {
			continue
		}
		lines++
		tests := name.FindAllStringSubmatch(line, -1)
		if len(tests) == 0 && !strings.Contains(line, "—") {
			t.Errorf("line %d names no test: %s", i+1, line)
		}
		for _, m := range tests {
			if !have[m[1]] {
				t.Errorf("line %d: there is no test %s", i+1, m[1])
			}
		}
	}
	if lines < 40 {
		t.Errorf("%d lines, want at least 40", lines)
	}
}
