package claim

import (
	"fmt"
	"slices"
	"strings"

	"github.com/quis-idp/quis/identity"
)

// Where a mapped claim goes.
const (
	InIDToken     = "id_token"
	InAccessToken = "access_token"
	InUserinfo    = "userinfo"
)

// Destinations are all of them.
var Destinations = []string{InIDToken, InAccessToken, InUserinfo}

const (
	maxMappings   = 50   // of one application
	maxClaimName  = 128  // bytes
	maxValue      = 1000 // bytes of a text with variables
	maxExpression = 2000 // bytes
	maxScope      = 100  // bytes
)

// A Mapping adds a claim to what tokens say. It has a Value or an Expression.
type Mapping struct {
	Claim         string   `cbor:"1,keyasint,omitempty"`
	Value         string   `cbor:"2,keyasint,omitempty"` // text with ${variables}; see template
	Expression    string   `cbor:"3,keyasint,omitempty"` // in CEL
	RequiredScope string   `cbor:"4,keyasint,omitempty"` // "": whatever was granted
	In            []string `cbor:"5,keyasint,omitempty"` // see Destinations; none: the two tokens
	// Required: no token rather than one without this claim.
	Required bool `cbor:"6,keyasint,omitempty"`
}

// GoesTo reports whether the claim belongs in the destination.
func (m *Mapping) GoesTo(in string) bool {
	if len(m.In) == 0 {
		return in == InIDToken || in == InAccessToken
	}
	return slices.Contains(m.In, in)
}

// Check reports the first mapping that cannot be accepted, as identity.ErrInvalid with
// its place. A fault of an expression comes with line and column.
func Check(mappings []Mapping) error {
	if len(mappings) > maxMappings {
		return identity.Invalid("claim_mappings", fmt.Sprintf("must be at most %d", maxMappings))
	}
	for i := range mappings {
		m := &mappings[i]
		field := func(name string) string { return fmt.Sprintf("claim_mappings/%d/%s", i, name) }
		if why := faultOfName(m.Claim); why != "" {
			return identity.Invalid(field("claim"), why)
		}
		for j := range i {
			if m.collides(&mappings[j]) {
				return identity.Invalid(field("claim"), fmt.Sprintf("is mapped by mapping %d already, for the same scope and place", j))
			}
		}
		if name, why := m.fault(); why != "" {
			return identity.Invalid(field(name), why)
		}
	}
	return nil
}

// collides reports whether both would always be there together, so that one is idle.
func (m *Mapping) collides(o *Mapping) bool {
	return m.Claim == o.Claim && m.RequiredScope == o.RequiredScope &&
		slices.ContainsFunc(Destinations, func(in string) bool { return m.GoesTo(in) && o.GoesTo(in) })
}

// fault says what is wrong with which field, beside the name of the claim.
func (m *Mapping) fault() (field, why string) {
	for i, in := range m.In {
		if !slices.Contains(Destinations, in) || slices.Contains(m.In[:i], in) {
			return "in", "may hold id_token, access_token and userinfo, each once"
		}
	}
	if len(m.RequiredScope) > maxScope || strings.ContainsFunc(m.RequiredScope, notVisible) {
		return "required_scope", "is no scope"
	}
	switch {
	case (m.Value == "") == (m.Expression == ""):
		return "value", "must be set, or else expression, and not both"
	case len(m.Value) > maxValue:
		return "value", fmt.Sprintf("must have at most %d bytes", maxValue)
	case m.Value != identity.Printable(m.Value, maxValue):
		return "value", "must be printable text"
	}
	if m.Expression != "" {
		if p := compiled(m.Expression); p.fault != "" {
			return "expression", p.fault
		}
	}
	return "", ""
}

func notVisible(r rune) bool { return r <= 0x20 || r >= 0x7f || r == '"' || r == '\\' }
