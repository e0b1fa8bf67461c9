package oidc

import (
	"context"
	"fmt"

	"github.com/quis-idp/quis/federation"
	"github.com/quis-idp/quis/federation/oidc/family"
	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity/session"
)

// impersonated has the tokens of a family say who acts as its user, where an administrator
// does (RFC 8693, section 4.1), and end no later than that session: who checks a token by its
// signature alone would not hear of the end.
func (p *Provider) impersonated(ctx context.Context, ex *exchange, app *federation.Application, f *family.Family) error {
	if f.Impersonator == "" {
		return nil
	}
	err := p.db.View(ctx, func(tx *fsm.Tx) error {
		s, err := session.Get(tx, f.Tenant, f.SessionID)
		if err != nil {
			return err
		}
		ex.lifetime = min(app.TokenExpiry, int64(s.Expires.Sub(tx.Now()).Seconds()))
		ex.actor = &actor{}
		ex.actor.Subject, err = federation.SubjectOf(tx, app, f.Impersonator)
		return err
	})
	if err != nil {
		return fmt.Errorf("tokens of an impersonation: %w", err)
	}
	if ex.lifetime <= 0 {
		return refuse(codeInvalidGrant, "The session is about to end.")
	}
	return nil
}
