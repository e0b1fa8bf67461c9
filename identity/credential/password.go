package credential

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/credential/approval"
	"github.com/quis-idp/quis/identity/credential/certificate"
	"github.com/quis-idp/quis/identity/credential/device"
	"github.com/quis-idp/quis/identity/credential/foreign"
	"github.com/quis-idp/quis/identity/credential/recovery"
	"github.com/quis-idp/quis/identity/credential/totp"
	"github.com/quis-idp/quis/identity/event"
)

// A password is a user's password as it is stored.
type password struct {
	Tenant string    `cbor:"1,keyasint,omitempty"`
	UserID string    `cbor:"2,keyasint,omitempty"`
	PHC    string    `cbor:"3,keyasint,omitempty"`
	Set    time.Time `cbor:"4,keyasint,omitempty"` // by a person; a renewed hash keeps it
	Change bool      `cbor:"5,keyasint,omitempty"` // an administrator wants another at the next sign-in
}

var passwords = fsm.NewTable(60, "passwords", fsm.Spec[password]{
	Scope: func(p *password) fsm.Scope { return fsm.Scope(p.Tenant) },
	Key:   func(p *password) fsm.Key { return fsm.K(p.UserID) },
})

// Tables are what this room and those of the second factors keep in the store.
var Tables = slices.Concat([]fsm.Definition{passwords, tokens, tokenUse, setups, histories}, totp.Tables, recovery.Tables, approval.Tables, certificate.Tables, device.Tables)

// SetPassword sets a user's password to what [Prepare] returned and ends the trust in
// all devices. It reports identity.ErrInvalid for any other text. Ending the user's
// sessions is the caller's.
func SetPassword(tx *fsm.Tx, tenant, userID, phc string) error {
	return setPassword(tx, identity.Actor{}, tenant, userID, phc)
}

// ChoosePassword is [SetPassword] for a user who is made in the same transaction and has typed it
// themselves: it is told as their doing, whoever let them make the account.
func ChoosePassword(tx *fsm.Tx, tenant, userID, phc string) error {
	return setPassword(tx, identity.Actor{Kind: identity.ActorUser, ID: userID}, tenant, userID, phc)
}

func setPassword(tx *fsm.Tx, by identity.Actor, tenant, userID, phc string) error {
	if _, err := parsePHC(phc); err != nil {
		return fmt.Errorf("set password: %w: %w", identity.ErrInvalid, err)
	}
	if userID == "" {
		return fmt.Errorf("set password of nobody: %w", identity.ErrInvalid)
	}
	return put(tx, event.PasswordSet, by, &password{Tenant: tenant, UserID: userID, PHC: phc, Set: tx.Now()})
}

// ImportPassword sets a user's password to a hash that another system made, in a form that
// package foreign reads; the next sign-in replaces it by one of ours. It reports
// identity.ErrInvalid, field password_hash, for text that is none, or whose costs are out of
// bounds. The caller has made sure that every member of the cluster reads such hashes.
func ImportPassword(tx *fsm.Tx, tenant, userID, encoded string) error {
	if _, err := parsePHC(encoded); err != nil {
		_, err := foreign.Parse(encoded)
		switch {
		case errors.Is(err, foreign.ErrCost):
			return identity.Invalid("password_hash", "Verifying this hash would cost more than is allowed. Let the user set a new password.")
		case err != nil:
			return identity.Invalid("password_hash", "This is not a password hash in a form that can be imported.")
		}
	}
	if userID == "" {
		return fmt.Errorf("import password of nobody: %w", identity.ErrInvalid)
	}
	return put(tx, event.PasswordImported, identity.Actor{}, &password{Tenant: tenant, UserID: userID, PHC: encoded, Set: tx.Now()})
}

