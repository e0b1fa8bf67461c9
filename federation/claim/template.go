package claim

import (
	"encoding/json"
	"strings"
)

// A template is a value with ${variables}. One that is exactly one variable of a list,
// ${groups} or ${appRoles}, yields the list; otherwise variables are put into the text,
// those of a list joined by commas. What is no well-formed variable is literal text.
//
// A name that is none of the standard variables is the key of a role of the
// application (see Role.Key), and empty for those who have no such role.
type template []part

// A part is literal text or the name of a variable.
type part struct {
	text     string
	variable bool
}

// Variables that every template knows. first_name and last_name are what JustIAM calls
// given_name and family_name.
const (
	varID        = "id"
	varEmail     = "email"
	varUsername  = "username"
	varName      = "name"
	varFirstName = "first_name"
	varLastName  = "last_name"
	varGroups    = "groups"
	varRoles     = "appRoles"
)

// parseTemplate never fails.
func parseTemplate(s string) template {
	var t template
	literal := func(text string) {
		if n := len(t); n > 0 && !t[n-1].variable {
			t[n-1].text += text
		} else if text != "" {
			t = append(t, part{text: text})
		}
	}
	for s != "" {
		before, rest, found := strings.Cut(s, "${")
		literal(before)
		if !found {
			break
		}
		name, after, closed := strings.Cut(rest, "}")
		if closed && validKey(name) {
			t = append(t, part{text: name, variable: true})
			s = after
			continue
		}
		literal("${")
		s = rest
	}
	return t
}

const maxKey = 64 // bytes of a variable's name

// validKey reports whether a variable, or the key of a role, may be called so.
func validKey(s string) bool {
	if s == "" || len(s) > maxKey {
		return false
	}
	for _, c := range []byte(s) {
		if !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '_' || c == '-' || c == '.') {
			return false
		}
	}
	return true
}

// standardVariable reports whether the name means something without any role.
func standardVariable(name string) bool {
	switch name {
	case varID, varEmail, varUsername, varName, varFirstName, varLastName, varGroups, varRoles:
		return true
	}
	return false
}

func (t template) uses(match func(name string) bool) bool {
	for _, p := range t {
		if p.variable && match(p.text) {
			return true
		}
	}
	return false
}

// value returns the claim as JSON, or nil if there is nothing to say: there are
// variables, and all of them are empty.
func (t template) value(f *Facts) (json.RawMessage, error) {
	if len(t) == 1 && t[0].variable {
		if list, ok := f.list(t[0].text); ok {
			return encodeList(list)
		}
	}
	var b strings.Builder
	filled := !t.uses(func(string) bool { return true })
	for _, p := range t {
		text := p.text
		if p.variable {
			text = f.text(p.text)
			filled = filled || text != ""
		}
		b.WriteString(text)
	}
	if !filled {
		return nil, nil
	}
	return encodeText(b.String())
}
