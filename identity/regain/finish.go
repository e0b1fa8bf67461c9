package regain

import (
	"time"

	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/credential"
	"github.com/quis-idp/quis/identity/credential/approval"
	"github.com/quis-idp/quis/identity/credential/certificate"
	"github.com/quis-idp/quis/identity/credential/device"
	"github.com/quis-idp/quis/identity/credential/passkey"
	"github.com/quis-idp/quis/identity/credential/recovery"
	"github.com/quis-idp/quis/identity/credential/totp"
	"github.com/quis-idp/quis/identity/event"
	"github.com/quis-idp/quis/identity/session"
	"github.com/quis-idp/quis/identity/settings"
)

// Finish spends the recovery of a user that has the ID id: all second factors of the user
// go, trusted devices and sessions with them, and the account rests for as long as the
// tenant says. The caller lets the person in within the same transaction. It reports
// fsm.ErrNotFound if it does not wait any more, and identity.ErrDenied before its time.
func Finish(tx *fsm.Tx, tenant, userID, id string) error {
	r, err := Waiting(tx, tenant, userID)
	if err != nil {
		return err
	}
	if r == nil || r.ID != id {
		return identity.NotFound("This recovery is over: it was finished, or stopped.")
	}
	if r.State(tx.Now()) != Open {
		return identity.Denied("It is too early for this.")
	}
	s, _, err := settings.Get(tx, tenant)
	if err != nil {
		return err
	}
	if err := r.leave(tx, tx.Now().Add(time.Duration(s.Recovery.CoolingOff)*time.Hour), r.Shut); err != nil {
		return err
	}
	if err := strip(tx, tenant, userID); err != nil {
		return err
	}
	return r.tell(tx, event.RecoveryFinished, s, nil)
}

// strip takes everything from a user that stood for a second factor, or was signed in.
func strip(tx *fsm.Tx, tenant, userID string) error {
	if err := Strip(tx, tenant, userID, time.Time{}); err != nil {
		return err
	}
	if err := approval.RemoveAll(tx, tenant, userID, recovered); err != nil {
		return err
	}
	if _, err := device.RevokeAll(tx, tenant, userID, recovered); err != nil {
		return err
	}
	if err := credential.RevokeTokens(tx, tenant, userID); err != nil {
		return err
	}
	_, err := session.EndAllOf(tx, tenant, userID)
	return err
}

const recovered = "account recovered"

// Strip takes the authenticator apps, passkeys, recovery codes and certificates from a user that they
// were given at or after a time.
func Strip(tx *fsm.Tx, tenant, userID string, since time.Time) error {
	apps, err := totp.List(tx, tenant, userID)
	if err != nil {
		return err
	}
	certificates, err := certificate.Of(tx, tenant, userID)
	if err != nil {
		return err
	}
	codes, err := recovery.Get(tx, tenant, userID)
	if err != nil {
		return err
	}
	var remove []func() error
	take := func(made time.Time, remover func() error) {
		if !made.Before(since) {
			remove = append(remove, remover)
		}
	}
	for _, app := range apps {
		take(app.Created, func() error { return totp.Remove(tx, tenant, userID, app.ID) })
	}
	for k, err := range passkey.List(tx, tenant, userID) {
		if err != nil {
			return err
		}
		take(k.Created, func() error { return passkey.Delete(tx, tenant, userID, k.ID) })
	}
	for _, c := range certificates {
		take(c.Created, func() error { return certificate.Delete(tx, tenant, userID, c.ID) })
	}
	if codes != nil {
		take(codes.Created, func() error { return recovery.Remove(tx, tenant, userID) })
	}
	for _, remover := range remove {
		if err := remover(); err != nil {
			return err
		}
	}
	return nil
}

// Held returns nil unless the account rests after a recovery, in which time it does not
// give away more than a session: identity.ErrDenied, with a sentence for the person.
func Held(tx *fsm.Tx, tenant, userID string) error {
	r, err := row(tx, tenant, userID)
	if err != nil || r == nil || !tx.Now().Before(r.Rests) {
		return err
	}
	return identity.Denied("Your account was recovered not long ago. For your safety this has to wait a while.")
}

// MayGrant returns nil if what is given in a session may outlive it. It reports
// identity.ErrDenied while somebody acts as the person, and while the account rests (see Held).
func MayGrant(tx *fsm.Tx, tenant string, s *session.Session) error {
	if s.Impersonation != nil {
		return session.ErrImpersonated
	}
	return Held(tx, tenant, s.UserID)
}
