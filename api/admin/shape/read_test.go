package shape

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/quis-idp/quis/identity"
)

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

func TestRead(t *testing.T) {
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
			err := Read([]byte(tt.body), &v, false)
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

// A list in a change is the whole list: nothing of a former element stays in a new one, and
// the former list itself, which may be somebody else's, is left alone.
func TestOverlay(t *testing.T) {
	t.Parallel()
	type entry struct {
		Name string   `json:"name"`
		Keys []string `json:"keys"`
	}
	type Group struct {
		List []entry         `json:"list"`
		Raw  json.RawMessage `json:"raw"`
	}
	type body struct {
		Group
		Inner Group    `json:"inner"`
		Kept  []string `json:"kept"`
		Title string   `json:"title"`
	}
	old := func() body {
		g := func() Group { return Group{List: []entry{{"a", []string{"k"}}}, Raw: json.RawMessage(`{"a":1}`)} }
		return body{Group: g(), Inner: g(), Kept: []string{"x"}, Title: "t"}
	}
	before := old()
	v := before
	if err := Overlay([]byte(`{"list":[{"name":"b"},{"keys":["l"]}],"raw":{"b":2},"inner":{"list":[{}]}}`), &v); err != nil {
		t.Fatal(err)
	}
	want := body{
		Group: Group{List: []entry{{Name: "b"}, {Keys: []string{"l"}}}, Raw: json.RawMessage(`{"b":2}`)},
		Inner: Group{List: []entry{{}}, Raw: json.RawMessage(`{"a":1}`)}, Kept: []string{"x"}, Title: "t",
	}
	if diff := cmp.Diff(want, v); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(old(), before); diff != "" {
		t.Errorf("the former value changed: %s", diff)
	}
}

func TestSuggest(t *testing.T) {
	t.Parallel()
	var v probeBody
	err := Read([]byte(`{"name":"a","knid":"a"}`), &v, false)
	if err == nil || !strings.Contains(err.Error(), `did you mean "kind"?`) {
		t.Errorf("got %v", err)
	}
}

func TestErrorsDoNotQuoteTheBody(t *testing.T) {
	t.Parallel()
	for _, body := range []string{`{"name":"hunter2hunter2"}`, `{"name":hunter2}`, `{"kind":"hunter2"}`, `{"name":"hunter2`, `{"count":"hunter2"}`} {
		var v probeBody
		if err := Read([]byte(body), &v, false); err == nil || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: %v", body, err)
		}
	}
}

func FuzzRead(f *testing.F) {
	f.Add([]byte(`{"name":"a","kind":"b","count":3,"on":true,"list":["x"],"inner":{"deep":"xy"},"free":{"k":"v"}}`))
	f.Add([]byte(`[[[[{}]]]]`))
	f.Fuzz(func(t *testing.T, data []byte) {
		var v, again probeBody
		if err := Read(data, &v, false); err != nil {
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
