package policy

import (
	"time"

	"github.com/quis-idp/quis/identity/assurance"
	"github.com/quis-idp/quis/identity/settings"
)

// Of returns facts with what a tenant and a person's groups ask; the rest is the caller's.
func Of(s *settings.Authentication, groups []settings.GroupMFA) Facts {
	f := Facts{
		Global: MFA(s.MFAPolicy), Reauth: time.Duration(s.MFAReauth) * time.Minute, Enforce: s.MFAEnforce, Grace: int(s.MFAGrace),
	}
	for _, m := range s.MFAMethods {
		f.Allowed = append(f.Allowed, assurance.Method(m)) // their names are the same
	}
	for _, g := range groups {
		f.Groups = append(f.Groups, Group{Name: g.Name, MFA: MFA(g.MFA)})
	}
	return f
}
