package layout

import (
	"go/ast"
	"go/token"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// ofTheCluster are the tables about the cluster itself (numbers 150 to 159): they must
// stay what they are when a backup of another time, or of another cluster, is restored.
var ofTheCluster = []string{
	"150 cluster_authority", "151 cluster_join_tokens", "152 autopilot_settings", "153 backup_schedule",
	"154 backup_runs", "155 node_features", "157 active_features", "158 node_revocations", "159 wanted_features",
}

func TestTablesOfTheClusterAreItsOwn(t *testing.T) {
	t.Parallel()
	var found []string
	for _, f := range sources(t) {
		if f.test() {
			continue
		}
		ast.Inspect(f.ast, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok || len(call.Args) != 3 || !strings.HasSuffix(nameOf(call.Fun), "NewTable") {
				return true
			}
			number, _ := call.Args[0].(*ast.BasicLit)
			name, _ := call.Args[1].(*ast.BasicLit)
			spec, _ := call.Args[2].(*ast.CompositeLit)
			if number == nil || name == nil || spec == nil || number.Kind != token.INT {
				t.Errorf("%s:%d: a table's number, name and spec must stand there literally", f.path, f.line(call.Pos()))
				return true
			}
			if num, err := strconv.Atoi(number.Value); err != nil || num < 150 || num > 159 {
				return true
			}
			found = append(found, number.Value+" "+strings.Trim(name.Value, `"`))
			if !slices.ContainsFunc(spec.Elts, isOwn) {
				t.Errorf("%s:%d: %s lacks Own: a restore would replace it by the backup's", f.path, f.line(call.Pos()), name.Value)
			}
			return true
		})
	}
	slices.Sort(found)
	if !slices.Equal(found, ofTheCluster) {
		t.Errorf("tables of the cluster are %q, want %q: add new ones", found, ofTheCluster)
	}
}

func isOwn(e ast.Expr) bool {
	kv, ok := e.(*ast.KeyValueExpr)
	return ok && nameOf(kv.Key) == "Own" && nameOf(kv.Value) == "true"
}

func nameOf(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.Ident:
		return e.Name
	case *ast.SelectorExpr:
		return e.Sel.Name
	case *ast.IndexExpr:
		return nameOf(e.X)
	}
	return ""
}
