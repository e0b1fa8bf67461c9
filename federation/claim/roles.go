package claim

import (
	"errors"
	"fmt"
	"iter"

	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/directory"
	"github.com/quis-idp/quis/identity/event"
)

// Kinds of who may have a role.
const (
	KindUser  = "user"
	KindGroup = "group"
)

const (
	maxRole     = 200 // bytes: names of roles in clouds are long
	maxAssigned = 400 // of one application, to all who have any; deleting it removes them in one transaction
	maxTarget   = 100 // roles of one user or group in one application
)

// A Role is what a user, or the members of a group, are to one application.
type Role struct {
	Tenant      string `cbor:"1,keyasint,omitempty"`
	Application string `cbor:"2,keyasint,omitempty"` // ID
	Kind        string `cbor:"3,keyasint,omitempty"` // KindUser or KindGroup
	Target      string `cbor:"4,keyasint,omitempty"` // ID of the user or group
	Role        string `cbor:"5,keyasint,omitempty"` // as the application knows it
	// Key makes the role a variable of the application's mappings: ${key}. Optional.
	Key string `cbor:"6,keyasint,omitempty"`
}

func (r *Role) key() fsm.Key { return fsm.K(r.Application, r.Kind, r.Target, r.Role) }

var roles = fsm.NewTable(104, "application_roles", fsm.Spec[Role]{
	Scope: func(r *Role) fsm.Scope { return fsm.Scope(r.Tenant) },
	Key:   (*Role).key,
})

// Tables are the tables of this room.
var Tables = []fsm.Definition{roles}

// Assign gives a role, or changes its key; what is there already is no event. app must
// exist. It reports identity.ErrInvalid, and fsm.ErrNotFound if there is no such target.
func Assign(tx *fsm.Tx, app App, r Role) error {
	r.Tenant, r.Application = app.Tenant, app.ID
	if err := r.check(); err != nil {
		return err
	}
	if err := r.targetExists(tx); err != nil {
		return err
	}
	old, err := roles.Get(tx, fsm.Scope(r.Tenant), r.key())
	if err == nil && *old == r {
		return nil
	}
	if err != nil && !errors.Is(err, fsm.ErrNotFound) {
		return err
	}
	if old == nil {
		if err := room(tx, &r); err != nil {
			return err
		}
	}
	if err := roles.Put(tx, &r); err != nil {
		return err
	}
	change := event.Change{Field: "roles." + r.Kind + "." + r.Target, After: r.String()}
	if old != nil {
		change.Before = old.String()
	}
	return tell(tx, app, change)
}

// String returns the role as a record of changes shows it.
func (r *Role) String() string {
	if r.Key == "" {
		return r.Role
	}
	return r.Key + "=" + r.Role
}

func (r *Role) check() error {
	switch {
	case r.Kind != KindUser && r.Kind != KindGroup:
		return identity.Invalid("kind", "must be user or group")
	case r.Role == "" || r.Role != identity.Printable(r.Role, maxRole):
		return identity.Invalid("role", fmt.Sprintf("must have 1 to %d printable bytes", maxRole))
	case r.Key != "" && !validKey(r.Key):
		return identity.Invalid("key", fmt.Sprintf("must have at most %d letters, digits and _ - .", maxKey))
	case standardVariable(r.Key):
		return identity.Invalid("key", "is the name of a standard variable")
	}
	return nil
}

func (r *Role) targetExists(tx *fsm.Tx) (err error) {
	if r.Kind == KindUser {
		_, _, err = directory.GetUser(tx, r.Tenant, r.Target)
	} else {
		_, _, err = directory.GetGroup(tx, r.Tenant, r.Target)
	}
	return err
}

// room reports identity.ErrInvalid if there is none for another role.
func room(tx *fsm.Tx, r *Role) error {
	all, mine := 0, 0
	for o, err := range List(tx, r.Tenant, r.Application) {
		if err != nil {
			return err
		}
		all++
		if o.Kind == r.Kind && o.Target == r.Target {
			mine++
		}
	}
	switch {
	case all >= maxAssigned:
		return identity.Invalid("role", fmt.Sprintf("an application can give %d roles at most; give them to groups", maxAssigned))
	case mine >= maxTarget:
		return identity.Invalid("role", fmt.Sprintf("one user or group can have %d roles at most", maxTarget))
	}
	return nil
}

// Withdraw takes a role back, or reports fsm.ErrNotFound.
func Withdraw(tx *fsm.Tx, app App, r Role) error {
	r.Tenant, r.Application = app.Tenant, app.ID
	old, err := roles.Get(tx, fsm.Scope(r.Tenant), r.key())
	if err != nil {
		return fmt.Errorf("role: %w", err)
	}
	if err := roles.Delete(tx, fsm.Scope(r.Tenant), r.key()); err != nil {
		return err
	}
	return tell(tx, app, event.Change{Field: "roles." + r.Kind + "." + r.Target, Before: old.String()})
}

func tell(tx *fsm.Tx, app App, change event.Change) error {
	return event.Append(tx, event.Event{
		Tenant: app.Tenant, Type: event.ApplicationUpdated, Changes: []event.Change{change},
		Target: event.Target{Kind: "application", ID: app.ID, Name: app.Name},
		Data:   map[string]string{"client_id": app.ClientID},
	})
}

// List yields the roles of an application.
func List(tx *fsm.Tx, tenant, application string) iter.Seq2[*Role, error] {
	return roles.List(tx, fsm.Scope(tenant), fsm.Prefix(fsm.K(application)))
}

// RolesOf returns the roles that a user has in an application, in person and by the groups
// given: one range per group, since most have few groups, and most groups no role.
func RolesOf(tx *fsm.Tx, tenant, application, user string, groups []directory.Group) ([]Role, error) {
	targets := [][2]string{{KindUser, user}}
	for _, g := range groups {
		targets = append(targets, [2]string{KindGroup, g.ID})
	}
	var all []Role
	for _, t := range targets {
		for r, err := range roles.List(tx, fsm.Scope(tenant), fsm.Prefix(fsm.K(application, t[0], t[1]))) {
			if err != nil {
				return nil, err
			}
			all = append(all, *r)
		}
	}
	return all, nil
}

// Clear removes the roles of an application that is deleted.
func Clear(tx *fsm.Tx, tenant, application string) error {
	for r, err := range List(tx, tenant, application) {
		if err != nil {
			return err
		}
		if err := roles.Delete(tx, fsm.Scope(tenant), r.key()); err != nil {
			return err
		}
	}
	return nil
}