// put replaces a user's password; by a zero actor: by the one of the context.
func put(tx *fsm.Tx, what event.Type, by identity.Actor, p *password) error {
	var data map[string]string
	if had, err := passwords.Has(tx, fsm.Scope(p.Tenant), fsm.K(p.UserID)); err != nil {
		return err
	} else if !had {
		data = map[string]string{event.FirstKey: "yes"}
	}
	if err := remember(tx, p.Tenant, p.UserID, 1); err != nil {
		return err
	}
	if err := passwords.Put(tx, p); err != nil {
		return err
	}
	return gone(tx, what, by, p.Tenant, p.UserID, "password changed", data)
}

// RemovePassword takes a user's password away and ends the trust in all devices; a policy that
// remembers passwords remembers this one. It reports fsm.ErrNotFound for a user without one.
// What is left to sign in with is the caller's to look at, in the same transaction, as is
// ending the user's sessions.
func RemovePassword(tx *fsm.Tx, tenant, userID string) error {
	if has, err := passwords.Has(tx, fsm.Scope(tenant), fsm.K(userID)); err != nil {
		return err
	} else if !has {
		return fmt.Errorf("remove password: %w", identity.NotFound("This user has no password."))
	}
	if err := remember(tx, tenant, userID, 0); err != nil {
		return err
	}
	if err := passwords.Delete(tx, fsm.Scope(tenant), fsm.K(userID)); err != nil {
		return err
	}
	return gone(tx, event.PasswordRemoved, identity.Actor{}, tenant, userID, "password removed", nil)
}

// gone is what follows for everybody who knew the password that a user has no more.
func gone(tx *fsm.Tx, what event.Type, by identity.Actor, tenant, userID, why string, data map[string]string) error {
	if _, err := device.RevokeAll(tx, tenant, userID, why); err != nil {
		return err
	}
	return event.Append(tx, event.Event{Tenant: tenant, Type: what, Actor: by, Target: event.Target{Kind: "user", ID: userID}, Data: data})
}

// PasswordSet returns when a user's password was set; a zero time if there is none.
func PasswordSet(tx *fsm.Tx, tenant, userID string) (time.Time, error) {
	p, err := passwords.Get(tx, fsm.Scope(tenant), fsm.K(userID))
	if errors.Is(err, fsm.ErrNotFound) {
		return time.Time{}, nil
	}
	if err != nil {
		return time.Time{}, err
	}
	return p.Set, nil
}

// DeleteAllOf removes a user's password, tokens, second factors and trusted devices,
// without events: the user's deletion is one.
func DeleteAllOf(tx *fsm.Tx, tenant, userID string) error {
	for _, room := range []func(*fsm.Tx, string, string) error{
		totp.DeleteAllOf, recovery.DeleteAllOf, approval.DeleteAllOf, device.DeleteAllOf, certificate.DeleteAllOf,
	} {
		if err := room(tx, tenant, userID); err != nil {
			return err
		}
	}
	if err := passwords.Delete(tx, fsm.Scope(tenant), fsm.K(userID)); err != nil {
		return err
	}
	if err := histories.Delete(tx, fsm.Scope(tenant), fsm.K(userID)); err != nil {
		return err
	}
	return deleteTokens(tx, fsm.K(tenant, userID))
}

// DeleteTenant removes all credentials of a tenant that is being deleted.
func DeleteTenant(tx *fsm.Tx, tenant string) error {
	for _, room := range []func(*fsm.Tx, string) error{
		totp.DeleteTenant, recovery.DeleteTenant, approval.DeleteTenant, device.DeleteTenant, certificate.DeleteTenant,
	} {
		if err := room(tx, tenant); err != nil {
			return err
		}
	}
	for p, err := range passwords.List(tx, fsm.Scope(tenant)) {
		if err != nil {
			return err
		}
		if err := passwords.Delete(tx, fsm.Scope(tenant), fsm.K(p.UserID)); err != nil {
			return err
		}
	}
	for h, err := range histories.List(tx, fsm.Scope(tenant)) {
		if err != nil {
			return err
		}
		if err := histories.Delete(tx, fsm.Scope(tenant), fsm.K(h.UserID)); err != nil {
			return err
		}
	}
	return deleteTokens(tx, fsm.K(tenant))
}

