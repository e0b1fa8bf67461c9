package pending

import (
	"errors"
	"strings"
	"time"

	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/directory"
	"github.com/quis-idp/quis/identity/event"
	"github.com/quis-idp/quis/identity/regain"
)

// EmailChangeLifetime is how long both links of a change of address work.
const EmailChangeLifetime = 24 * time.Hour

// An EmailChange is a new address that waits until it is proved that both belong to the user.
type EmailChange struct {
	Tenant  string    `cbor:"1,keyasint,omitempty"`
	UserID  string    `cbor:"2,keyasint,omitempty"`
	From    string    `cbor:"3,keyasint,omitempty"` // the address of now; "": the user had none
	To      string    `cbor:"4,keyasint,omitempty"`
	OldHash []byte    `cbor:"5,keyasint,omitempty"` // SHA-256 of the secret sent to From; none once that is proved
	NewHash []byte    `cbor:"6,keyasint,omitempty"` // of the one sent to To
	Created time.Time `cbor:"7,keyasint,omitempty"`
	Asked   bool      `cbor:"8,keyasint,omitempty"` // From has a say: it was proved
}

var (
	changes = fsm.NewTable(48, "email_changes", fsm.Spec[EmailChange]{
		Scope:   func(c *EmailChange) fsm.Scope { return fsm.Scope(c.Tenant) },
		Key:     func(c *EmailChange) fsm.Key { return fsm.K(c.UserID) },
		Expires: (*EmailChange).expires,
	})
	changesByHash = changes.Unique(1, "hash", func(c *EmailChange) []fsm.Key {
		var keys []fsm.Key
		for _, h := range [][]byte{c.OldHash, c.NewHash} {
			if len(h) > 0 {
				keys = append(keys, fsm.K(string(h)))
			}
		}
		return keys
	})
)

func (c *EmailChange) expires() time.Time { return c.Created.Add(EmailChangeLifetime) }

// A Begun change of an address is what is to be sent, and where. Secrets are in nothing else.
type Begun struct {
	*EmailChange
	ToOld string // secret for the address of now; "": there is none that was proved
	ToNew string // for the new one; "": it is somebody else's, who may be told so
}

// BeginEmailChange begins a change of a user's address, in place of one that was begun before.
// Nobody learns by it whether an address is somebody's already: of such a one, the change
// waits like any other, and nothing can prove it. It reports identity.ErrInvalid, field email,
// and identity.ErrDenied while the account rests after a recovery.
// The caller has made sure that every member of the cluster reads such rows.
func BeginEmailChange(tx *fsm.Tx, tenant, userID, to string) (*Begun, error) {
	u, _, err := directory.GetUser(tx, tenant, userID)
	if err != nil {
		return nil, err
	}
	if err := regain.Held(tx, tenant, userID); err != nil {
		return nil, err
	}
	to = strings.TrimSpace(to)
	if to == "" || strings.EqualFold(to, u.Email) && u.EmailVerified {
		return nil, identity.Invalid("email", "must be another address than the one of now")
	}
	next := *u
	next.Email, next.EmailVerified = to, true
	if strings.EqualFold(u.Username, u.Email) {
		next.Username = to
	}
	err = directory.CheckUser(tx, tenant, next)
	taken := errors.Is(err, fsm.ErrExists)
	if err != nil && !taken {
		return nil, err
	}
	b := &Begun{EmailChange: &EmailChange{Tenant: tenant, UserID: userID, From: u.Email, To: to, Created: tx.Now()}}
	if u.Email != "" && u.EmailVerified && !strings.EqualFold(to, u.Email) {
		b.Asked = true
		b.ToOld, b.OldHash = newSecret()
	}
	b.ToNew, b.NewHash = newSecret()
	if taken {
		b.ToNew = "" // nobody has it
	}
	if err := changes.Put(tx, b.EmailChange); err != nil {
		return nil, err
	}
	return b, b.tell(tx, event.EmailChangeBegun)
}

