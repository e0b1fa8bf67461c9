package consent

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/quis-idp/quis/federation"
	"github.com/quis-idp/quis/federation/resource"
	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/session"
	"github.com/quis-idp/quis/keys/seal"
)

// Allow remembers that the person allows what the question asks for, of the optional
// scopes those in chosen: one log entry. It returns where to go on. The same answer sent
// again, as by a second click, writes nothing and leads to the same place; any other to a
// question that was answered is ErrDead. Whoever acts as somebody else is identity.ErrDenied.
func (k *Desk) Allow(ctx context.Context, q *Question, chosen []string) (string, error) {
	ctx = identity.WithActor(ctx, identity.Actor{Kind: identity.ActorUser, ID: q.UserID, SessionID: q.SessionID})
	var t Ticket
	err := k.db.Update(ctx, func(tx *fsm.Tx) (err error) {
		t.Scopes, err = allow(tx, q, chosen)
		tx.OnCommit(func(index uint64) { t.Index = index })
		return err
	})
	if errors.Is(err, fsm.ErrNotFound) { // session, user or application
		return "", dead("the application, or your session, is no more")
	}
	if err != nil {
		return "", fmt.Errorf("allow: %w", err)
	}
	return k.back(q, t)
}

// Deny leads back to where the application is told. It writes nothing: whoever says no
// may be asked again.
func (k *Desk) Deny(q *Question) (string, error) { return k.back(q, Ticket{Denied: true}) }

// allow is the transaction. What the question hangs on is read again, so that what ends
// meanwhile is a conflict or seen here.
func allow(tx *fsm.Tx, q *Question, chosen []string) ([]string, error) {
	if err := seal.Check(tx, q.epoch); errors.Is(err, seal.ErrBox) {
		return nil, dead("it was asked before a backup was restored")
	} else if err != nil {
		return nil, err
	}
	if !tx.Now().Before(q.Until) {
		return nil, dead("it has expired")
	}
	if s, err := session.Get(tx, q.Tenant, q.SessionID); err != nil {
		return nil, err
	} else if s.UserID != q.UserID {
		return nil, fsm.ErrNotFound
	} else if s.Impersonation != nil {
		return nil, session.ErrImpersonated
	}
	app, _, err := federation.Get(tx, q.Tenant, q.Application)
	if err != nil {
		return nil, err
	}
	if app.Disabled {
		return nil, fsm.ErrNotFound
	}
	allowed, declined, err := choose(tx, q, chosen)
	if err != nil {
		return nil, err
	}
	old, rev, err := stored(tx, q.Tenant, q.UserID, q.Application)
	if err != nil {
		return nil, err
	}
	if rev != q.Revision {
		if old != nil && old.Question == q.ID && old.Revoked.IsZero() && len(without(allowed, old.Scopes)) == 0 {
			return allowed, nil
		}
		return nil, dead("it was answered already")
	}
	void, err := replaced(tx, rev)
	if err != nil {
		return nil, err
	}
	if void {
		old = nil
	}
	now := Consent{
		Tenant: q.Tenant, UserID: q.UserID, Application: q.Application, Question: q.ID,
		Scopes: allowed, Declined: declined, Resources: q.Resources, Claims: q.Claims,
	}
	if now.DetailTypes, now.Details, err = details(tx, app, q); err != nil {
		return nil, err
	}
	return allowed, remember(tx, old, rev, now)
}

// choose splits the scopes of the question by what was ticked. What is not optional is
// allowed by allowing at all; what was not asked for is refused, whatever the form says.
func choose(tx *fsm.Tx, q *Question, chosen []string) (allowed, declined []string, err error) {
	if extra := without(chosen, q.Scopes); len(extra) > 0 {
		return nil, nil, identity.Invalid("scope", "holds something that was not asked for")
	}
	for _, name := range q.Scopes {
		s, err := resource.Describe(tx, q.Tenant, name)
		if err != nil {
			return nil, nil, err
		}
		free, err := freeScope(tx, q.Tenant, name)
		if err != nil {
			return nil, nil, err
		}
		if s.Optional && !free && !slices.Contains(chosen, name) {
			declined = append(declined, name)
			continue
		}
		allowed = append(allowed, name)
	}
	return allowed, declined, nil
}

// details says of which types the question's details are, and which of them are not asked
// about again.
func details(tx *fsm.Tx, app *federation.Application, q *Question) (types, digests []string, err error) {
	all, err := resource.ReadDetails(string(q.Details))
	if err != nil {
		return nil, nil, err
	}
	for _, d := range all {
		w, err := resource.Words(tx, app, d)
		if err != nil {
			return nil, nil, err
		}
		if !slices.Contains(types, d.Type) {
			types = append(types, d.Type)
		}
		if w.Remembered {
			digests = append(digests, digest(d))
		}
	}
	return types, digests, nil
}
