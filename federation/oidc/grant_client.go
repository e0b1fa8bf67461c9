package oidc

import (
	"context"

	"github.com/ory/fosite"

	"github.com/quis-idp/quis/federation"
)

// clientGrant gives an application a token for itself (RFC 6749, section 4.4). It writes nothing.
type clientGrant struct{ p *Provider }

func (clientGrant) CanSkipClientAuth(context.Context, fosite.AccessRequester) bool { return false }
func (clientGrant) CanHandleTokenEndpointRequest(context.Context, fosite.AccessRequester) bool {
	return true
}

// aboutPeople are scopes that mean nothing where there is no user. They are left
// out rather than refused, since many clients send one list with every grant.
var aboutPeople = []string{
	federation.ScopeOpenID, federation.ScopeProfile, federation.ScopeEmail, federation.ScopeGroups, federation.ScopeRoles, federation.ScopeOffline,
}

// HandleTokenEndpointRequest decides on the scope. No log entry decides anything here:
// the application is as fresh as Provider.application read it.
func (g clientGrant) HandleTokenEndpointRequest(ctx context.Context, req fosite.AccessRequester) error {
	c, ex, err := requested(req, federation.GrantClientCredentials)
	if err != nil {
		return err
	}
	if c.Application.IsPublic {
		return refuse(codeUnauthorizedClient, "A public application cannot act for itself.")
	}
	want, err := allowedScopes(req.GetRequestForm().Get("scope"), c.Application)
	if err != nil {
		return err
	}
	for _, s := range want {
		if !subset([]string{s}, aboutPeople) {
			ex.scope = append(ex.scope, s)
		}
	}
	return g.p.aimOwn(ctx, c.Application, ex, req.GetRequestForm())
}

// PopulateTokenEndpointResponse mints the access token.
func (g clientGrant) PopulateTokenEndpointResponse(ctx context.Context, req fosite.AccessRequester, resp fosite.AccessResponder) error {
	c, ex, err := requested(req, federation.GrantClientCredentials)
	if err != nil {
		return err
	}
	ex.subject = c.ClientID
	access, err := g.p.mintAccess(ctx, ex, c.Application, nil)
	if err != nil {
		return err
	}
	answer(resp, c, tokens{access: access, scope: ex.scope})
	return nil
}
