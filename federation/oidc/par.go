package oidc

import (
	"errors"
	"net/http"
	"time"

	"github.com/quis-idp/quis/federation/dpop"
	"github.com/quis-idp/quis/federation/oidc/front"
	"github.com/quis-idp/quis/identity"
)

const (
	parPath = "/oauth2/par"
	// pushedLifetime is how long a pushed request is good; FAPI 2.0, section 5.3.2.2, wants less than 600 s.
	pushedLifetime = 5 * time.Minute
)

// push is the pushed authorization request endpoint (RFC 9126). What is pushed is validated
// as it would be at the authorization endpoint and given back sealed: nothing is
// stored. That a request can be used once only is decided where state is made: all codes
// that come of it spend one family.
func (p *Provider) push(w http.ResponseWriter, r *http.Request) {
	uri, err := p.pushed(w, r)
	if err != nil {
		p.writeError(w, r, err)
		return
	}
	writeJSON(w, http.StatusCreated, struct {
		URI     string `json:"request_uri"`
		Expires int64  `json:"expires_in"`
	}{uri, int64(pushedLifetime / time.Second)})
}

func (p *Provider) pushed(w http.ResponseWriter, r *http.Request) (string, error) {
	ctx := r.Context()
	form, err := readForm(w, r)
	if err != nil {
		return "", err
	}
	app, err := p.authenticate(ctx, r, form)
	if err != nil {
		return "", err
	}
	if form.Has("request_uri") { // section 2.1
		return "", refuse(codeInvalidRequest, "Parameter request_uri cannot be pushed.")
	}
	for _, name := range []string{"client_secret", "client_assertion", "client_assertion_type"} {
		form.Del(name)
	}
	form.Set("client_id", app.ClientID)
	q := newAuthorizeRequest(app)
	q.pushed = true
	if err := p.parseAuthorize(ctx, q, form); err != nil {
		return "", err
	}
	if err := p.bindPushed(w, r, q); err != nil {
		return "", err
	}
	return p.sealRequest(identity.TenantFrom(ctx), q, pushedLifetime)
}

// bindPushed binds the code to the key of a DPoP proof that comes along, as if the request
// had named it (RFC 9449, section 10.1).
func (p *Provider) bindPushed(w http.ResponseWriter, r *http.Request, q *authorizeRequest) error {
	if len(r.Header.Values(dpopHeader)) == 0 {
		return nil
	}
	proof, err := p.proof(r.Context(), r, dpop.Wanted{Nonce: q.app.IsPublic})
	if err != nil {
		giveNonce(w, p.nonceFor(r.Context(), err))
		return err
	}
	giveNonce(w, proof.Nonce)
	if q.jkt != "" && q.jkt != proof.Key {
		return refuse(codeInvalidDPoP, "The DPoP proof is of another key than dpop_jkt.")
	}
	q.jkt = proof.Key
	q.Form.Set("dpop_jkt", proof.Key)
	return nil
}

// sealRequest returns the request_uri of q, as far as it has been read, for its client.
func (p *Provider) sealRequest(t identity.Tenant, q *authorizeRequest, life time.Duration) (string, error) {
	s := front.Request{
		Family: q.family, Expires: p.db.Now().Add(life).UnixMilli(), Pushed: q.pushed, Signed: q.signed,
	}
	s.Carry(q.Form)
	uri, err := s.Seal(p.ring, t.ID, q.app.ClientID)
	if errors.Is(err, front.ErrTooLong) {
		return "", errLongRequest
	}
	return uri, err
}
