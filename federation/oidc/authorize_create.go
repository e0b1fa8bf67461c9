package oidc

import (
	"context"

	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/settings"
)

// promptCreate asks that the person makes themselves an account (Initiating User Registration
// via OpenID Connect 1.0). Tenants where nobody can do so do not support it.
const promptCreate = "create"

// registers reports whether people can make themselves an account in a tenant.
func registers(tx *fsm.Tx, tenant string) (bool, error) {
	s, _, err := settings.Get(tx, tenant)
	if err != nil {
		return false, err
	}
	return s.SelfRegistration && s.LocalLogin, nil
}

// parseCreate refuses the prompt where there is nothing that it leads to.
func (p *Provider) parseCreate(ctx context.Context, q *authorizeRequest) error {
	if !q.prompts(promptCreate) {
		return nil
	}
	open := false
	err := p.db.View(ctx, func(tx *fsm.Tx) (err error) {
		open, err = registers(tx, identity.TenantFrom(ctx).ID)
		return err
	})
	if err == nil && !open {
		err = errPrompt
	}
	return err
}

var errPrompt = refuse(codeInvalidRequest, "This prompt is not supported; see prompt_values_supported in the metadata.")
