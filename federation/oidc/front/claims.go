package front

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
)

const (
	maxClaimsText = 4 << 10 // bytes of the parameter
	maxClaims     = 50      // in each place
	maxClaimName  = 100     // bytes
	maxValues     = 20      // of one claim
	maxValue      = 256     // bytes
)

// Claims are what the claims parameter asks for (OpenID Connect Core, section 5.5).
type Claims struct {
	IDToken  []Claim
	Userinfo []Claim
}

// A Claim is one that is asked for by its name.
type Claim struct {
	Name      string
	Essential bool
	Values    []string // that it should have, those which are strings; empty: any
}

var errClaims = errors.New("claims parameter")

// ParseClaims reads a claims parameter; an empty one asks for nothing. Places other than
// id_token and userinfo are ignored, as the section says. Errors name what is wrong in plain ASCII.
func ParseClaims(text string) (*Claims, error) {
	c := &Claims{}
	if text == "" {
		return c, nil
	}
	if len(text) > maxClaimsText {
		return nil, fmt.Errorf("%w: longer than %d bytes", errClaims, maxClaimsText)
	}
	places, err := members([]byte(text))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errClaims, err)
	}
	if c.IDToken, err = parsePlace(places["id_token"]); err != nil {
		return nil, fmt.Errorf("%w: id_token: %w", errClaims, err)
	}
	if c.Userinfo, err = parsePlace(places["userinfo"]); err != nil {
		return nil, fmt.Errorf("%w: userinfo: %w", errClaims, err)
	}
	return c, nil
}

func parsePlace(raw json.RawMessage) ([]Claim, error) {
	if len(raw) == 0 || string(raw) == "null" {
		return nil, nil
	}
	names, err := members(raw)
	if err != nil {
		return nil, err
	}
	if len(names) > maxClaims {
		return nil, fmt.Errorf("asks for more than %d claims", maxClaims)
	}
	claims := make([]Claim, 0, len(names))
	for name, what := range names {
		if name == "" || len(name) > maxClaimName {
			return nil, fmt.Errorf("holds a name that is empty or longer than %d bytes", maxClaimName)
		}
		claim, err := parseClaim(name, what)
		if err != nil {
			return nil, err
		}
		claims = append(claims, claim)
	}
	// A map has no order, and the same request must read the same.
	slices.SortFunc(claims, func(a, b Claim) int { return strings.Compare(a.Name, b.Name) })
	return claims, nil
}

// parseClaim reads null, or {essential, value, values}; members that it does not know are ignored.
func parseClaim(name string, raw json.RawMessage) (Claim, error) {
	c := Claim{Name: name}
	if string(raw) == "null" {
		return c, nil
	}
	m, err := members(raw)
	if err != nil {
		return c, errors.New("a claim is neither null nor an object")
	}
	if e, ok := m["essential"]; ok && json.Unmarshal(e, &c.Essential) != nil {
		return c, errors.New("essential is neither true nor false")
	}
	var all []json.RawMessage
	if v, ok := m["values"]; ok && json.Unmarshal(v, &all) != nil {
		return c, errors.New("values is no array")
	}
	if v, ok := m["value"]; ok {
		all = append(all, v)
	}
	if len(all) > maxValues {
		return c, fmt.Errorf("a claim has more than %d values", maxValues)
	}
	for _, v := range all {
		var text string
		if json.Unmarshal(v, &text) != nil {
			continue // a number or an object: a wish that we never fulfil
		}
		if len(text) > maxValue {
			return c, fmt.Errorf("a value is longer than %d bytes", maxValue)
		}
		c.Values = append(c.Values, text)
	}
	return c, nil
}

// ACR returns which authentication contexts are wanted, preferred first, and whether the
// request is to fail without one of them (section 5.5.1.1).
func (c *Claims) ACR() (values []string, essential bool) {
	for _, claim := range c.IDToken {
		if claim.Name == "acr" {
			return claim.Values, claim.Essential && len(claim.Values) > 0
		}
	}
	return nil, false
}

// Subject returns the subject that the ID token must be about, empty if any may be. It is
// meant as an id_token_hint is (section 3.1.2.2).
func (c *Claims) Subject() string {
	for _, claim := range slices.Concat(c.IDToken, c.Userinfo) {
		if claim.Name == "sub" && len(claim.Values) > 0 {
			return claim.Values[0]
		}
	}
	return ""
}

// Names are the claims that are asked for, each once, sorted.
func (c *Claims) Names() []string {
	var names []string
	for _, claim := range slices.Concat(c.IDToken, c.Userinfo) {
		names = append(names, claim.Name)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// Drop takes claims out of what is asked for.
func (c *Claims) Drop(names []string) {
	named := func(claim Claim) bool { return slices.Contains(names, claim.Name) }
	c.IDToken, c.Userinfo = slices.DeleteFunc(c.IDToken, named), slices.DeleteFunc(c.Userinfo, named)
}

// Text is what ParseClaims reads as c again, with nothing that it ignored; nil if c asks for nothing.
func (c *Claims) Text() []byte {
	places := map[string]map[string]*wish{}
	for name, place := range map[string][]Claim{"id_token": c.IDToken, "userinfo": c.Userinfo} {
		for _, claim := range place {
			if places[name] == nil {
				places[name] = map[string]*wish{}
			}
			if claim.Essential || len(claim.Values) > 0 {
				places[name][claim.Name] = &wish{claim.Essential, claim.Values}
			} else {
				places[name][claim.Name] = nil
			}
		}
	}
	if len(places) == 0 {
		return nil
	}
	text, err := json.Marshal(places)
	if err != nil {
		panic(err) // strings and booleans
	}
	return text
}

type wish struct {
	Essential bool     `json:"essential,omitempty"`
	Values    []string `json:"values,omitempty"`
}
