package oidc

import (
	"context"
	"errors"

	"github.com/quis-idp/quis/federation"
	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity/session"
)

// isSubject reports whether sub is what the application calls the user.
func (p *Provider) isSubject(ctx context.Context, app *federation.Application, sub, userID string) (same bool, err error) {
	if app.Subject.Type != federation.SubjectPairwise {
		return sub == userID, nil
	}
	err = p.db.View(ctx, func(tx *fsm.Tx) error {
		same, err = federation.IsSubject(tx, app, sub, userID)
		return err
	})
	return same, err
}

// recognise puts the user's ID in the place of the pairwise subject of a hint, if the
// session that the hint names is that user's. A pairwise subject cannot be looked up.
func (p *Provider) recognise(ctx context.Context, app *federation.Application, hint *idToken) error {
	if hint == nil || app.Subject.Type != federation.SubjectPairwise {
		return nil
	}
	err := p.db.Read(ctx, func(tx *fsm.Tx) error {
		s, err := session.Get(tx, app.Tenant, hint.Session)
		if err != nil {
			return err
		}
		same, err := federation.IsSubject(tx, app, hint.Subject, s.UserID)
		if same {
			hint.Subject = s.UserID
		}
		return err
	})
	if errors.Is(err, fsm.ErrNotFound) { // its session is over, so it ends nothing
		return nil
	}
	return err
}
