package session

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/directory"
	"github.com/quis-idp/quis/identity/event"
	"github.com/quis-idp/quis/identity/settings"
)

// MaxImpersonation is how long an administrator can act as somebody else at a time.
const MaxImpersonation = time.Hour

// ErrImpersonated refuses whoever acts as somebody else what only the person may do: to change how they
// sign in, and to let anybody in who would stay.
var ErrImpersonated error = identity.Denied("While you act as somebody else, you can only look. End that first.")

// An Impersonation says of a session that not its user acts in it, but an administrator.
type Impersonation struct {
	UserID string `cbor:"1,keyasint,omitempty"` // the administrator
	Tenant string `cbor:"2,keyasint,omitempty"` // theirs
	Reason string `cbor:"3,keyasint,omitempty"` // that they gave
	Ended  int64  `cbor:"4,keyasint,omitempty"` // how often all that they had begun was ended before
}

// A began is an impersonation of which the end is still to be told. Its session's row goes
// by itself when its time is over; this one stays until then.
type began struct {
	Tenant    string        `cbor:"1,keyasint,omitempty"`
	SessionID string        `cbor:"2,keyasint,omitempty"`
	UserID    string        `cbor:"3,keyasint,omitempty"`
	By        Impersonation `cbor:"4,keyasint,omitempty"`
}

var impersonations = fsm.NewTable(72, "impersonations", fsm.Spec[began]{
	Scope:     func(b *began) fsm.Scope { return fsm.Scope(b.Tenant) },
	Key:       func(b *began) fsm.Key { return fsm.K(b.SessionID) },
	Transient: true,
})

// endings count how often all was ended that an administrator has begun: what was offered or begun before
// does not stand any more, however much that is, and it costs one row. A count, because clocks differ.
var endings = fsm.NewCounter(77, "impersonations_ended")

// endActing ends what a user has begun or may yet begin, with a ticket that they have, as an administrator.
func endActing(tx *fsm.Tx, tenant, userID string) error {
	u, _, err := directory.GetUser(tx, tenant, userID)
	if errors.Is(err, fsm.ErrNotFound) || err == nil && !u.Admin { // who may not begin any
		return nil
	}
	if err != nil {
		return err
	}
	return endings.Add(tx, fsm.Scope(tenant), fsm.K(userID), 1, time.Time{})
}

// ActingAs is an impersonation that an administrator of tenant begins now, or offers to.
func ActingAs(tx *fsm.Tx, tenant, userID, reason string) (Impersonation, error) {
	n, err := endings.Get(tx, fsm.Scope(tenant), fsm.K(userID))
	return Impersonation{UserID: userID, Tenant: tenant, Reason: reason, Ended: n}, err
}

// MayImpersonate reports identity.ErrDenied, with why, unless by may act as a user of tenant
// at this moment. It is asked before an impersonation, and again each time its session is looked
// at: with the administrator's rights, and with the tenant's leave, it ends.
func MayImpersonate(tx *fsm.Tx, tenant, userID string, by Impersonation) error {
	a, _, err := settings.Get(tx, tenant)
	if err != nil {
		return err
	}
	if !a.AllowImpersonation {
		return identity.Denied("Nobody may act as somebody else in this tenant: allow_impersonation is off in its settings.")
	}
	ends, err := endings.Get(tx, fsm.Scope(by.Tenant), fsm.K(by.UserID))
	if err != nil {
		return err
	}
	if by.Ended < ends {
		return identity.Denied("You have been signed out everywhere since you asked for this. Ask for it again.")
	}
	actor, err := standing(tx, by.Tenant, by.UserID)
	if err != nil {
		return err
	}
	if actor == nil || !actor.Admin {
		return identity.Denied("Only an administrator may act as somebody else.")
	}
	u, err := standing(tx, tenant, userID)
	switch {
	case err != nil:
		return err
	case u == nil:
		return identity.Denied("Nobody may act as a user who is disabled.")
	case u.ID == actor.ID:
		return identity.Denied("This is you already.")
	case rights(u) > rights(actor):
		return identity.Denied("This user may do more than you.")
	case actor.Tenant != tenant && actor.Tenant != identity.DefaultTenant:
		return identity.Denied("Only admins of the default tenant may act on other tenants.")
	}
	return nil
}

