package oidc

import (
	"context"

	"github.com/quis-idp/quis/federation"
	"github.com/quis-idp/quis/fsm"
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
