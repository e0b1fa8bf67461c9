package device

import (
	"fmt"

	"github.com/quis-idp/quis/federation/oidc/family"
	"github.com/quis-idp/quis/federation/poll"
	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity/event"
	"github.com/quis-idp/quis/identity/session"
)

// Approve gives the device what it asked for, in the name of the session's user. A second
// decision is ErrDecided, on whichever node the first was made; an authorization that has
// expired is fsm.ErrNotFound; whom poll.Admit does not let is identity.ErrDenied.
// One log entry.
func Approve(tx *fsm.Tx, tenant string, id family.ID, s *session.Session) error {
	a, err := pending(tx, tenant, id)
	if err != nil {
		return err
	}
	if err := poll.Admit(tx, tenant, a.Application, s); err != nil {
		return err
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
