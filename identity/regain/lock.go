package regain

import (
	"errors"
	"strings"

	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity/credential"
	"github.com/quis-idp/quis/identity/directory"
	"github.com/quis-idp/quis/identity/settings"
)

// A lock is on an account of which its person has said that somebody else was in it. Whoever that
// was may know the password, and may have added ways to sign in: these let nobody in for now.
type lock struct {
	Tenant string `cbor:"1,keyasint,omitempty"`
	UserID string `cbor:"2,keyasint,omitempty"`
	Set    int64  `cbor:"3,keyasint,omitempty"` // when the password was set that is not to be trusted, in Unix nanoseconds; 0: there was none
	Mail   string `cbor:"4,keyasint,omitempty"` // address of the mailbox that is asked for; "": none is
}

var locks = fsm.NewTable(89, "account_locks", fsm.Spec[lock]{
	Scope: func(l *lock) fsm.Scope { return fsm.Scope(l.Tenant) },
	Key:   func(l *lock) fsm.Key { return fsm.K(l.UserID) },
})

// Lock has the next sign-in of a user ask for more than they ever needed: see [Locked]. A new [Era] begins. mail is the address
// whose mailbox is theirs for sure; "" if there is none, or no mail is sent. The caller has made sure that
// every member of the cluster reads such rows.
func Lock(tx *fsm.Tx, tenant, userID, mail string) error {
	set, err := passwordSet(tx, tenant, userID)
	if err != nil {
		return err
	}
	if err := endEra(tx, tenant, userID); err != nil {
		return err
	}
	return locks.Put(tx, &lock{Tenant: tenant, UserID: userID, Set: set, Mail: mail})
}

func passwordSet(tx *fsm.Tx, tenant, userID string) (int64, error) {
	set, err := credential.PasswordSet(tx, tenant, userID)
	if err != nil || set.IsZero() {
		return 0, err
	}
	return set.UnixNano(), nil
}

// A Bar is what a locked account asks of whoever signs in, besides all that they would need.
type Bar struct {
	Mail     string // address whose mailbox is to be proved; "": none is, as once the account has another address
	Password bool   // another password, if there is one and people sign in with them
}

// Locked returns what a user's account asks for, until [Unlock] or until it has another password than when it was
// locked; nil if it is not.
func Locked(tx *fsm.Tx, u *directory.User) (*Bar, error) {
	l, err := locks.Get(tx, fsm.Scope(u.Tenant), fsm.K(u.ID))
	if errors.Is(err, fsm.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	// Not by the time: the clock of the node that set it may have been ahead.
	set, err := passwordSet(tx, u.Tenant, u.ID)
	if err != nil || set != l.Set {
		return nil, err
	}
	s, _, err := settings.Get(tx, u.Tenant)
	if err != nil {
		return nil, err
	}
	b := &Bar{Password: set != 0 && s.PasswordLogin}
	if strings.EqualFold(l.Mail, u.Email) {
		b.Mail = l.Mail
	}
	return b, nil
}

// DeleteTenant removes the locks and eras of a tenant that is being deleted; its recoveries expire.
func DeleteTenant(tx *fsm.Tx, tenant string) error {
	for e, err := range eras.List(tx, fsm.Scope(tenant)) {
		if err != nil {
			return err
		}
		if err := eras.Delete(tx, fsm.Scope(tenant), fsm.K(e.UserID)); err != nil {
			return err
		}
	}
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
