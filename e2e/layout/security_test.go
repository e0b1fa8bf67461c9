package layout

import (
	"fmt"
	"go/ast"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
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

// asvs is how many requirements each section of chapters V2 and V3 of ASVS 4.0.3 has, those of level 3 included.
var asvs = map[string]int{
	"V2.1": 12, "V2.2": 7, "V2.3": 3, "V2.4": 6, "V2.5": 7, "V2.6": 3, "V2.7": 6, "V2.8": 7, "V2.9": 3, "V2.10": 4,
	"V3.1": 1, "V3.2": 4, "V3.3": 4, "V3.4": 5, "V3.5": 3, "V3.6": 2, "V3.7": 1,
}

// requirements are those that the first cell of a line names: V2.4.5, V2.2.4 – V2.2.7.
func requirements(t *testing.T, cell string) (all []string) {
	t.Helper()
	for _, part := range strings.Split(cell, ",") {
		first, last, ranged := strings.Cut(strings.TrimSpace(part), " – ")
		if !ranged {
			last = first
		}
		at := strings.LastIndexByte(first, '.') + 1
		from, errFrom := strconv.Atoi(first[at:])
		to, errTo := strconv.Atoi(strings.TrimPrefix(last, first[:at]))
		if errFrom != nil || errTo != nil {
			t.Fatalf("%q names no requirements", cell)
		}
		for i := from; i <= to; i++ {
			all = append(all, first[:at]+strconv.Itoa(i))
		}
	}
	return all
}

// TestChecklistNamesTests: a line of the ASVS checklist names tests that exist, or says after
// a dash what is not done, and no requirement is left out.
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
	named := map[string]bool{}
	for i, line := range strings.Split(string(b), "\n") {
		if !strings.HasPrefix(line, "| V") {
			continue
		}
		for _, id := range requirements(t, strings.Split(line, "|")[1]) {
			named[id] = true
		}
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
	for section, n := range asvs {
		for i := range n {
			if id := fmt.Sprintf("%s.%d", section, i+1); !named[id] {
				t.Errorf("%s is left out", id)
			}
		}
	}
}
