package federation

import (
	"slices"

	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity/directory"
)

// Scopes that quis itself gives a meaning (OpenID Connect Core, section 5.4).
const (
	ScopeOpenID  = "openid"
	ScopeProfile = "profile"
	ScopeEmail   = "email"
	ScopeGroups  = "groups"
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
}

// SupportedClaims are the names of all Claims, for discovery.
var SupportedClaims = []string{
	"sub", "name", "given_name", "family_name", "preferred_username", "locale", "updated_at",
	"email", "email_verified", "groups",
}

// ClaimsOf returns what the scopes reveal about the user.
func ClaimsOf(tx *fsm.Tx, u *directory.User, scopes []string) (Claims, error) {
	var c Claims
	if slices.Contains(scopes, ScopeProfile) {
		c.Name, c.GivenName, c.FamilyName = u.Name, u.GivenName, u.FamilyName
		c.PreferredUsername, c.Locale = u.Username, u.Locale
		if !u.Updated.IsZero() {
			c.UpdatedAt = u.Updated.Unix()
		}
	}
	if slices.Contains(scopes, ScopeEmail) && u.Email != "" {
		verified := u.EmailVerified
		c.Email, c.EmailVerified = u.Email, &verified
	}
	if slices.Contains(scopes, ScopeGroups) {
		groups, err := directory.GroupsOf(tx, u.Tenant, u.ID)
		if err != nil {
			return Claims{}, err
		}
		for _, g := range groups {
			c.Groups = append(c.Groups, g.Name)
		}
	}
	return c, nil
}
