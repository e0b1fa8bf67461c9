package federation

import (
	"fmt"
	"iter"

	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/directory"
	"github.com/quis-idp/quis/identity/event"
)

// Kinds of who may be granted access to a restricted application.
const (
	AccessUser  = "user"
	AccessGroup = "group"
)

// An AccessRule lets a user, or the members of a group, into a restricted application.
type AccessRule struct {
	Tenant      string `cbor:"1,keyasint,omitempty"`
	Application string `cbor:"2,keyasint,omitempty"`
	Kind        string `cbor:"3,keyasint,omitempty"` // AccessUser or AccessGroup
	Target      string `cbor:"4,keyasint,omitempty"` // ID of the user or group
}

func (r *AccessRule) key() fsm.Key { return fsm.K(r.Application, r.Kind, r.Target) }

var accessRules = fsm.NewTable(101, "application_access", fsm.Spec[AccessRule]{
	Scope: func(r *AccessRule) fsm.Scope { return fsm.Scope(r.Tenant) },
	Key:   (*AccessRule).key,
})

// GrantAccess adds a rule. Adding it again changes nothing.
func GrantAccess(tx *fsm.Tx, r AccessRule) error {
	if r.Kind != AccessUser && r.Kind != AccessGroup {
		return identity.Invalid("kind", "must be user or group")
	}
	a, _, err := Get(tx, r.Tenant, r.Application)
	if err != nil {
		return err
	}
	has, err := accessRules.Has(tx, fsm.Scope(r.Tenant), r.key())
	if err != nil || has {
		return err
	}
	if err := accessRules.Put(tx, &r); err != nil {
		return err
	}
	return tell(tx, a, event.ApplicationUpdated, event.Change{Field: "access." + r.Kind, After: r.Target})
}

// RevokeAccess removes a rule; fsm.ErrNotFound if there is none.
func RevokeAccess(tx *fsm.Tx, r AccessRule) error {
	a, _, err := Get(tx, r.Tenant, r.Application)
	if err != nil {
		return err
	}
	if _, err := accessRules.Get(tx, fsm.Scope(r.Tenant), r.key()); err != nil {
		return fmt.Errorf("access rule: %w", err)
	}
	if err := accessRules.Delete(tx, fsm.Scope(r.Tenant), r.key()); err != nil {
		return err
	}
	return tell(tx, a, event.ApplicationUpdated, event.Change{Field: "access." + r.Kind, Before: r.Target})
}

// ListAccess yields the rules of an application.
func ListAccess(tx *fsm.Tx, tenant, application string) iter.Seq2[*AccessRule, error] {
	return accessRules.List(tx, fsm.Scope(tenant), fsm.Prefix(fsm.K(application)))
}

// MayUse reports whether the user may sign in to the application.
func MayUse(tx *fsm.Tx, a *Application, userID string) (bool, error) {
	if a.Disabled {
		return false, nil
	}
	if !a.AccessRestricted {
		return true, nil
	}
	groups, err := directory.GroupsOf(tx, a.Tenant, userID)
	if err != nil {
		return false, err
	}
	return granted(tx, a, userID, groups)
}

// granted reports whether a rule lets the user in, who is in these groups.
func granted(tx *fsm.Tx, a *Application, userID string, groups []directory.Group) (bool, error) {
	ok, err := hasRule(tx, a, AccessUser, userID)
	if err != nil || ok {
		return ok, err
	}
	for _, g := range groups {
		if ok, err := hasRule(tx, a, AccessGroup, g.ID); err != nil || ok {
			return ok, err
		}
	}
	return false, nil
}

func hasRule(tx *fsm.Tx, a *Application, kind, target string) (bool, error) {
	r := AccessRule{Application: a.ID, Kind: kind, Target: target}
	return accessRules.Has(tx, fsm.Scope(a.Tenant), r.key())
}