// EmailChangeOf returns the change that waits for a user's proofs; nil if there is none, or it
// was overtaken by another change of the address, an administrator's perhaps.
func EmailChangeOf(tx *fsm.Tx, tenant, userID string) (*EmailChange, error) {
	c, err := changes.Get(tx, fsm.Scope(tenant), fsm.K(userID))
	if errors.Is(err, fsm.ErrNotFound) || err == nil && !tx.Now().Before(c.expires()) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	u, _, err := directory.GetUser(tx, tenant, userID)
	if errors.Is(err, fsm.ErrNotFound) || err == nil && !strings.EqualFold(u.Email, c.From) {
		return nil, nil
	}
	return c, err
}

// FindEmailChange returns the change that a secret belongs to, and whether it is the one
// sent to the new address; else fsm.ErrNotFound with a sentence for the person.
func FindEmailChange(tx *fsm.Tx, tenant, secret string) (c *EmailChange, isNew bool, err error) {
	gone := identity.NotFound("This link has been used or has expired. Begin the change of your address again.")
	if !wellFormed(secret) {
		return nil, false, gone
	}
	h := hashOf(secret)
	c, err = changesByHash.Get(tx, fsm.Scope(tenant), fsm.K(string(h)))
	if errors.Is(err, fsm.ErrNotFound) || err == nil && !tx.Now().Before(c.expires()) {
		return nil, false, gone
	}
	if err != nil {
		return nil, false, err
	}
	return c, string(c.NewHash) == string(h), nil
}

// ConfirmEmailChange spends one of the two secrets. With the second the address changes, and
// done is true. An address that was changed otherwise meanwhile, or that somebody else has
// got, ends the change with fsm.ErrNotFound or fsm.ErrExists.
func ConfirmEmailChange(tx *fsm.Tx, tenant, secret string) (c *EmailChange, done bool, err error) {
	c, isNew, err := FindEmailChange(tx, tenant, secret)
	if err != nil {
		return nil, false, err
	}
	if isNew {
		c.NewHash = nil
	} else {
		c.OldHash = nil
	}
	if len(c.OldHash)+len(c.NewHash) > 0 {
		return c, false, changes.Put(tx, c)
	}
	if err := changes.Delete(tx, fsm.Scope(tenant), fsm.K(c.UserID)); err != nil {
		return nil, false, err
	}
	_, err = directory.UpdateUser(tx, tenant, c.UserID, 0, func(u *directory.User) error {
		if !strings.EqualFold(u.Email, c.From) {
			return identity.NotFound("Your address has been changed otherwise in the meantime.")
		}
		if u.Email != "" && strings.EqualFold(u.Username, u.Email) {
			u.Username = c.To
		}
		u.Email, u.EmailVerified = c.To, true
		return nil
	})
	if err != nil {
		return nil, false, err
	}
	return c, true, c.tell(tx, event.EmailChanged)
}

// CancelEmailChange ends a user's change of address, if there is one; also of a user who is
// being deleted.
func CancelEmailChange(tx *fsm.Tx, tenant, userID string) error {
	c, err := changes.Get(tx, fsm.Scope(tenant), fsm.K(userID))
	if errors.Is(err, fsm.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	if err := changes.Delete(tx, fsm.Scope(tenant), fsm.K(userID)); err != nil {
		return err
	}
	return c.tell(tx, event.EmailChangeCancelled)
}

// DeleteTenant removes what waits in a tenant that is being deleted.
func DeleteTenant(tx *fsm.Tx, tenant string) error {
	for i, err := range invitations.List(tx, fsm.Scope(tenant)) {
		if err != nil {
			return err
		}
		if err := invitations.Delete(tx, fsm.Scope(tenant), fsm.K(i.ID)); err != nil {
			return err
		}
	}
	for c, err := range changes.List(tx, fsm.Scope(tenant)) { // of users deleted by an older release
		if err != nil {
			return err
		}
		if err := changes.Delete(tx, fsm.Scope(tenant), fsm.K(c.UserID)); err != nil {
			return err
		}
	}
	return nil
}

func (c *EmailChange) tell(tx *fsm.Tx, what event.Type) error {
	return event.Append(tx, event.Event{
		Tenant: c.Tenant, Type: what, Target: event.Target{Kind: "user", ID: c.UserID},
		Changes: []event.Change{{Field: "email", Before: c.From, After: c.To}},
	})
}
