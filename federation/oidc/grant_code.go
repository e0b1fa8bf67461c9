package oidc

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"errors"

	"github.com/ory/fosite"

	"github.com/quis-idp/quis/federation"
	"github.com/quis-idp/quis/federation/oidc/family"
	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/keys/seal"
)

// codeGrant trades an authorization code for tokens (RFC 6749, section 4.1.3).
type codeGrant struct{ p *Provider }

var errBadCode = refuse(codeInvalidGrant, "The code is not valid: unknown, expired, used before, or issued to another client.")

func (codeGrant) CanSkipClientAuth(context.Context, fosite.AccessRequester) bool { return false }
func (codeGrant) CanHandleTokenEndpointRequest(context.Context, fosite.AccessRequester) bool {
	return true
}

// HandleTokenEndpointRequest opens the code and compares what it is bound to.
// Nothing here touches the store; a wrong verifier does not use the code up.
func (g codeGrant) HandleTokenEndpointRequest(ctx context.Context, req fosite.AccessRequester) error {
	c, ex, err := requested(req, federation.GrantCode)
	if err != nil {
		return err
	}
	form := req.GetRequestForm()
	if form.Get("code") == "" {
		return refuse(codeInvalidRequest, "Parameter code is missing.")
	}
	code, err := family.OpenCode(g.p.ring, ex.tenant.ID, c.ClientID, form.Get("code"))
	if errors.Is(err, seal.ErrBox) {
		return errBadCode
	}
	if err != nil {
		return err
	}
	ex.code = code
	if ex.wish, err = readWish(form); err != nil {
		return err
	}
	if form.Get("redirect_uri") != code.RedirectURI {
		return g.misused(ctx, c, code, "redirect_uri is not the one that the code was issued for.")
	}
	if !verifierFits(form.Get("code_verifier"), code.Challenge) {
		return g.misused(ctx, c, code, "code_verifier does not fit the code_challenge.")
	}
	if code.JKT != "" && code.JKT != ex.confirm.JKT {
		return g.misused(ctx, c, code, "The code is bound to another DPoP key than the one that was proved.")
	}
	return nil
}

// misused refuses a code presented by someone who does not know what it is bound
// to. If it has been exchanged already, whoever this is has it from somewhere: the family ends.
func (g codeGrant) misused(ctx context.Context, c client, code *family.Code, why string) error {
	refusal := refuse(codeInvalidGrant, why)
	var f *family.Family
	err := g.p.db.View(ctx, func(tx *fsm.Tx) (err error) {
		f, err = family.Get(tx, c.Tenant, code.Family)
		return err
	})
	if errors.Is(err, fsm.ErrNotFound) || (err == nil && f.RevokedAt != 0) {
		return refusal
	}
	if err != nil {
		return err
	}
	err = g.p.db.Update(ctx, func(tx *fsm.Tx) error {
		f, err := family.Get(tx, c.Tenant, code.Family)
		if err != nil {
			return err
		}
		return family.Reused(tx, f, "code")
	})
	if err != nil {
		return err
	}
	return refusal
}

// verifierFits compares by RFC 7636, section 4.6, method S256.
func verifierFits(verifier string, challenge []byte) bool {
	if len(verifier) < 43 || len(verifier) > 128 || len(challenge) != sha256.Size {
		return false
	}
	for _, c := range []byte(verifier) {
		if !unreserved(c) {
			return false
		}
	}
	sum := sha256.Sum256([]byte(verifier))
	return subtle.ConstantTimeCompare(sum[:], challenge) == 1
}

func unreserved(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '-' || c == '.' || c == '_' || c == '~'
}

// PopulateTokenEndpointResponse spends the code, which is the one log entry, and mints the tokens.
func (g codeGrant) PopulateTokenEndpointResponse(ctx context.Context, req fosite.AccessRequester, resp fosite.AccessResponder) error {
	c, ex, err := requested(req, federation.GrantCode)
	if err != nil {
		return err
	}
	start := ex.start(c.Application, ex.code.Start(ex.arrived))
	start.Check = ex.check(c.Application, start)
	h, err := g.p.families.Begin(ctx, c.Application, start)
	switch {
	case errors.Is(err, family.ErrSpent), errors.Is(err, family.ErrDead), errors.Is(err, fsm.ErrNotFound):
		return errBadCode
	case errors.Is(err, family.ErrNotAllowed):
		return refuse(codeInvalidGrant, "The user may no longer use this application.")
	case err != nil:
		return err
	}
	ex.granted(h.Family)
	ex.scope = intersect(ex.scope, c.AllowedScopes) // as they are now
	ex.narrow()
	t, err := g.p.mintFamily(ctx, ex, c.Application, h, &idToken{Nonce: ex.code.Nonce, CodeHash: tokenHash(algOf(c.Application), req.GetRequestForm().Get("code"))})
	if err != nil {
		return err
	}
	answer(resp, c, t)
	return nil
}
