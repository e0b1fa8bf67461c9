package regain

import (
	"time"

	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/credential"
	"github.com/quis-idp/quis/identity/credential/device"
	"github.com/quis-idp/quis/identity/credential/factor"
	"github.com/quis-idp/quis/identity/event"
	"github.com/quis-idp/quis/identity/session"
	"github.com/quis-idp/quis/identity/settings"
)

// Finish spends the recovery of a user that has the ID id: all second factors of the user
// go, trusted devices and sessions with them, and the account rests for as long as the
// tenant says, unless nobody was in it before. The caller lets the person in within the same transaction. It reports
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
	if err := r.stillFirst(tx); err != nil {
		return err
	}
	rests := tx.Now().Add(time.Duration(s.Recovery.CoolingOff) * time.Hour)
	if r.First {
		rests = r.Rests
	}
	if err := r.leave(tx, rests, r.Shut); err != nil {
		return err
	}
	if err := strip(tx, tenant, userID); err != nil {
		return err
	}
	return r.tell(tx, event.RecoveryFinished, s, nil)
}

const recovered = "account recovered"

// strip takes everything from a user that stood for a second factor, or was signed in.
func strip(tx *fsm.Tx, tenant, userID string) error {
	if err := factor.RemoveAll(tx, tenant, userID, recovered); err != nil {
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
