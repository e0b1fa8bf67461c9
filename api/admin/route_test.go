package admin

import (
	"encoding/json"
	"maps"
	"net/http"
	"net/http/httptest"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/quis-idp/quis/api/admin/dispatch"
	"github.com/quis-idp/quis/api/admin/shape"
)

// bare is an API whose table can be looked at; it has no rooms to call.
func bare(t *testing.T) *API {
	t.Helper()
	a, err := New(Config{Version: "test"})
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func TestTable(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for _, r := range bare(t).table {
		if seen[r.Op] || r.Op == "" || !strings.HasSuffix(r.Summary, ".") {
			t.Errorf("%s %s: operation %q, summary %q", r.Method, r.Path, r.Op, r.Summary)
		}
		seen[r.Op] = true
		in := map[string]bool{}
		for _, p := range dispatch.Parameters(r.Do.In, &r) {
			if in[p.Name()] {
				t.Errorf("%s: parameter %s twice", r.Op, p.Name())
			}
			in[p.Name()] = true
			if p.In == "path" && !strings.Contains(r.Path, "{"+p.Name()+"}") {
				t.Errorf("%s: %s is not in %s", r.Op, p.Name(), r.Path)
			}
		}
		for _, part := range strings.Split(r.Path, "/") {
			if name, ok := strings.CutPrefix(part, "{"); ok && !in[strings.TrimSuffix(name, "}")] {
				t.Errorf("%s: nothing reads %s of %s", r.Op, part, r.Path)
			}
		}
	}
}

func TestOpenAPI(t *testing.T) {
	t.Parallel()
	a := bare(t)
	w := httptest.NewRecorder()
	mux := http.NewServeMux()
	a.Routes(mux)
	mux.ServeHTTP(w, httptest.NewRequest("GET", "/api/openapi.json", nil))
	var doc map[string]any
	if err := json.Unmarshal(w.Body.Bytes(), &doc); err != nil || w.Code != 200 {
		t.Fatal(w.Code, err)
	}
	if doc["openapi"] != "3.1.0" {
		t.Errorf("version %v", doc["openapi"])
	}
	paths := doc["paths"].(map[string]any)
	operations := 0
	for _, item := range paths {
		operations += len(item.(map[string]any))
	}
	if operations != len(a.table) {
		t.Errorf("%d operations, %d routes", operations, len(a.table))
	}
	for _, r := range a.table {
		op, ok := paths[prefix+r.Path].(map[string]any)[strings.ToLower(r.Method)].(map[string]any)
		if !ok || op["operationId"] != r.Op {
			t.Errorf("%s %s is missing", r.Method, r.Path)
		}
	}
	used := map[string]bool{}
	checkNode(t, doc, doc, "#", used)
	for name := range doc["components"].(map[string]any)["schemas"].(map[string]any) {
		if !used["#/components/schemas/"+name] {
			t.Errorf("schema %s is never used", name)
		}
	}
}

// TestExamples: every body that is asked for or answered has an example, and the strict
// reader takes what is asked.
func TestExamples(t *testing.T) {
	t.Parallel()
	var doc struct {
		Paths map[string]map[string]struct {
			Parameters []struct {
				Name     string
				Required bool
				Example  any
			}
			RequestBody *struct {
				Content map[string]struct{ Example json.RawMessage }
			}
			Responses map[string]struct {
				Content map[string]struct{ Example json.RawMessage }
			}
		}
	}
	if err := json.Unmarshal(bare(t).openapi, &doc); err != nil {
		t.Fatal(err)
	}
	for _, r := range bare(t).table {
		op := doc.Paths[prefix+r.Path][strings.ToLower(r.Method)]
		for _, p := range op.Parameters {
			if p.Required && p.Example == nil {
				t.Errorf("%s: parameter %s has no example", r.Op, p.Name)
			}
		}
		if body := dispatch.BodyOf(r.Do.In); body != nil {
			example := op.RequestBody.Content["application/json"].Example
			if string(example) == "{}" || len(example) == 0 {
				t.Errorf("%s: no example of its body", r.Op)
			} else if err := shape.Read(example, reflect.New(body).Interface(), r.Method == "PATCH"); err != nil {
				t.Errorf("%s: its own example %s is refused: %v", r.Op, example, err)
			}
		}
		if r.Do.Out == reflect.TypeFor[none]() {
			continue
		}
		example := op.Responses[strconv.Itoa(r.Success())].Content["application/json"].Example
		if string(example) == "{}" || len(example) == 0 {
			t.Errorf("%s: no example of its answer", r.Op)
		} else if err := json.Unmarshal(example, reflect.New(r.Do.Out).Interface()); err != nil {
			t.Errorf("%s: its answer cannot be %s: %v", r.Op, example, err)
		}
	}
}

// checkNode resolves every reference and looks at every schema.
func checkNode(t *testing.T, doc map[string]any, v any, at string, used map[string]bool) {
	t.Helper()
	switch v := v.(type) {
	case []any:
		for _, e := range v {
			checkNode(t, doc, e, at+"[]", used)
		}
	case map[string]any:
		if ref, ok := v["$ref"].(string); ok {
			used[ref] = true
			if !resolves(doc, ref) {
				t.Errorf("%s: %s leads nowhere", at, ref)
			}
		}
		properties, object := v["properties"].(map[string]any)
		required, _ := v["required"].([]any)
		for _, name := range required {
			if _, ok := properties[name.(string)]; object && !ok {
				t.Errorf("%s: required %v is no property", at, name)
			}
		}
		for _, name := range slices.Sorted(maps.Keys(properties)) {
			p := properties[name].(map[string]any)
			if d, _ := p["description"].(string); d == "" && !strings.Contains(at, "Problem") && !strings.Contains(at, "/Field") {
				t.Errorf("%s: property %s has no description", at, name)
			}
		}
		for _, k := range slices.Sorted(maps.Keys(v)) {
			checkNode(t, doc, v[k], at+"/"+k, used)
		}
	}
}

func resolves(doc map[string]any, ref string) bool {
	var at any = doc
	for _, part := range strings.Split(strings.TrimPrefix(ref, "#/"), "/") {
		m, ok := at.(map[string]any)
		if !ok {
			return false
		}
		if at, ok = m[part]; !ok {
			return false
		}
	}
	return true
}
