package regain

import (
	"errors"
	"time"

	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity/credential"
)

// A lock is on an account of which its person has said that somebody else was in it. Whoever that
// was may know the password, and may have added ways to sign in: these let nobody in for now.
type lock struct {
	Tenant string    `cbor:"1,keyasint,omitempty"`
	UserID string    `cbor:"2,keyasint,omitempty"`
	Since  time.Time `cbor:"3,keyasint,omitempty"`
}

var locks = fsm.NewTable(89, "account_locks", fsm.Spec[lock]{
	Scope: func(l *lock) fsm.Scope { return fsm.Scope(l.Tenant) },
	Key:   func(l *lock) fsm.Key { return fsm.K(l.UserID) },
})

// Lock has the next sign-in of a user ask for more than they ever needed: see [Locked]. The caller
// has made sure that every member of the cluster reads such rows.
func Lock(tx *fsm.Tx, tenant, userID string) error {
	return locks.Put(tx, &lock{Tenant: tenant, UserID: userID, Since: tx.Now()})
}

// Locked reports whether a user's account is locked: until [Unlock], or until they have another password.
func Locked(tx *fsm.Tx, tenant, userID string) (bool, error) {
	l, err := locks.Get(tx, fsm.Scope(tenant), fsm.K(userID))
	if errors.Is(err, fsm.ErrNotFound) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	set, err := credential.PasswordSet(tx, tenant, userID)
	return err == nil && !set.After(l.Since), err
}

// DeleteTenant removes the locks of a tenant that is being deleted; its recoveries expire.
func DeleteTenant(tx *fsm.Tx, tenant string) error {
	for l, err := range locks.List(tx, fsm.Scope(tenant)) {
		if err != nil {
			return err
		}
		if err := locks.Delete(tx, fsm.Scope(tenant), fsm.K(l.UserID)); err != nil {
			return err
		}
	}
	return nil
}

// Unlock takes the lock from a user's account, if there is one.
func Unlock(tx *fsm.Tx, tenant, userID string) error {
	has, err := locks.Has(tx, fsm.Scope(tenant), fsm.K(userID))
	if err != nil || !has {
		return err
	}
	return locks.Delete(tx, fsm.Scope(tenant), fsm.K(userID))
}
