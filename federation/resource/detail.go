package resource

import (
	"fmt"
	"slices"

	"github.com/quis-idp/quis/identity"
)

// Bounds of what a resource server may register.
const (
	maxTypes    = 20
	maxMembers  = 30
	maxEnum     = 50
	maxLimit    = 1 << 40
	maxNesting  = 3 // a detail, an object in it, an object in that
	typeNames   = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~:/"
	memberNames = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~:/$@"
)

// Kinds of a member of an authorization detail.
const (
	KindString  = "string"
	KindNumber  = "number"
	KindInteger = "integer"
	KindBoolean = "boolean"
	KindStrings = "strings" // a list of strings
	KindObject  = "object"
)

// A DetailType is a type of authorization details (RFC 9396, section 2): what it means
// for whoever is asked, and the members that one may have. Nothing else is accepted.
type DetailType struct {
	Name    string   `cbor:"1,keyasint,omitempty"` // the value of member type
	Texts   Texts    `cbor:"2,keyasint,omitempty"` // what a person allows, in plain words
	Members []Member `cbor:"3,keyasint,omitempty"`
	// Remembered says that the very same detail, once allowed, is not asked about again.
	// Unless it is set each one is asked about: one payment is not the next.
	Remembered bool `cbor:"4,keyasint,omitempty"`
}

// A Member is one member of an authorization detail.
type Member struct {
	Name     string   `cbor:"1,keyasint,omitempty"`
	Kind     string   `cbor:"2,keyasint,omitempty"`
	Required bool     `cbor:"3,keyasint,omitempty"`
	Enum     []string `cbor:"4,keyasint,omitempty"` // of a string, and of each in a list; empty: any
	// Max is the most bytes of a string, entries of a list, or the greatest number; the
	// least number is then 0. 0: 256 bytes, 20 entries, any number.
	Max     int64    `cbor:"5,keyasint,omitempty"`
	Label   string   `cbor:"6,keyasint,omitempty"` // what a person reads before the value; empty: Name
	Members []Member `cbor:"7,keyasint,omitempty"` // of an object
}

func (d *DetailType) member(name string) (Member, bool) { return find(d.Members, name) }

func find(members []Member, name string) (Member, bool) {
	i := slices.IndexFunc(members, func(m Member) bool { return m.Name == name })
	if i < 0 {
		return Member{}, false
	}
	return members[i], true
}

// checkTypes cleans the types of a resource server and reports the first fault.
func checkTypes(types []DetailType) error {
	bad := func(why string, args ...any) error {
		return identity.Invalid("authorization_details", fmt.Sprintf(why, args...))
	}
	if len(types) > maxTypes {
		return bad("must be at most %d types", maxTypes)
	}
	for i := range types {
		d := &types[i]
		if !spelled(d.Name, typeNames, 100) {
			return bad("type %q: must be 1 to 100 letters, digits and -._~:/", identity.Printable(d.Name, 120))
		}
		if slices.ContainsFunc(types[:i], func(o DetailType) bool { return o.Name == d.Name }) {
			return bad("type %q is given twice", d.Name)
		}
		texts, err := d.Texts.check("authorization_details", true)
		if err != nil {
			return err
		}
		d.Texts = texts
		if why := checkMembers(d.Members, 1); why != "" {
			return bad("type %q: %s", d.Name, why)
		}
		if _, ok := d.member("type"); ok {
			return bad("type %q: member type is there already", d.Name)
		}
	}
	return nil
}

func checkMembers(members []Member, depth int) string {
	if depth > maxNesting {
		return fmt.Sprintf("objects may be nested %d deep at most", maxNesting-1)
	}
	if len(members) > maxMembers {
		return fmt.Sprintf("must have at most %d members", maxMembers)
	}
	for i := range members {
		m := &members[i]
		name := identity.Printable(m.Name, 120)
		if !validMember(m.Name, 100) {
			return fmt.Sprintf("member %q: must be 1 to 100 letters, digits and -._~:/$@", name)
		}
		if _, twice := find(members[:i], m.Name); twice {
			return fmt.Sprintf("member %q is given twice", name)
		}
		m.Label = identity.Printable(m.Label, maxName)
		if why := m.check(depth); why != "" {
			return fmt.Sprintf("member %q: %s", name, why)
		}
	}
	return ""
}

func (m *Member) check(depth int) string {
	kinds := []string{KindString, KindNumber, KindInteger, KindBoolean, KindStrings, KindObject}
	switch {
	case !slices.Contains(kinds, m.Kind):
		return "kind must be string, number, integer, boolean, strings or object"
	case m.Max < 0 || m.Max > maxLimit:
		return fmt.Sprintf("max must be 0 to %d", int64(maxLimit))
	case len(m.Enum) > maxEnum:
		return fmt.Sprintf("enum must have at most %d values", maxEnum)
	case len(m.Enum) > 0 && m.Kind != KindString && m.Kind != KindStrings:
		return "only a string or a list of them has an enum"
	case m.Kind == KindObject && len(m.Members) == 0:
		return "an object must say which members it has"
	case m.Kind != KindObject && len(m.Members) > 0:
		return "only an object has members"
	}
	for _, v := range m.Enum {
		if v == "" || len(v) > maxText || v != identity.Printable(v, maxText) {
			return "an enum's values must be 1 to 300 printable bytes"
		}
	}
	if m.Kind == KindObject {
		return checkMembers(m.Members, depth+1)
	}
	return ""
}

func validMember(name string, limit int) bool { return spelled(name, memberNames, limit) }

// spelled reports whether s has 1 to limit bytes, all from alphabet.
func spelled(s, alphabet string, limit int) bool {
	if s == "" || len(s) > limit {
		return false
	}
	for i := range len(s) {
		if !slices.Contains([]byte(alphabet), s[i]) {
			return false
		}
	}
	return true
}