// CheckPassword returns nil if password is the user's, else identity.ErrUnauthenticated.
// For the empty user ID, and for a user without a password, it does the work of a hash of
// ours and fails. It reads this node's state: whoever must see a password set elsewhere a moment
// ago catches up first. identity.ErrLimited and errors of ctx say that nothing was learned.
//
// A hash with other parameters than the pool's is renewed on success.
func CheckPassword(ctx context.Context, db *fsm.DB, pool *Pool, tenant, userID, password string) error {
	stored, err := lookUp(ctx, db, tenant, userID)
	if err != nil {
		return fmt.Errorf("check password: %w", err)
	}
	if stored == "" {
		stored = pool.decoy()
	}
	ok, rehash, err := pool.Verify(ctx, stored, password)
	if err != nil {
		return fmt.Errorf("check password: %w", err)
	}
	if !ok {
		return unmatched(ctx, pool, stored, password)
	}
	if rehash {
		// The password is right whether or not its hash can be renewed now; the next
		// sign-in tries again.
		_ = renew(ctx, db, pool, tenant, userID, stored, password)
	}
	return nil
}

// FailPassword does the work of checking a password of the user and fails whatever it is: for a name that
// nobody has, or whose owner has no password, with a user whom chance chose for that name. Hashes of other
// systems take longer than ours until their owners have signed in; so do as many of the names that nobody has. For
// one of ours it is [CheckPassword] of nobody.
func FailPassword(ctx context.Context, db *fsm.DB, pool *Pool, tenant, userID, password string) error {
	stored, err := lookUp(ctx, db, tenant, userID)
	if err != nil {
		return fmt.Errorf("check password: %w", err)
	}
	if p, err := parsePHC(stored); stored == "" || err == nil && p.Params == pool.params { // as most are
		return CheckPassword(ctx, db, pool, tenant, "", password)
	}
	if _, _, err := pool.Verify(ctx, stored, password); err != nil {
		return fmt.Errorf("check password: %w", err)
	}
	return unmatched(ctx, pool, stored, password)
}

// unmatched is the end of a check that failed. An imported hash that costs next to nothing must not tell that
// somebody is there by how soon it fails; the one that is right is renewed, which takes as long.
func unmatched(ctx context.Context, pool *Pool, stored, password string) error {
	if _, err := parsePHC(stored); err != nil {
		if _, _, err := pool.Verify(ctx, pool.decoy(), password); err != nil {
			return fmt.Errorf("check password: %w", err)
		}
	}
	return identity.Unauthenticated("That name and password do not match.")
}

// lookUp returns the hash of a user's password, "" for none.
func lookUp(ctx context.Context, db *fsm.DB, tenant, userID string) (phc string, err error) {
	err = db.View(ctx, func(tx *fsm.Tx) error {
		p, err := passwords.Get(tx, fsm.Scope(tenant), fsm.K(userID))
		if errors.Is(err, fsm.ErrNotFound) {
			return nil
		}
		if err == nil {
			phc = p.PHC
		}
		return err
	})
	return phc, err
}

// renew replaces a hash by one with today's parameters, unless it was changed meanwhile.
func renew(ctx context.Context, db *fsm.DB, pool *Pool, tenant, userID, old, plain string) error {
	fresh, err := pool.hash(ctx, plain)
	if err != nil {
		return err
	}
	return db.Update(ctx, func(tx *fsm.Tx) error {
		p, err := passwords.Get(tx, fsm.Scope(tenant), fsm.K(userID))
		if err != nil || p.PHC != old {
			return err
		}
		p.PHC = fresh
		return passwords.Put(tx, p)
	})
}
