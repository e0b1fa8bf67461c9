package oidc

import (
	"context"
	"errors"
	"net/http"

	"github.com/quis-idp/quis/federation"
	"github.com/quis-idp/quis/federation/dpop"
	"github.com/quis-idp/quis/federation/jose"
	"github.com/quis-idp/quis/federation/oidc/caller"
	"github.com/quis-idp/quis/federation/oidc/family"
	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity"
)

// dpopHeader carries a proof, dpopNonce what the next one must hold (RFC 9449).
const (
	dpopHeader = "DPoP"
	dpopNonce  = "DPoP-Nonce"
)

// by takes over who asks.
func (e *exchange) by(who *caller.Caller) { e.who = who }

// also are what must be written in the entry of whatever the request brings about.
func (e *exchange) also() []func(*fsm.Tx) error {
	var fns []func(*fsm.Tx) error
	for _, a := range e.assertions() {
		fns = append(fns, func(tx *fsm.Tx) error { return a.Spend(tx, e.tenant.ID) })
	}
	return fns
}

// assertions are those that the request is granted for.
func (e *exchange) assertions() []*caller.Assertion {
	var all []*caller.Assertion
	if e.who != nil && e.who.Assertion != nil {
		all = append(all, e.who.Assertion)
	}
	if e.vouched != nil {
		all = append(all, e.vouched)
	}
	return all
}

// start completes how a family begins: what is written along with it, and the key of a
// public application, which its refresh tokens are bound to (RFC 9449, section 5).
// Those of others are bound to whoever can authenticate as the application.
func (e *exchange) start(app *federation.Application, s family.Start) family.Start {
	s.Also = append(s.Also, e.also()...)
	if app.IsPublic {
		s.Confirm = e.confirm
	}
	return s
}

// bind finds the key that the tokens of a request shall be bound to: that of its DPoP
// proof, that of its TLS client certificate if the application is registered so, both, or none.
// An application whose tokens must be bound gets no others.
func (p *Provider) bind(ctx context.Context, r *http.Request, ex *exchange, app *federation.Application) error {
	if headers := r.Header.Values(dpopHeader); len(headers) > 0 {
		// A script that is injected in a public application could make proofs for later; a
		// nonce ends that (RFC 9449, section 11.2).
		proof, err := p.proof(ctx, r, dpop.Wanted{Nonce: app.IsPublic})
		if err != nil {
			ex.nonce = p.nonceFor(ctx, err)
			return err
		}
		ex.confirm.JKT, ex.nonce = proof.Key, proof.Nonce
	} else if app.Tokens.DPoPBound {
		return refuse(codeInvalidDPoP, "The application is registered with dpop_bound_access_tokens: a DPoP proof is required.")
	}
	if app.Tokens.TLSBound {
		cert := identity.CertificateFrom(ctx)
		if cert == nil {
			return refuse(codeInvalidRequest, "The tokens of the application are bound to its TLS client certificate, and none arrived here.")
		}
		ex.confirm.X5T = caller.Thumbprint(cert)
	}
	if app.Profile == federation.ProfileFAPI2 && !ex.confirm.Bound() {
		return refuse(codeInvalidRequest, "FAPI 2.0 wants tokens that are bound to a key: send a DPoP proof, or register for certificate-bound tokens.")
	}
	return nil
}

// proof verifies the DPoP proof of r, whose endpoint is that of its path in the tenant's issuer.
func (p *Provider) proof(ctx context.Context, r *http.Request, w dpop.Wanted) (*dpop.Proof, error) {
	t := identity.TenantFrom(ctx)
	w.Tenant, w.Method, w.URL = t.ID, r.Method, t.Issuer+r.URL.Path
	proof, err := p.proofs.Verify(r.Header.Values(dpopHeader), w)
	switch {
	case errors.Is(err, dpop.ErrNonce):
		return nil, refuse(codeUseDPoPNonce, err.Error())
	case errors.Is(err, dpop.ErrProof):
		return nil, refuse(codeInvalidDPoP, err.Error())
	}
	return proof, err
}

// nonceFor returns what stands in the DPoP-Nonce header of an answer that says err.
func (p *Provider) nonceFor(ctx context.Context, err error) string {
	if registered(err).ErrorField != codeUseDPoPNonce {
		return ""
	}
	nonce, err := p.proofs.Nonce(identity.TenantFrom(ctx).ID)
	if err != nil {
		p.log.WarnContext(ctx, "no DPoP nonce", "error", err)
	}
	return nonce
}

// giveNonce has the answer carry a nonce, if there is one.
func giveNonce(w http.ResponseWriter, nonce string) {
	if nonce != "" {
		w.Header().Set(dpopNonce, nonce)
	}
}

var (
	errStolen  = refuse(codeInvalidToken, "The access token is bound to a key, and this request does not prove to have it.")
	errUnbound = refuse(codeInvalidToken, "The access token is not bound to a DPoP key: send it as a Bearer token.")
)

// held checks that whoever presents an access token holds the key that it is bound to: by
// DPoP with a proof for this very token (RFC 9449, section 7), by TLS with the certificate
// (RFC 8705, section 3). A bound token that comes as a Bearer token is refused: it is stolen.
func (p *Provider) held(r *http.Request, t presented, c *accessToken) (nonce string, err error) {
	ctx := r.Context()
	var bound family.Confirmation
	if c.Confirm != nil {
		bound = *c.Confirm
	}
	switch {
	case bound.JKT != "" && !t.dpop:
		return "", errStolen
	case bound.JKT == "" && t.dpop:
		return "", errUnbound
	case t.dpop:
		proof, err := p.proof(ctx, r, dpop.Wanted{Token: t.token, Key: bound.JKT})
		if err != nil {
			return p.nonceFor(ctx, err), err
		}
		nonce = proof.Nonce
	}
	if bound.X5T == "" {
		return nonce, nil
	}
	if cert := identity.CertificateFrom(ctx); cert == nil || caller.Thumbprint(cert) != bound.X5T {
		return nonce, errStolen
	}
	return nonce, nil
}

// tokenType is what a token bound to c is presented as.
func tokenType(c *family.Confirmation) string {
	if c != nil && c.JKT != "" {
		return "DPoP"
	}
	return "Bearer"
}

// parseKeyThumbprint reads dpop_jkt of an authorization request (RFC 9449, section 10).
func parseKeyThumbprint(text string) (string, error) {
	if text != "" && !jose.ValidThumbprint(text) {
		return "", refuse(codeInvalidRequest, "The dpop_jkt must be the SHA-256 thumbprint of a key in base64url.")
	}
	return text, nil
}
