package directory

import (
	"fmt"
	"iter"

	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity"
)

// administrators are the users who administer their tenant and are not disabled. A row that was
// written before this index was kept, or by a member of an older release, is in it from its next change on.
var administrators = users.Index(3, "administrators", func(u *User) []fsm.Key {
	if !u.administers() {
		return nil
	}
	return []fsm.Key{fsm.K("")}
})

// Administrators lists the administrators of a tenant who are not disabled, as far as the index knows them.
func Administrators(tx *fsm.Tx, tenant string) iter.Seq2[*User, error] {
	return administrators.List(tx, fsm.Scope(tenant))
}

func (u *User) administers() bool { return u.Admin && !u.Disabled }

// Administered reports whether a tenant has an administrator who is not disabled.
func Administered(tx *fsm.Tx, tenant string) (bool, error) { return administeredBut(tx, tenant, "") }

// administeredBut is Administered without the user of that ID. What it walks over is part of what
// an Update verifies: of two administrators who remove each other at once, one stays.
func administeredBut(tx *fsm.Tx, tenant, id string) (bool, error) {
	all := []iter.Seq2[*User, error]{
		administrators.List(tx, fsm.Scope(tenant)),
		users.List(tx, fsm.Scope(tenant)), // of everybody only where the index knows nobody else
	}
	for _, list := range all {
		for u, err := range list {
			if err != nil || u.ID != id && u.administers() {
				return err == nil, err
			}
		}
	}
	return false, nil
}

// errLast is the kind of what takes the last administrator away, as far as this node knows: it looks again
// after it has caught up.
var errLast = fmt.Errorf("last administrator: %w (%w)", identity.ErrDenied, fsm.ErrNotFound)

// keepOne refuses to take its last administrator from the installation: nobody could make
// another one but the operator of a machine. Any other tenant is administered from there, too.
func keepOne(tx *fsm.Tx, was, is *User) error {
	if was.Tenant != identity.DefaultTenant || !was.administers() || is.administers() {
		return nil
	}
	if others, err := administeredBut(tx, was.Tenant, was.ID); err != nil || others {
		return err
	}
	return &identity.Error{Kind: errLast, Detail: was.Username + " is the last administrator of this installation. Make another one first: of a user who is there (`quis user set USER admin=true`), or a new one (`quis setup-link`)."}
}
