package oidc

import (
	"context"
	"net/http"

	"github.com/ory/fosite"

	"github.com/quis-idp/quis/identity"
)

// token is the token endpoint (RFC 6749, section 3.2).
func (p *Provider) token(w http.ResponseWriter, r *http.Request) {
	ex := &exchange{tenant: identity.TenantFrom(r.Context()), arrived: p.db.Now()}
	resp, err := p.exchange(w, r, ex)
	giveNonce(w, ex.nonce)
	grant := grantLabel(r.PostForm.Get("grant_type"))
	if err != nil {
		code := p.writeError(w, r, err)
		p.metrics.requests.WithLabelValues(grant, "error", code).Inc()
		return
	}
	p.metrics.requests.WithLabelValues(grant, "ok", "").Inc()
	p.metrics.issued.WithLabelValues(grant, ex.alg).Inc()
	writeJSON(w, http.StatusOK, resp.ToMap())
}

func (p *Provider) exchange(w http.ResponseWriter, r *http.Request, ex *exchange) (fosite.AccessResponder, error) {
	ctx := r.Context()
	form, err := readForm(w, r)
	if err != nil {
		return nil, err
	}
	switch grant := form.Get("grant_type"); {
	case grant == "":
		return nil, refuse(codeInvalidRequest, "Parameter grant_type is missing.")
	case grantLabel(grant) != grant:
		return nil, refuse(codeUnsupportedGrantType, "This grant type is not supported.")
	}
	req, err := p.fosite.NewAccessRequest(ctx, r, ex)
	if err != nil {
		return nil, err
	}
	resp, err := p.fosite.NewAccessResponse(ctx, req)
	if err != nil {
		return nil, err
	}
	if c, ok := req.GetClient().(client); ok {
		ex.tell(resp, c.Application)
	}
	resp.SetTokenType(tokenType(&ex.confirm))
	if err := p.settle(ctx, ex); err != nil {
		return nil, err
	}
	if c, ok := req.GetClient().(client); ok && p.used != nil {
		p.used(c.Tenant, c.ID)
	}
	return resp, nil
}

// settle spends the assertions of a request whose grant has written nothing: before its
// tokens leave, and not when it was refused, so that it can be tried again.
func (p *Provider) settle(ctx context.Context, ex *exchange) error {
	for _, a := range ex.assertions() {
		if err := p.spend(ctx, ex.tenant.ID, a); err != nil {
			return err
		}
	}
	return nil
}

// requested returns the application that asks, if it may use the grant.
func requested(req fosite.AccessRequester, grant string) (client, *exchange, error) {
	c, ok := req.GetClient().(client)
	ex, ok2 := req.GetSession().(*exchange)
	if !ok || !ok2 {
		return client{}, nil, errClient
	}
	if !c.Allows(grant) {
		return client{}, nil, refuse(codeUnauthorizedClient, "The application is not allowed to use this grant type.")
	}
	ex.grant = grant
	return c, ex, nil
}

// answer fills what every grant returns (RFC 6749, section 5.1).
func answer(resp fosite.AccessResponder, c client, t tokens) {
	resp.SetAccessToken(t.access)
	resp.SetTokenType("Bearer")
	resp.SetExtra("expires_in", c.TokenExpiry)
	if len(t.scope) > 0 {
		resp.SetScopes(t.scope)
	}
	if t.id != "" {
		resp.SetExtra("id_token", t.id)
	}
	if t.refresh != "" {
		resp.SetExtra("refresh_token", t.refresh)
	}
}
