package oidc

import (
	"context"
	"errors"
	"strings"

	"github.com/quis-idp/quis/federation"
	"github.com/quis-idp/quis/federation/register"
	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity"
)

// wanted refuses, as one that is not there, an application that is known by its document
// where the tenant does not want such.
func (p *Provider) wanted(tx *fsm.Tx, tenant, clientID string) error {
	if !register.IsDocument(clientID) {
		return nil
	}
	ok, err := false, error(nil)
	if p.documents != nil {
		ok, err = register.Wanted(tx, tenant, clientID)
	}
	if err == nil && !ok {
		err = fsm.ErrNotFound
	}
	return err
}

// claimant is application for the front channel, where a client_id that is a URL counts
// as its document says now. In the back channel it counts as it was kept when the person
// was sent back: what is presented there was given to it then.
func (p *Provider) claimant(ctx context.Context, clientID string) (*federation.Application, error) {
	app, err := p.application(ctx, clientID)
	if !register.IsDocument(clientID) || p.documents == nil || err != nil && !errors.Is(err, fsm.ErrNotFound) {
		return app, err
	}
	app, _, err = p.documents.Get(ctx, identity.TenantFrom(ctx).ID, clientID)
	return app, documented(err)
}

// partner is application for the back channel. One that is not kept yet may push its
// first request: then its document counts.
func (p *Provider) partner(ctx context.Context, clientID string) (*federation.Application, error) {
	app, err := p.application(ctx, clientID)
	if !errors.Is(err, fsm.ErrNotFound) || !register.IsDocument(clientID) || p.documents == nil {
		return app, err
	}
	app, _, err = p.documents.Get(ctx, identity.TenantFrom(ctx).ID, clientID)
	return app, documented(err)
}

// documented tells the developer of an application why its document cannot be used.
func documented(err error) error {
	var why *identity.Error
	if !errors.Is(err, identity.ErrInvalid) || !errors.As(err, &why) {
		return err
	}
	return refuse(codeInvalidRequest, "The metadata document of this client_id cannot be used: "+strings.Map(func(r rune) rune {
		if r < 0x20 || r > 0x7e || r == '"' || r == '\\' {
			return -1
		}
		return r
	}, why.Detail)+".")
}

// keep stores an application that is known by its document, now that a person who is
// signed in is about to be asked or let in: one entry, the first time.
func (p *Provider) keep(ctx context.Context, app *federation.Application) error {
	if app.Registration.Kind != federation.RegisteredByDocument || p.documents == nil {
		return nil
	}
	err := p.documents.Keep(ctx, app)
	if errors.Is(err, identity.ErrDenied) {
		return refuse(codeUnauthorizedClient, "As many applications as may be have described themselves here already.")
	}
	return err
}