// standing returns a user who is there and enabled, and whose tenant is; else nil.
func standing(tx *fsm.Tx, tenant, id string) (*directory.User, error) {
	t, _, err := directory.GetTenant(tx, tenant)
	if errors.Is(err, fsm.ErrNotFound) || err == nil && t.Disabled {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	u, _, err := directory.GetUser(tx, tenant, id)
	if errors.Is(err, fsm.ErrNotFound) || err == nil && u.Disabled {
		return nil, nil
	}
	return u, err
}

// rights puts users in order of what they may do to others.
func rights(u *directory.User) int {
	switch {
	case !u.Admin:
		return 0
	case u.Tenant != identity.DefaultTenant:
		return 1
	}
	return 2
}

// Impersonate starts a session of a user in which by acts, for as long as life says, and never
// longer than MaxImpersonation or the tenant's own lifetimes. Nothing was proved of the user,
// so it has no factors. It reports identity.ErrDenied as MayImpersonate does.
func (st *Store) Impersonate(tx *fsm.Tx, tenant, userID string, by Impersonation, life time.Duration) (*Started, error) {
	if err := MayImpersonate(tx, tenant, userID, by); err != nil {
		return nil, err
	}
	s := Session{
		ID: identity.NewID(identity.PrefixSession), Tenant: tenant, UserID: userID, Created: tx.Now(),
		Expires: tx.Now().Add(min(life, MaxImpersonation)), Impersonation: &by,
	}
	if err := impersonations.Insert(tx, &began{Tenant: tenant, SessionID: s.ID, UserID: userID, By: by}); err != nil {
		return nil, err
	}
	return st.write(tx, s, event.ImpersonationStarted)
}

// ended tells that an impersonation is over, once.
func ended(tx *fsm.Tx, tenant, sessionID, why string) error {
	b, err := impersonations.Get(tx, fsm.Scope(tenant), fsm.K(sessionID))
	if errors.Is(err, fsm.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	if err := impersonations.Delete(tx, fsm.Scope(tenant), fsm.K(sessionID)); err != nil {
		return err
	}
	return event.Append(tx, event.Event{
		Tenant: tenant, Type: event.ImpersonationEnded, Target: event.Target{Kind: "session", ID: sessionID},
		Data: map[string]string{"user_id": b.UserID, "impersonator": b.By.UserID, "reason": b.By.Reason, "why": why},
	})
}

// sweep ends what is left of impersonations that do not stand any more, and tells so. Every
// node does it; of those that do it at once one finds something to tell.
func (st *Store) sweep(ctx context.Context) error {
	var over []began
	err := st.cfg.DB.View(ctx, func(tx *fsm.Tx) error {
		over = nil
		for b, err := range impersonations.ListAll(tx) {
			if err != nil {
				return err
			}
			if _, err := st.Live(tx, b.Tenant, b.SessionID); errors.Is(err, fsm.ErrNotFound) {
				over = append(over, *b)
			} else if err != nil {
				return err
			}
		}
		return nil
	})
	for i := 0; i < len(over) && err == nil; i++ {
		err = st.cfg.DB.Update(ctx, func(tx *fsm.Tx) error { return st.close(tx, &over[i]) })
	}
	if err != nil {
		return fmt.Errorf("end impersonations: %w", err)
	}
	return nil
}

func (st *Store) close(tx *fsm.Tx, b *began) error {
	_, err := st.Live(tx, b.Tenant, b.SessionID)
	if !errors.Is(err, fsm.ErrNotFound) {
		return err
	}
	s, err := find(tx, b.Tenant, b.SessionID)
	if err != nil {
		return err
	}
	why := "expired"
	if s != nil {
		l, err := lifetimeOf(tx, b.Tenant)
		if err != nil {
			return err
		}
		if inTime, err := st.inTime(tx, s, l); err != nil {
			return err
		} else if inTime {
			why = "withdrawn"
		}
	}
	if err := ended(tx, b.Tenant, b.SessionID, why); err != nil {
		return err
	}
	return End(tx, b.Tenant, b.SessionID)
}
