package ciba

import (
	"fmt"

	"github.com/quis-idp/quis/federation/oidc/family"
	"github.com/quis-idp/quis/federation/poll"
	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity/event"
	"github.com/quis-idp/quis/identity/session"
)

// Approve gives the application what it asked for, in the name of the session's user, who
// must be the one asked: another's request is fsm.ErrNotFound, like one that has expired. A
// second decision is ErrDecided, on whichever node the first was made; whom poll.Admit
// does not let is identity.ErrDenied. One log entry.
func Approve(tx *fsm.Tx, tenant string, id family.ID, s *session.Session) error {
	r, err := pending(tx, tenant, id, s)
	if err != nil {
		return err
	}
	if err := poll.Admit(tx, tenant, r.Application, s); err != nil {
		return err
	}
	r.Index = tx.Index()
	r.SessionID, r.AuthTime, r.AMR, r.ACR = s.ID, s.AuthTime.Unix(), s.AMR, s.ACR
	return r.decide(tx, Approved, event.CIBAApproved, s)
}

// Deny refuses the application. Errors are those of Approve. One log entry.
func Deny(tx *fsm.Tx, tenant string, id family.ID, s *session.Session) error {
	r, err := pending(tx, tenant, id, s)
	if err != nil {
		return err
	}
	return r.decide(tx, Denied, event.CIBADenied, s)
}

// decide writes the decision and, if the client waits for a ping, that it is due one.
func (r *Request) decide(tx *fsm.Tx, to State, what event.Type, s *session.Session) error {
	r.State = to
	if err := requests.Put(tx, r); err != nil {
		return err
	}
	if len(r.Token) > 0 {
		if err := pings.Insert(tx, &ping{Tenant: r.Tenant, ID: r.Family, Due: tx.Now().UnixMilli(), Expires: r.Expires}); err != nil {
			return err
		}
	}
	return r.tell(tx, what, s.Actor())
}

func pending(tx *fsm.Tx, tenant string, id family.ID, s *session.Session) (*Request, error) {
	r, err := Get(tx, tenant, id)
	if err != nil {
		return nil, fmt.Errorf("request: %w", err)
	}
	if s.Tenant != tenant || r.UserID != s.UserID {
		return nil, fmt.Errorf("request of another user: %w", fsm.ErrNotFound)
	}
	if r.State != Pending {
		return nil, ErrDecided
	}
	return r, nil
}
