package oidc

import (
	"context"
	"errors"
	"slices"

	"github.com/ory/fosite"

	"github.com/quis-idp/quis/federation"
	"github.com/quis-idp/quis/federation/oidc/caller"
	"github.com/quis-idp/quis/federation/oidc/family"
	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/directory"
)

// bearerGrant gives an application a token for a user whom an issuer that it trusts has
// vouched for (RFC 7523, section 2.1). The person is not here: there is no session, no ID
// token and no refresh token, and the next token needs the next assertion.
type bearerGrant struct{ p *Provider }

func (bearerGrant) CanSkipClientAuth(context.Context, fosite.AccessRequester) bool { return false }
func (bearerGrant) CanHandleTokenEndpointRequest(context.Context, fosite.AccessRequester) bool {
	return true
}

var errNobody = refuse(codeInvalidGrant, "The assertion is about nobody who is known here, or who may use this application.")

// HandleTokenEndpointRequest verifies the assertion and finds whom it is about.
func (g bearerGrant) HandleTokenEndpointRequest(ctx context.Context, req fosite.AccessRequester) error {
	c, ex, err := requested(req, federation.GrantJWTBearer)
	if err != nil {
		return err
	}
	if c.Application.IsPublic {
		return refuse(codeUnauthorizedClient, "A public application cannot trade assertions.")
	}
	form := req.GetRequestForm()
	if form.Get("assertion") == "" {
		return refuse(codeInvalidRequest, "Parameter assertion is missing.")
	}
	if ex.wish, err = readWish(form); err != nil {
		return err
	}
	v, err := g.p.callers.Vouched(ctx, c.Application, form.Get("assertion"))
	if err != nil {
		return err
	}
	ex.vouched = v.Assertion
	if ex.scope, err = vouchedScope(c.Application, v.By, form.Get("scope")); err != nil {
		return err
	}
	ex.subject, err = g.p.vouchedUser(ctx, c.Tenant, v)
	return err
}

// vouchedScope is what the issuer may give and the application may ask for: all of it, or
// the part that is asked for. Without a refresh token there is no offline access.
func vouchedScope(app *federation.Application, by *federation.TrustedIssuer, text string) ([]string, error) {
	may := intersect(by.Scopes, app.AllowedScopes)
	may = slices.DeleteFunc(may, func(s string) bool { return s == federation.ScopeOffline })
	want, ok := parseScope(text)
	want = slices.DeleteFunc(want, func(s string) bool { return s == federation.ScopeOffline })
	switch {
	case !ok || !subset(want, may):
		return nil, refuse(codeInvalidScope, "The scope is malformed, or not allowed for this application and issuer.")
	case len(want) == 0:
		return may, nil
	}
	return want, nil
}

// vouchedUser finds the user by what the issuer calls him. An e-mail address counts only if
// it was verified: else whoever writes that of somebody else into his profile would be him.
func (p *Provider) vouchedUser(ctx context.Context, tenant string, v *caller.Vouched) (id string, err error) {
	err = p.lookup(ctx, func(tx *fsm.Tx) error {
		var u *directory.User
		switch v.By.Subject {
		case "username":
			u, err = directory.UserByUsername(tx, tenant, v.Subject)
		case "email":
			if u, err = directory.UserByEmail(tx, tenant, v.Subject); err == nil && !u.EmailVerified {
				return errNobody
			}
		default:
			u, _, err = directory.GetUser(tx, tenant, v.Subject)
		}
		if err != nil {
			return err
		}
		id = u.ID
		return nil
	})
	if errors.Is(err, fsm.ErrNotFound) || errors.Is(err, identity.ErrInvalid) {
		return "", errNobody
	}
	return id, err
}

// PopulateTokenEndpointResponse makes the family and spends the assertion, which is the one
// log entry. Whom the token is for is what the request says, never the aud of the assertion.
func (g bearerGrant) PopulateTokenEndpointResponse(ctx context.Context, req fosite.AccessRequester, resp fosite.AccessResponder) error {
	c, ex, err := requested(req, federation.GrantJWTBearer)
	if err != nil {
		return err
	}
	start := ex.start(c.Application, family.Start{
		Grant: family.Grant{
			Family: family.NewID(), Scope: ex.scope, UserID: ex.subject, Index: g.p.db.Position().Index,
			Resources: ex.wish.resources, Detached: true,
		},
		By: federation.GrantJWTBearer, What: "assertion", Arrived: ex.arrived, Once: true,
		Check: func(*fsm.Tx) error { return nil },
	})
	start.Check = ex.check(c.Application, start)
	h, err := g.p.families.Begin(ctx, c.Application, start)
	switch {
	case errors.Is(err, family.ErrDead), errors.Is(err, family.ErrNotAllowed), errors.Is(err, fsm.ErrNotFound):
		return errNobody
	case err != nil:
		return err
	}
	ex.granted(h.Family)
	ex.narrow()
	t, err := g.p.mintFamily(ctx, ex, c.Application, h, nil)
	if err != nil {
		return err
	}
	answer(resp, c, t)
	return nil
}
