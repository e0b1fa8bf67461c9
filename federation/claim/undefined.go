package claim

import "github.com/quis-idp/quis/fsm"

// An Unknown is a variable in the value of a mapping that is empty for everybody: no
// standard one, and the key of no role that the application has given.
type Unknown struct{ Claim, Variable string }

// Undefined returns the unknown variables of an application's mappings, each once per
// claim. They are no fault: the role may be given later.
func Undefined(tx *fsm.Tx, app App, mappings []Mapping) ([]Unknown, error) {
	var all []Unknown
	seen := map[Unknown]bool{}
	for i := range mappings {
		for _, p := range parseTemplate(mappings[i].Value) {
			u := Unknown{mappings[i].Claim, p.text}
			if p.variable && !standardVariable(p.text) && !seen[u] {
				seen[u] = true
				all = append(all, u)
			}
		}
	}
	if len(all) == 0 {
		return nil, nil
	}
	keys := map[string]bool{}
	for r, err := range List(tx, app.Tenant, app.ID) {
		if err != nil {
			return nil, err
		}
		keys[r.Key] = true
	}
	var unknown []Unknown
	for _, u := range all {
		if !keys[u.Variable] {
			unknown = append(unknown, u)
		}
	}
	return unknown, nil
}
