package layout

import (
	"go/ast"
	"testing"

	"github.com/quis-idp/quis/e2e/history"
)

// TestInvariantsAreTested: each promise names the tests that hold it, and they exist.
func TestInvariantsAreTested(t *testing.T) {
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
	for i, v := range history.Invariants {
		if v.Number != i+1 || v.Says == "" || len(v.Tests) == 0 {
			t.Errorf("invariant %d: %+v", i+1, v)
		}
		for _, name := range v.Tests {
			if !have[name] {
				t.Errorf("invariant %d: there is no test %s", v.Number, name)
			}
		}
	}
	if len(history.Invariants) != 21 {
		t.Errorf("%d invariants, want 21", len(history.Invariants))
	}
}
