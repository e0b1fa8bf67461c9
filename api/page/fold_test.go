package page

import (
	"errors"
	"html/template"
	"strings"
	"testing"
	"text/template/parse"
)

var foldSays = map[string]func(string) (string, error){
	"t": func(key string) (string, error) {
		if key == "gone" {
			return "", errors.New("there is none")
		}
		return `"` + key + `" & <co>`, nil
	},
	"asset": func(name string) (string, error) { return "/a/" + name, nil },
}

func foldable(t *testing.T, text string) *template.Template {
	t.Helper()
	parsed, err := template.New("page").Funcs(template.FuncMap{
		"t":     func(key string, args ...any) (string, error) { return foldSays["t"](key) },
		"asset": foldSays["asset"],
	}).Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return parsed
}

// What is folded says what it said, wherever a page has it, with as many nodes as it has values.
func TestFold(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		text string
		left int // nodes of the page
	}{
		"words":           {`<p>{{t "a"}}</p>`, 1},
		"attributes":      {`<p title="{{t "a"}}" data-said="{{t "b"}}"><img src="{{asset "i.svg"}}"></p>`, 1},
		"beside values":   {`<p>{{t "a"}} {{.}} {{t "b"}}{{t "c"}}</p>`, 3},
		"with arguments":  {`<p>{{t "a" .}}</p>`, 3},
		"of a value":      {`<p>{{t (print .)}}</p>`, 3},
		"of a variable":   {`{{$x := t "a"}}<p>{{$x}}</p>`, 4},
		"in a pipe":       {`<p>{{t "a" | printf "%.3s"}}</p>`, 3},
		"in branches":     {`{{if .}}{{t "a"}}{{else}}{{t "b"}}{{end}}{{with .}}{{t "c"}}{{end}}{{range $}}{{t "d"}}{{end}}`, 3},
		"of templates":    {`{{define "x"}}<b>{{t "a"}}</b>{{end}}{{define "y"}}{{template "x"}}!{{end}}<p>{{template "y"}}{{template "x"}}</p>`, 1},
		"seen twice":      {`{{define "x"}}<b><!-- why -->{{t "a"}}</b>{{end}}{{template "x"}}{{.}}{{template "x"}}`, 3},
		"but with values": {`{{define "x"}}<b>{{.}}</b>{{end}}<p>{{template "x" .}}</p>`, 3},
		"a circle":        {`{{define "x"}}{{if not .}}{{template "x" "1"}}{{end}}{{t "a"}}{{end}}<p>{{template "x" .}}</p>`, 3},
	} {
		want, got := &strings.Builder{}, &strings.Builder{}
		folded := foldable(t, tc.text)
		if err := fold(folded, foldSays); err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		left := len(folded.Tree.Root.Nodes)
		for _, err := range []error{foldable(t, tc.text).Execute(want, []string{"v<"}), folded.Execute(got, []string{"v<"})} {
			if err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
		if got.String() != want.String() || left != tc.left {
			t.Errorf("%s: %d nodes say %s; want %d that say %s", name, left, got, tc.left, want)
		}
	}
	if err := fold(foldable(t, `{{if .}}{{t "gone"}}{{end}}`), foldSays); err == nil {
		t.Error("a text that there is not was folded")
	}
}

// A text that several templates begin with is not changed by the first that goes on after it.
func TestFoldSharesNoText(t *testing.T) {
	t.Parallel()
	parsed := foldable(t, `{{define "x"}}{{t "a"}}{{end}}{{template "x"}}1{{if .}}{{template "x"}}2{{end}}`)
	if err := fold(parsed, foldSays); err != nil {
		t.Fatal(err)
	}
	x, ok := parsed.Lookup("x").Tree.Root.Nodes[0].(*parse.TextNode)
	if want := `&#34;a&#34; &amp; &lt;co&gt;`; !ok || string(x.Text) != want {
		t.Errorf("%q, want %q", x.Text, want)
	}
}
