package claim

import (
	"encoding/json"
	"strings"
	"testing"
)

func FuzzTemplate(f *testing.F) {
	for _, s := range []string{"${email}", "a ${groups} b", "${", "$${x}}", "${${email}}", "${a b}", "\xff${id}", "${appRoles}${level}"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		tpl := parseTemplate(s)
		var back strings.Builder
		for i, p := range tpl {
			switch {
			case p.variable && !validKey(p.text):
				t.Fatalf("variable %q", p.text)
			case p.variable:
				back.WriteString("${" + p.text + "}")
			case p.text == "" || i > 0 && !tpl[i-1].variable:
				t.Fatalf("%q has idle parts: %v", s, tpl)
			default:
				back.WriteString(p.text)
			}
		}
		if back.String() != s {
			t.Fatalf("%q became %q", s, back.String())
		}
		if v, err := tpl.value(facts()); err == nil && v != nil && !json.Valid(v) {
			t.Fatalf("%q yields %s", s, v)
		}
	})
}

func FuzzMapping(f *testing.F) {
	f.Add("x", "${email}", "", "api", "id_token")
	f.Add("x", "", "groups.filter(g, g != 'a')", "", "")
	f.Add("Sub", "", `{"a": [1, 2.5, b"x", null]}`, "", "userinfo")
	f.Fuzz(func(t *testing.T, name, value, expression, scope, in string) {
		m := Mapping{Claim: name, Value: value, Expression: expression, RequiredScope: scope}
		if in != "" {
			m.In = strings.Split(in, " ")
		}
		if Check([]Mapping{m}) != nil {
			return
		}
		if Reserved(name) {
			t.Fatalf("%q was accepted", name)
		}
		out, err := quiet().Plan([]Mapping{m}, []string{scope}, Destinations...).Apply(t.Context(), facts())
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range out {
			if !json.Valid(c.Value) || len(c.Value) > maxResult+1 {
				t.Fatalf("%v yields %s", m, c.Value)
			}
		}
	})
}
