package directory

import (
	"fmt"
	"iter"

	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity"
)

// administrators are the users who administer their tenant and are not disabled. A row that was
// written before this index was kept, or by a member of an older release, is in it once Reindex has come by, or with its next change.
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

// enters reports whether a user who is not disabled has something to sign in with. What that may be,
// rooms above this one know; by itself the directory takes everybody's word.
var enters = func(*fsm.Tx, *User) (bool, error) { return true, nil }

// EnterBy says how it is known whether a user could sign in now. identity/spare calls it, before main begins.
func EnterBy(f func(*fsm.Tx, *User) (bool, error)) { enters = f }

func anybody(*fsm.Tx, *User) (bool, error) { return true, nil }

// Administered reports whether a tenant has an administrator who is not disabled.
func Administered(tx *fsm.Tx, tenant string) (bool, error) {
	return administeredBut(tx, tenant, "", anybody)
}

// administeredBut is Administered without the user of that ID, by those whom counts counts. What it walks
// over is part of what an Update verifies: of two administrators who remove each other at once, one stays.
func administeredBut(tx *fsm.Tx, tenant, id string, counts func(*fsm.Tx, *User) (bool, error)) (bool, error) {
	all := []iter.Seq2[*User, error]{
		administrators.List(tx, fsm.Scope(tenant)),
		users.List(tx, fsm.Scope(tenant)), // of everybody only where the index knows nobody else
	}
	others := false
	for _, list := range all {
		for u, err := range list {
			if err != nil {
				return false, err
			}
			if u.ID == id || !u.administers() {
				continue
			}
			others = true
			if is, err := counts(tx, u); err != nil || is {
				return is, err
			}
		}
		if others {
			break
		}
	}
	return false, nil
}

// errLast is the kind of what takes the last administrator away, as far as this node knows: it looks again
// after it has caught up.
var errLast = fmt.Errorf("last administrator: %w (%w)", identity.ErrDenied, fsm.ErrNotFound)

// keepOne refuses to take its last administrator from the installation: nobody could make
// another one but the operator of a machine. Any other tenant is administered from there, too. Who could
// not sign in now, such as somebody who has not followed their invitation, stands in for nobody but their like.
func keepOne(tx *fsm.Tx, was, is *User) error {
	if was.Tenant != identity.DefaultTenant || !was.administers() || is.administers() {
		return nil
	}
	counts := enters
	if could, err := enters(tx, was); err != nil {
		return err
	} else if !could {
		counts = anybody
	}
	if others, err := administeredBut(tx, was.Tenant, was.ID, counts); err != nil || others {
		return err
	}
	return &identity.Error{Kind: errLast, Detail: was.Username + " is the last administrator of this installation who can sign in. Make another one first: of a user who is there and has a way to sign in (`quis user set USER admin=true`), or a new one (`quis setup-link`)."}
}
