package settings

import (
	"errors"
	"slices"
	"strings"

	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/directory"
	"github.com/quis-idp/quis/identity/event"
)

// MFAInherit is the policy of a group that has no say.
const MFAInherit = "inherit"

// A GroupMFA is which second factor the members of a group need, whatever the tenant asks.
type GroupMFA struct {
	Tenant string `cbor:"1,keyasint,omitempty"`
	Group  string `cbor:"2,keyasint,omitempty"`
	MFA    string `cbor:"3,keyasint,omitempty"` // MFADisabled …
	Name   string `cbor:"-"`                    // of the group, where Groups returns it
}

var groupTable = fsm.NewTable(46, "group_mfa", fsm.Spec[GroupMFA]{
	Scope: func(g *GroupMFA) fsm.Scope { return fsm.Scope(g.Tenant) },
	Key:   func(g *GroupMFA) fsm.Key { return fsm.K(g.Group) },
})

// OfGroup returns the policy of a group, MFAInherit if it has none.
func OfGroup(tx *fsm.Tx, tenant, group string) (string, error) {
	g, err := groupTable.Get(tx, fsm.Scope(tenant), fsm.K(group))
	if errors.Is(err, fsm.ErrNotFound) {
		return MFAInherit, nil
	}
	if err != nil {
		return "", err
	}
	return g.MFA, nil
}

// SetOfGroup decides the policy of a group; MFAInherit takes it away. It reports
// identity.ErrInvalid, field mfa_policy, and fsm.ErrNotFound if there is no such group.
// The caller has made sure that every member of the cluster reads such rows.
func SetOfGroup(tx *fsm.Tx, tenant, group, mfa string) error {
	if mfa != MFAInherit && !slices.Contains(policies, mfa) {
		return identity.Invalid("mfa_policy", "must be one of inherit, "+strings.Join(policies, ", "))
	}
	g, _, err := directory.GetGroup(tx, tenant, group)
	if err != nil {
		return err
	}
	old, err := OfGroup(tx, tenant, group)
	if err != nil || old == mfa {
		return err
	}
	if mfa == MFAInherit {
		err = groupTable.Delete(tx, fsm.Scope(tenant), fsm.K(group))
	} else {
		err = groupTable.Put(tx, &GroupMFA{Tenant: tenant, Group: group, MFA: mfa})
	}
	if err != nil {
		return err
	}
	return event.Append(tx, event.Event{
		Tenant: tenant, Type: event.GroupUpdated, Target: event.Target{Kind: "group", ID: group, Name: g.Name},
		Changes: []event.Change{{Field: "mfa_policy", Before: old, After: mfa}},
	})
}

// DeleteGroup removes the policy of a group that is being deleted.
func DeleteGroup(tx *fsm.Tx, tenant, group string) error {
	has, err := groupTable.Has(tx, fsm.Scope(tenant), fsm.K(group))
	if err != nil || !has {
		return err
	}
	return groupTable.Delete(tx, fsm.Scope(tenant), fsm.K(group))
}

// Groups returns the policies of the groups that a user is in, by the groups' names.
func Groups(tx *fsm.Tx, tenant, user string) ([]GroupMFA, error) {
	groups, err := directory.GroupsOf(tx, tenant, user)
	if err != nil {
		return nil, err
	}
	var out []GroupMFA
	for i := range groups {
		g, err := groupTable.Get(tx, fsm.Scope(tenant), fsm.K(groups[i].ID))
		if errors.Is(err, fsm.ErrNotFound) {
			continue
		}
		if err != nil {
			return nil, err
		}
		g.Name = groups[i].Name
		out = append(out, *g)
	}
	return out, nil
}
