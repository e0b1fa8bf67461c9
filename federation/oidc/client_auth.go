package oidc

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"

	"github.com/quis-idp/quis/federation"
	"github.com/quis-idp/quis/federation/oidc/caller"
	"github.com/quis-idp/quis/federation/register"
	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/directory"
)

var errClient = refuse(codeInvalidClient, "Client authentication failed.")

// authenticate returns the application that sends r, and spends its assertion if that is
// how it proved itself: one log entry. It reports invalid_client for whoever it is not,
// and errors of the store as they are: an outage is not a wrong secret.
func (p *Provider) authenticate(ctx context.Context, r *http.Request, form url.Values) (*federation.Application, error) {
	who, err := p.identify(ctx, r, form)
	if err != nil {
		return nil, err
	}
	return who.App, p.spend(ctx, who.App.Tenant, who.Assertion)
}

// identify is authenticate for whoever spends the assertion itself, in the entry that it writes anyway.
func (p *Provider) identify(ctx context.Context, r *http.Request, form url.Values) (*caller.Caller, error) {
	who, err := p.callers.Identify(ctx, r, form, identity.TenantFrom(ctx).Issuer+r.URL.Path)
	if err != nil {
		return nil, err
	}
	origin, own := r.Header.Get("Origin"), who.App.AllowedOrigins
	if origin != "" && len(own) > 0 && !slices.Contains(own, origin) {
		return nil, refuse(codeUnauthorizedClient, "Scripts of this origin may not use this application: it is not among its allowed_origins.")
	}
	return who, nil
}

// faulty turns a fault of the caller into the error that says so on the wire.
func faulty(err error) error {
	var f *caller.Fault
	switch {
	case !errors.As(err, &f):
		return err
	case f.Malformed:
		return refuse(codeInvalidRequest, f.Reason)
	case f.Grant:
		return refuse(codeInvalidGrant, f.Reason)
	}
	return refuse(codeInvalidClient, f.Reason)
}

// spend marks an assertion as used, unless that has been done along with something else.
func (p *Provider) spend(ctx context.Context, tenant string, a *caller.Assertion) error {
	if a == nil || a.Spent() {
		return nil
	}
	return p.db.Update(ctx, func(tx *fsm.Tx) error { return a.Spend(tx, tenant) })
}

// application looks an application up by its client_id within the tenant of ctx. Its
// secrets, redirect URIs and being there at all are reasons to say yes, so they are read
// from a state that is fresh: one that becomes so afterwards would not change the row.
// Requests share what it returns; they change nothing of it.
func (p *Provider) application(ctx context.Context, clientID string) (app *federation.Application, err error) {
	if clientID == "" || len(clientID) > 256 && !register.IsDocument(clientID) {
		return nil, fsm.ErrNotFound
	}
	if err := p.fresh(ctx); err != nil {
		return nil, fmt.Errorf("application: %w", err)
	}
	t := identity.TenantFrom(ctx)
	err = p.lookup(ctx, func(tx *fsm.Tx) error {
		app, err = fsm.Once(tx, applicationOf{t.ID, clientID}, func() (*federation.Application, error) {
			return p.present(tx, t.ID, clientID)
		})
		return err
	})
	return app, err
}

type applicationOf struct{ tenant, clientID string }

func (p *Provider) present(tx *fsm.Tx, tenant, clientID string) (*federation.Application, error) {
	if tenant != identity.DefaultTenant { // the front door looked before the state was fresh
		stored, _, err := directory.GetTenant(tx, tenant)
		if err != nil {
			return nil, err
		}
		if stored.Disabled {
			return nil, fsm.ErrNotFound
		}
	}
	if err := p.wanted(tx, tenant, clientID); err != nil {
		return nil, err
	}
	return federation.ByClientID(tx, tenant, clientID)
}
