package resource

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/quis-idp/quis/federation"
	"github.com/quis-idp/quis/fsm"
)

// narrowing are the common members whose lists say what is allowed (RFC 9396, section
// 2.2), so that fewer entries are less. Of other lists nobody but the API knows.
var narrowing = []string{"locations", "actions", "datatypes", "privileges"}

// Within reports whether d asks for no more than one of granted does: the same, but for
// fewer entries in a list of what is allowed. It says no where it cannot know.
func (d Detail) Within(granted []Detail) bool {
	return slices.ContainsFunc(granted, func(g Detail) bool {
		if d.Type != g.Type || len(d.values) != len(g.values) {
			return false
		}
		for name, have := range g.values {
			ask, ok := d.values[name]
			if !ok || !same(ask, have) && !(slices.Contains(narrowing, name) && fewer(ask, have)) {
				return false
			}
		}
		return true
	})
}

func same(a, b any) bool {
	x, errX := json.Marshal(a)
	y, errY := json.Marshal(b)
	return errX == nil && errY == nil && string(x) == string(y)
}

func fewer(ask, have any) bool {
	some, ok1 := ask.([]any)
	all, ok2 := have.([]any)
	if !ok1 || !ok2 || len(some) == 0 {
		return false
	}
	for _, v := range some {
		if !slices.ContainsFunc(all, func(o any) bool { return same(o, v) }) {
			return false
		}
	}
	return true
}

// Spell writes details as the one JSON array that tokens and answers carry; empty for none.
func Spell(details []Detail) []byte {
	if len(details) == 0 {
		return nil
	}
	out := []byte{'['}
	for i, d := range details {
		if i > 0 {
			out = append(out, ',')
		}
		out = append(out, d.JSON...)
	}
	return append(out, ']')
}

// A Line is one member of a detail for a person to read.
type Line struct{ Label, Value string }

// A Wording is what a person reads of a detail before allowing it.
type Wording struct {
	Text, Language string // the sentence of its type, and what it is in
	Server         string // name of the API
	Remembered     bool   // whether the very same is not asked about again
	Free           bool   // whether nobody is asked at all
	Lines          []Line // its members
}

// Words puts a detail that has passed CheckDetails in words.
func Words(tx *fsm.Tx, app *federation.Application, d Detail, languages ...string) (Wording, error) {
	t, s, err := typeOf(tx, app, d.Type)
	if err != nil {
		return Wording{}, err
	}
	w := Wording{Server: s.Name, Remembered: t.Remembered, Free: s.SkipConsent, Lines: linesOf("", d.values, t.Members)}
	w.Text, w.Language = t.Texts.In(languages...)
	return w, nil
}

// linesOf goes by the order in which the type has its members, not by the application's.
func linesOf(before string, object map[string]any, members []Member) []Line {
	var lines []Line
	for _, m := range members {
		value, ok := object[m.Name]
		if !ok {
			continue
		}
		label := m.Label
		if label == "" {
			label = m.Name
		}
		if inner, ok := value.(map[string]any); ok {
			lines = append(lines, linesOf(before+label+": ", inner, m.Members)...)
			continue
		}
		lines = append(lines, Line{before + label, inWords(value)})
	}
	return lines
}

func inWords(value any) string {
	switch v := value.(type) {
	case bool:
		if v {
			return "yes"
		}
		return "no"
	case []any:
		words := make([]string, len(v))
		for i := range v {
			words[i] = inWords(v[i])
		}
		return strings.Join(words, ", ")
	}
	return fmt.Sprint(value)
}

// OpenTypes are the types of authorization details that any application may ask for, by
// name: those that metadata may tell strangers of.
func OpenTypes(tx *fsm.Tx, tenant string) ([]string, error) {
	var names []string
	for s, err := range servers.List(tx, fsm.Scope(tenant)) {
		if err != nil {
			return nil, err
		}
		if !s.OpenToAll || s.Disabled {
			continue
		}
		for _, t := range s.Details {
			names = append(names, t.Name)
		}
	}
	slices.Sort(names)
	return names, nil
}
