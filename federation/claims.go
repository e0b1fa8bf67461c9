package federation

import (
	"slices"

	"github.com/quis-idp/quis/federation/claim"
	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity/directory"
)

// Scopes that quis itself gives a meaning (OpenID Connect Core, section 5.4).
const (
	ScopeOpenID  = "openid"
	ScopeProfile = "profile"
	ScopeEmail   = "email"
	ScopeGroups  = "groups"
	ScopeRoles   = "roles" // what the user is to this application, see package claim
	ScopeOffline = "offline_access"
)

// Claims are what an application learns about a person beyond the subject
// (OpenID Connect Core, section 5.1). What is empty is left out.
type Claims struct {
	Name              string   `json:"name,omitempty"`
	GivenName         string   `json:"given_name,omitempty"`
	FamilyName        string   `json:"family_name,omitempty"`
	PreferredUsername string   `json:"preferred_username,omitempty"`
	Locale            string   `json:"locale,omitempty"`
	UpdatedAt         int64    `json:"updated_at,omitempty"` // Unix seconds
	Email             string   `json:"email,omitempty"`
	EmailVerified     *bool    `json:"email_verified,omitempty"`
	Groups            []string `json:"groups,omitempty"`
	Roles             []string `json:"roles,omitempty"` // RFC 9068, section 2.2.3.1
}

// SupportedClaims are the names of all Claims, for discovery.
var SupportedClaims = []string{
	"sub", "name", "given_name", "family_name", "preferred_username", "locale", "updated_at",
	"email", "email_verified", "groups", "roles",
}

// scopeOf is the scope that a claim belongs to.
var scopeOf = map[string]string{
	"name": ScopeProfile, "given_name": ScopeProfile, "family_name": ScopeProfile, "preferred_username": ScopeProfile,
	"locale": ScopeProfile, "updated_at": ScopeProfile, "email": ScopeEmail, "email_verified": ScopeEmail,
	"groups": ScopeGroups, "roles": ScopeRoles,
}

// ScopeOf returns the scope that reveals a claim; empty: there is none.
func ScopeOf(name string) string { return scopeOf[name] }

// ClaimsOf returns what the scopes reveal about the user to the application, and those
// claims besides that were requested by name (OpenID Connect Core, section 5.5).
func ClaimsOf(tx *fsm.Tx, a *Application, u *directory.User, scopes []string, requested ...string) (Claims, error) {
	var c Claims
	said := func(name string) bool {
		return slices.Contains(scopes, scopeOf[name]) || slices.Contains(requested, name)
	}
	set := func(to *string, name, value string) {
		if said(name) {
			*to = value
		}
	}
	set(&c.Name, "name", u.Name)
	set(&c.GivenName, "given_name", u.GivenName)
	set(&c.FamilyName, "family_name", u.FamilyName)
	set(&c.PreferredUsername, "preferred_username", u.Username)
	set(&c.Locale, "locale", u.Locale)
	set(&c.Email, "email", u.Email)
	if said("updated_at") && !u.Updated.IsZero() {
		c.UpdatedAt = u.Updated.Unix()
	}
	if said("email_verified") && u.Email != "" {
		c.EmailVerified = &u.EmailVerified
	}
	if !said("groups") && !said("roles") {
		return c, nil
	}
	groups, err := directory.GroupsOf(tx, u.Tenant, u.ID)
	if err != nil {
		return Claims{}, err
	}
	if said("groups") {
		c.Groups = groupNames(groups)
	}
	if said("roles") {
		roles, err := claim.RolesOf(tx, u.Tenant, a.ID, u.ID, groups)
		if err != nil {
			return Claims{}, err
		}
		c.Roles = claim.RoleNames(roles)
	}
	return c, nil
}

func groupNames(groups []directory.Group) []string {
	var names []string
	for _, g := range groups {
		names = append(names, g.Name)
	}
	return names
}
