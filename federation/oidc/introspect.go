package oidc

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/quis-idp/quis/federation"
	"github.com/quis-idp/quis/federation/oidc/family"
	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/keys/seal"
)

// introspected is the answer of RFC 7662, section 2.2.
type introspected struct {
	Active    bool     `json:"active"`
	Scope     string   `json:"scope,omitempty"`
	ClientID  string   `json:"client_id,omitempty"`
	TokenType string   `json:"token_type,omitempty"`
	Expires   int64    `json:"exp,omitempty"`
	Issued    int64    `json:"iat,omitempty"`
	Subject   string   `json:"sub,omitempty"`
	Audience  audience `json:"aud,omitempty"`
	Issuer    string   `json:"iss,omitempty"`
	ID        string   `json:"jti,omitempty"`
	AuthTime  int64    `json:"auth_time,omitempty"`
	ACR       string   `json:"acr,omitempty"`

	Details json.RawMessage      `json:"authorization_details,omitempty"` // RFC 9396, section 9.2
	Confirm *family.Confirmation `json:"cnf,omitempty"`                   // RFC 8705, section 3.2; RFC 9449, section 6.2
	Actor   *actor               `json:"act,omitempty"`                   // RFC 8693, section 4.1
}

// introspection is the introspection endpoint. Only a confidential application may
// ask, and only about its own tokens and those that are for it, if it is a resource
// server: of any other it learns no more than that it is not active.
func (p *Provider) introspection(w http.ResponseWriter, r *http.Request) {
	app, answer, err := p.introspect(w, r)
	if err == nil {
		err = p.writeIntrospection(w, r, app, answer)
	}
	if err != nil {
		p.writeError(w, r, err)
	}
}

func (p *Provider) introspect(w http.ResponseWriter, r *http.Request) (*federation.Application, *introspected, error) {
	ctx := r.Context()
	form, err := readForm(w, r)
	if err != nil {
		return nil, nil, err
	}
	app, err := p.authenticate(ctx, r, form)
	if err != nil {
		return nil, nil, err
	}
	if app.IsPublic {
		return nil, nil, errClient
	}
	token := form.Get("token")
	if token == "" {
		return nil, nil, refuse(codeInvalidRequest, "Parameter token is missing.")
	}
	answer, err := p.introspectRefresh(ctx, app, token)
	if err == nil && answer == nil {
		answer, err = p.introspectAccess(ctx, app, token)
	}
	if errors.Is(err, errBadToken) || errors.Is(err, errBadRefresh) {
		return app, &introspected{}, nil
	}
	return app, answer, err
}

// introspectRefresh returns nil if token is no refresh token of this application.
func (p *Provider) introspectRefresh(ctx context.Context, app *federation.Application, token string) (*introspected, error) {
	t, err := family.ParseToken(p.ring, app.Tenant, app.ClientID, token)
	if errors.Is(err, seal.ErrBox) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if err := p.reach(ctx, t.Index); err != nil {
		return nil, err
	}
	answer := &introspected{Active: true, Issuer: identity.TenantFrom(ctx).Issuer}
	err = p.familyOf(ctx, app, t.Family.String(), func(tx *fsm.Tx, f *family.Family, app *federation.Application) (err error) {
		if !t.Of(f) || t.Gen != f.Gen {
			return family.ErrDead
		}
		answer.Scope, answer.ClientID = strings.Join(f.Scope, " "), f.ClientID
		answer.Expires, answer.Issued = f.IdleEnd/1000, f.Rotated/1000
		answer.AuthTime, answer.ACR, answer.Details = f.AuthTime, f.ACR, f.Details
		if answer.Subject, err = federation.SubjectOf(tx, app, f.UserID); err != nil || f.Impersonator == "" {
			return err
		}
		answer.Actor = &actor{}
		answer.Actor.Subject, err = federation.SubjectOf(tx, app, f.Impersonator)
		return err
	})
	return answer, err
}

func (p *Provider) introspectAccess(ctx context.Context, app *federation.Application, token string) (*introspected, error) {
	c, err := p.verifyIssued(ctx, token)
	if err != nil {
		return nil, err
	}
	if may, err := p.mayIntrospect(ctx, app, c); err != nil || !may {
		return nil, errors.Join(err, errBadToken)
	}
	if c.Family != "" {
		err = p.familyOf(ctx, app, c.Family, func(tx *fsm.Tx, f *family.Family, _ *federation.Application) error {
			return enabled(tx, f, c.ClientID)
		})
	} else {
		err = p.standing(ctx, c)
	}
	return &introspected{
		Active: true, Scope: c.Scope, ClientID: c.ClientID, TokenType: tokenType(c.Confirm), Expires: c.Expires, Issued: c.Issued,
		Subject: c.Subject, Audience: c.Audience, Issuer: c.Issuer, ID: c.ID, AuthTime: c.AuthTime, ACR: c.ACR,
		Details: c.Details,
		Confirm: c.Confirm,
		Actor:   c.Actor,
	}, err
}

// standing looks at whom a token without a family is about, and was issued to: applications,
// which are as fresh as application reads them. Otherwise it reports errBadToken.
func (p *Provider) standing(ctx context.Context, c *accessToken) error {
	for _, id := range slices.Compact([]string{c.ClientID, c.Subject}) {
		app, err := p.application(ctx, id)
		if errors.Is(err, fsm.ErrNotFound) || err == nil && app.Disabled {
			return errBadToken
		}
		if err != nil {
			return fmt.Errorf("application of a token: %w", err)
		}
	}
	return nil
}

// enabled looks at the application that had a token in exchange: the family is another's.
func enabled(tx *fsm.Tx, f *family.Family, clientID string) error {
	if clientID == f.ClientID {
		return nil
	}
	app, err := federation.ByClientID(tx, f.Tenant, clientID)
	if err != nil {
		return err
	}
	if may, err := federation.MayUse(tx, app, f.UserID); err != nil || !may {
		return errors.Join(err, family.ErrDead)
	}
	return nil
}
