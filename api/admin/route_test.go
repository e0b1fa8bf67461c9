package admin

import (
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/quis-idp/quis/identity"
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
		if seen[r.op] || r.op == "" || !strings.HasSuffix(r.summary, ".") {
			t.Errorf("%s %s: operation %q, summary %q", r.method, r.path, r.op, r.summary)
		}
		seen[r.op] = true
		in := map[string]bool{}
		for _, p := range parametersOf(r.do.in, &r) {
			if in[p.name] {
				t.Errorf("%s: parameter %s twice", r.op, p.name)
			}
			in[p.name] = true
			if p.in == "path" && !strings.Contains(r.path, "{"+p.name+"}") {
				t.Errorf("%s: %s is not in %s", r.op, p.name, r.path)
			}
		}
		for _, part := range strings.Split(r.path, "/") {
			if name, ok := strings.CutPrefix(part, "{"); ok && !in[strings.TrimSuffix(name, "}")] {
				t.Errorf("%s: nothing reads %s of %s", r.op, part, r.path)
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
		op, ok := paths[prefix+r.path].(map[string]any)[strings.ToLower(r.method)].(map[string]any)
		if !ok || op["operationId"] != r.op {
			t.Errorf("%s %s is missing", r.method, r.path)
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

type innerBody struct {
	Deep string `json:"deep" min:"2"`
}

type probeBody struct {
	Name  string            `json:"name" required:"true" max:"5"`
	Kind  string            `json:"kind" enum:"a|b"`
	Count int               `json:"count" min:"1" max:"9"`
	On    bool              `json:"on"`
	List  []string          `json:"list" max:"2" item_max:"3"`
	Inner innerBody         `json:"inner"`
	Free  map[string]string `json:"free"`
}

func TestReadJSON(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, body string
		want       []string // fields at fault; nil: none
	}{
		{"all", `{"name":"a","kind":"b","count":3,"on":true,"list":["x"],"inner":{"deep":"xy"},"free":{"k":"v"}}`, nil},
		{"least", ` {"name":"a"} `, nil},
		{"missing", `{}`, []string{"/name"}},
		{"unknown", `{"name":"a","nmae":1}`, []string{"/nmae"}},
		{"other case", `{"Name":"a"}`, []string{"/Name", "/name"}},
		{"repeated", `{"name":"a","name":"b"}`, []string{"/name"}},
		{"null", `{"name":null}`, []string{"/name"}},
		{"types", `{"name":1,"count":"1","on":"true","list":{},"inner":[],"kind":true}`, []string{"/count", "/inner", "/kind", "/list", "/name", "/on"}},
		{"limits", `{"name":"abcdef","count":10,"list":["abcd","a","b"],"kind":"c"}`, []string{"/count", "/kind", "/list", "/list/0", "/name"}},
		{"not whole", `{"name":"a","count":1.5}`, []string{"/count"}},
		{"nested", `{"name":"a","inner":{"deep":"x","y":1},"free":{"k":1}}`, []string{"/free/k", "/inner/deep", "/inner/y"}},
		{"odd names", `{"name":"a","a/b~.c":1}`, []string{"/a~1b~0%2Ec"}},
		{"trailing", `{"name":"a"} {}`, []string{""}},
		{"cut off", `{"name":`, []string{""}},
		{"array", `[]`, []string{""}},
		{"empty", ``, []string{""}},
		{"not UTF-8", "{\"name\":\"\xff\"}", []string{""}},
		{"deep", `{"name":` + strings.Repeat("[", 100) + strings.Repeat("]", 100) + `}`, []string{""}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var v probeBody
			err := readJSON([]byte(tt.body), &v, false)
			var got []string
			for _, e := range identity.Errors(err) {
				got = append(got, e.Field)
			}
			slices.Sort(got)
			if !slices.Equal(got, tt.want) {
				t.Errorf("got %q (%v), want %q", got, err, tt.want)
			}
			if err != nil && !errors.Is(err, identity.ErrInvalid) {
				t.Errorf("got %v, want ErrInvalid", err)
			}
		})
	}
}

func TestSuggest(t *testing.T) {
	t.Parallel()
	var v probeBody
	err := readJSON([]byte(`{"name":"a","knid":"a"}`), &v, false)
	if err == nil || !strings.Contains(err.Error(), "did you mean kind?") {
		t.Errorf("got %v", err)
	}
}

func TestErrorsDoNotQuoteTheBody(t *testing.T) {
	t.Parallel()
	for _, body := range []string{`{"name":"hunter2hunter2"}`, `{"name":hunter2}`, `{"kind":"hunter2"}`, `{"name":"hunter2`, `{"count":"hunter2"}`} {
		var v probeBody
		if err := readJSON([]byte(body), &v, false); err == nil || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: %v", body, err)
		}
	}
}

func FuzzReadJSON(f *testing.F) {
	f.Add([]byte(`{"name":"a","kind":"b","count":3,"on":true,"list":["x"],"inner":{"deep":"xy"},"free":{"k":"v"}}`))
	f.Add([]byte(`[[[[{}]]]]`))
	f.Fuzz(func(t *testing.T, data []byte) {
		var v, again probeBody
		if err := readJSON(data, &v, false); err != nil {
			if !errors.Is(err, identity.ErrInvalid) {
				t.Fatalf("got %v", err)
			}
			return
		}
		if len([]rune(v.Name)) > 5 || v.Count > 9 || len(v.List) > 2 {
			t.Fatalf("accepted %s", data)
		}
		if err := json.Unmarshal(data, &again); err != nil {
			t.Fatalf("encoding/json refuses what was accepted: %v", err)
		}
	})
}

func TestLimiter(t *testing.T) {
	t.Parallel()
	l := newLimiter(0.001, 2)
	if l.take("a") != 0 || l.take("a") != 0 || l.take("a") == 0 || l.wait("a") == 0 {
		t.Error("two, not three")
	}
	if l.wait("b") != 0 || l.take("b") != 0 {
		t.Error("keys are apart")
	}
	for i := range 3 * limitedKeys {
		l.take(string(rune(i)))
	}
	if n := len(l.young) + len(l.old); n > 2*limitedKeys {
		t.Errorf("remembers %d keys", n)
	}
}
