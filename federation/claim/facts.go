package claim

import (
	"slices"
	"strings"
	"time"

	"github.com/quis-idp/quis/identity/directory"
)

// Facts are what mappings may speak of: the one user that a token is about, and what
// asks for the token. Nothing else of the directory can be reached from them.
type Facts struct {
	Subject string          // what the application calls the user: also ${id}, so that no mapping undoes a pairwise subject
	User    *directory.User // nil: the application acts for itself
	Groups  []string        // names of the user's groups; read if Plan.NeedsGroups
	Roles   []Role          // that the user has in the application; read if Plan.NeedsRoles
	App     App
	Scopes  []string // granted
	Request Request
}

// An App names the application that mappings and roles belong to.
type App struct{ Tenant, ID, ClientID, Name string }

// A Request is how and when a token was asked for.
type Request struct {
	Grant    string // grant type
	IP       string
	ACR      string
	AMR      []string
	AuthTime time.Time
	Time     time.Time
}

// list returns the value of a variable that is a list.
func (f *Facts) list(name string) ([]string, bool) {
	switch name {
	case varGroups:
		return f.Groups, true
	case varRoles:
		return RoleNames(f.Roles), true
	}
	return nil, false
}

// text returns the value of any variable as text; empty: there is none.
func (f *Facts) text(name string) string {
	if list, ok := f.list(name); ok {
		return strings.Join(list, ",")
	}
	if !standardVariable(name) {
		return f.keyed(name)
	}
	if f.User == nil {
		return ""
	}
	switch name {
	case varID:
		return f.Subject
	case varEmail:
		return f.User.Email
	case varUsername:
		return f.User.Username
	case varName:
		return f.User.Name
	case varFirstName:
		return f.User.GivenName
	default:
		return f.User.FamilyName
	}
}

// keyed returns the role with the key. Of several, one that the user was given in
// person comes before those of groups; otherwise the first in order of the alphabet.
func (f *Facts) keyed(key string) string {
	best := -1
	for i, r := range f.Roles {
		if r.Key != key {
			continue
		}
		if best < 0 || r.before(&f.Roles[best]) {
			best = i
		}
	}
	if best < 0 {
		return ""
	}
	return f.Roles[best].Role
}

func (r *Role) before(o *Role) bool {
	if r.Kind != o.Kind {
		return r.Kind == KindUser
	}
	return r.Role < o.Role
}

// RoleNames returns the roles' names, each once, in order of the alphabet.
func RoleNames(roles []Role) []string {
	var names []string
	for _, r := range roles {
		names = append(names, r.Role)
	}
	slices.Sort(names)
	return slices.Compact(names)
}
