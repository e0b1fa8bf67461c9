package layout

import (
	"go/ast"
	"testing"
)

// oneLanguage are the rooms whose pages are in English only, with the reason.
var oneLanguage = map[string]string{
	"api/inbox": "only developers see it",
}

// TestPagesAreTranslated: every room with pages has a test that fails for a sentence that
// a language lacks.
func TestPagesAreTranslated(t *testing.T) {
	t.Parallel()
	made, tested := map[string]bool{}, map[string]bool{}
	for _, f := range sources(t) {
		ast.Inspect(f.ast, func(n ast.Node) bool {
			s, ok := n.(*ast.SelectorExpr)
			if !ok {
				return true
			}
			switch x, _ := s.X.(*ast.Ident); {
			case x == nil:
			case !f.test() && x.Name == "page" && s.Sel.Name == "NewSite":
				made[f.dir()] = true
			case f.test() && x.Name == "pagetest" && s.Sel.Name == "Translated":
				tested[f.dir()] = true
			}
			return true
		})
	}
	if len(made) < 3 {
		t.Fatalf("found pages in %v only", made)
	}
	for room := range made {
		if !tested[room] && oneLanguage[room] == "" {
			t.Errorf("%s has pages, and no test asks pagetest.Translated about them", room)
		}
	}
}
