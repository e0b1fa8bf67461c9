package device

import (
	"fmt"

	"github.com/quis-idp/quis/federation"
	"github.com/quis-idp/quis/federation/oidc/family"
	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/event"
	"github.com/quis-idp/quis/identity/regain"
	"github.com/quis-idp/quis/identity/session"
)

// Approve gives the device what it asked for, in the name of the session's user. A second
// decision is ErrDecided, on whichever node the first was made; an authorization that has
// expired is fsm.ErrNotFound; a user who may not use the application is identity.ErrDenied, and so is
// whoever acts as somebody else.
// One log entry.
func Approve(tx *fsm.Tx, tenant string, id family.ID, s *session.Session) error {
	if err := regain.MayGrant(tx, tenant, s); err != nil {
		return err
	}
	a, err := pending(tx, tenant, id)
	if err != nil {
		return err
	}
	app, _, err := federation.Get(tx, tenant, a.Application)
	if err != nil {
		return err
	}
	ok, err := federation.MayUse(tx, app, s.UserID)
	if err != nil {
		return err
	}
	if !ok || s.Tenant != tenant {
		return identity.Denied("You may not use this application.")
	}
	a.State, a.Index = Approved, tx.Index()
	a.UserID, a.SessionID, a.AuthTime, a.AMR, a.ACR = s.UserID, s.ID, s.AuthTime.Unix(), s.AMR, s.ACR
	if err := authorizations.Put(tx, a); err != nil {
		return err
	}
	return a.tell(tx, event.DeviceApproved, s.Actor())
}

// Deny refuses the device. Errors are those of Approve. One log entry.
func Deny(tx *fsm.Tx, tenant string, id family.ID, s *session.Session) error {
	a, err := pending(tx, tenant, id)
	if err != nil {
		return err
	}
	a.State = Denied
	if err := authorizations.Put(tx, a); err != nil {
		return err
	}
	return a.tell(tx, event.DeviceDenied, s.Actor())
}

func pending(tx *fsm.Tx, tenant string, id family.ID) (*Authorization, error) {
	a, err := Get(tx, tenant, id)
	if err != nil {
		return nil, fmt.Errorf("device authorization: %w", err)
	}
	if a.State != Pending {
		return nil, ErrDecided
	}
	return a, nil
}
