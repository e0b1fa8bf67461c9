package oidc

import (
	"context"
	"errors"
	"net/http"

	"github.com/quis-idp/quis/federation"
	"github.com/quis-idp/quis/federation/oidc/family"
	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/keys/seal"
)

// revocation is the revocation endpoint (RFC 7009). What it answers 200 is dead on
// every node; what could not be stored is 503, never a false success. Revoking
// either token ends the family, and so all of its tokens: one log entry, then none.
func (p *Provider) revocation(w http.ResponseWriter, r *http.Request) {
	if err := p.revokeToken(w, r); err != nil {
		p.writeError(w, r, err)
		return
	}
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(http.StatusOK)
}

func (p *Provider) revokeToken(w http.ResponseWriter, r *http.Request) error {
	ctx := r.Context()
	form, err := readForm(w, r)
	if err != nil {
		return err
	}
	app, err := p.authenticate(ctx, r, form)
	if err != nil {
		return err
	}
	if form.Get("token") == "" {
		return refuse(codeInvalidRequest, "Parameter token is missing.")
	}
	id, err := p.familyNamed(ctx, app, form.Get("token"))
	if err != nil || id == "" {
		return err
	}
	ctx = identity.WithActor(ctx, identity.Actor{Kind: identity.ActorApplication, ID: app.ID})
	err = p.db.Update(ctx, func(tx *fsm.Tx) error {
		named, err := family.ParseID(id)
		if err != nil {
			return fsm.ErrNotFound
		}
		f, err := family.Get(tx, app.Tenant, named)
		if err != nil {
			return err
		}
		if f.Application != app.ID { // had by token exchange: what it was made of is another's
			return refuse(codeUnsupportedToken, "A token that was had in exchange dies with the token that it was exchanged for, and not alone.")
		}
		return family.Revoke(tx, f, "revoked by the application")
	})
	if errors.Is(err, fsm.ErrNotFound) {
		return nil
	}
	return err
}

// familyNamed returns the family of a refresh or access token that was issued to
// app; "" if it is no such token, which is no error (RFC 7009, section 2.2).
func (p *Provider) familyNamed(ctx context.Context, app *federation.Application, token string) (string, error) {
	t, err := family.ParseToken(p.ring, identity.TenantFrom(ctx).ID, app.ClientID, token)
	if err == nil {
		return t.Family.String(), nil
	}
	if !errors.Is(err, seal.ErrBox) {
		return "", err
	}
	c, err := p.verifyIssued(ctx, token)
	if errors.Is(err, errBadToken) || (err == nil && c.ClientID != app.ClientID) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	if c.Family == "" { // nothing is stored of it, so nothing can be taken back
		return "", refuse(codeUnsupportedToken, "A token that an application has for itself ends by itself, or with the application.")
	}
	return c.Family, nil
}
