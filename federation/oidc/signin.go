package oidc

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/authn"
	"github.com/quis-idp/quis/keys"
)

// signIn hands the person to the sign-in pages with a sealed flow that leads back
// to this very request. again: somebody is signed in, but not as the request wants it.
func (p *Provider) signIn(w http.ResponseWriter, r *http.Request, q *authorizeRequest, again bool) {
	t := identity.TenantFrom(r.Context())
	base := basePath(t)
	need := authn.Need{
		Tenant: t.ID, ReturnTo: base + authorizePath + "?" + q.Form.Encode(), Login: again,
		LoginHint: q.loginHint, Application: q.app.DisplayName(), Locales: q.Form.Get("ui_locales"),
	}
	if q.maxAge != anyAge {
		age := time.Duration(q.maxAge) * time.Second
		need.MaxAge = &age
	}
	flow, err := p.flows.Begin(r.Context(), need)
	if errors.Is(err, identity.ErrInvalid) {
		err = refuse(codeInvalidRequest, "The request is too long to be carried through signing in.")
	}
	if err != nil {
		p.writeAuthorizeError(w, r, q, err)
		return
	}
	redirect(w, base+p.login+"?"+url.Values{"flow": {flow}}.Encode())
}

// readHint verifies an ID token that a client gives back to say whom it means. It
// may have expired. nil: there is none, or none of ours that can still be verified.
func (p *Provider) readHint(ctx context.Context, token string) (*idToken, error) {
	if token == "" {
		return nil, nil
	}
	t := identity.TenantFrom(ctx)
	payload, _, err := p.keys.Verify(ctx, t.ID, token, typID)
	if errors.Is(err, keys.ErrInvalidToken) || errors.Is(err, fsm.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("id_token_hint: %w", err)
	}
	var hint idToken
	if json.Unmarshal(payload, &hint) != nil || hint.Issuer != t.Issuer || hint.Subject == "" {
		return nil, nil
	}
	return &hint, nil
}
