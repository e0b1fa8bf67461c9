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

// flowTime is for how long a request that was pushed or signed is good on its way through
// the sign-in pages: longer than any flow in which something was proved, and than what it was pushed for. The flow ends a
// minute earlier, and its pages say so in time, for whoever asks for more time again and again before that: they begin at the application.
const flowTime = time.Hour

// signIn hands the person to the sign-in pages with a sealed flow that leads back
// to this very request. again: somebody is signed in, but not as the request wants it.
func (p *Provider) signIn(w http.ResponseWriter, r *http.Request, q *authorizeRequest, again bool) {
	t := identity.TenantFrom(r.Context())
	base := basePath(t)
	back, err := p.wayBack(t, q)
	if err != nil {
		p.writeAuthorizeError(w, r, q, err)
		return
	}
	need := authn.Need{
		Tenant: t.ID, ReturnTo: base + authorizePath + "?" + back.Encode(), Login: again, Select: q.prompts("select_account"), Create: q.prompts(promptCreate),
		LoginHint: q.loginHint, Application: q.app.DisplayName(), Locales: q.Form.Get("ui_locales"), ACR: q.acr, MFA: q.app.MFAPolicy,
	}
	if q.pushed || q.signed { // the pages tell of the time that there is
		need.Until = p.db.Now().Add(flowTime - time.Minute)
	}
	if q.maxAge != anyAge {
		age := time.Duration(q.maxAge) * time.Second
		need.MaxAge = &age
	}
	flow, err := p.flows.Begin(r.Context(), need)
	if errors.Is(err, identity.ErrInvalid) {
		err = errLongRequest
	}
	if err != nil {
		p.writeAuthorizeError(w, r, q, err)
		return
	}
	redirect(w, base+p.login+"?"+url.Values{"flow": {flow}}.Encode())
}

// enrol sends somebody who is signed in, but may not go on without a second factor, to where
// they are told so, and of which kind; from there they come back to this request.
func (p *Provider) enrol(w http.ResponseWriter, r *http.Request, q *authorizeRequest, d demand) {
	t := identity.TenantFrom(r.Context())
	back, err := p.wayBack(t, q)
	if err != nil {
		p.writeAuthorizeError(w, r, q, err)
		return
	}
	to := basePath(t) + authorizePath + "?" + back.Encode()
	query := url.Values{"application": {q.app.ID}, "then": {to}}
	if d == boundEnrolment {
		query.Set("kind", "bound")
	}
	redirect(w, basePath(t)+p.login+"/enrol?"+query.Encode())
}

var errLongRequest = refuse(codeInvalidRequest, "The request is too long to be carried through signing in.")

// wayBack is the query that leads to q again. What was pushed or signed is sealed anew, with
// its family: it would else expire while the person types.
func (p *Provider) wayBack(t identity.Tenant, q *authorizeRequest) (url.Values, error) {
	if !q.pushed && !q.signed {
		return q.sent, nil
	}
	uri, err := p.sealRequest(t, q, flowTime)
	if err != nil {
		return nil, err
	}
	return url.Values{"client_id": {q.app.ClientID}, "request_uri": {uri}}, nil
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
