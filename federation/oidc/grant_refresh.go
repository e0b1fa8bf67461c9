package oidc

import (
	"context"
	"errors"
	"fmt"

	"github.com/ory/fosite"

	"github.com/quis-idp/quis/federation"
	"github.com/quis-idp/quis/federation/oidc/family"
	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/keys/seal"
)

// refreshGrant trades a refresh token for new tokens and its successor (RFC 6749, section 6).
type refreshGrant struct{ p *Provider }

var errBadRefresh = refuse(codeInvalidGrant, "The refresh token is not valid: unknown, expired, revoked, or issued to another client.")

func (refreshGrant) CanSkipClientAuth(context.Context, fosite.AccessRequester) bool { return false }
func (refreshGrant) CanHandleTokenEndpointRequest(context.Context, fosite.AccessRequester) bool {
	return true
}

// HandleTokenEndpointRequest checks the token's outer MAC and, once that holds,
// waits until this replica has the entry that minted it.
func (g refreshGrant) HandleTokenEndpointRequest(ctx context.Context, req fosite.AccessRequester) error {
	c, ex, err := requested(req, federation.GrantRefresh)
	if err != nil {
		return err
	}
	text := req.GetRequestForm().Get("refresh_token")
	if text == "" {
		return refuse(codeInvalidRequest, "Parameter refresh_token is missing.")
	}
	want, ok := parseScope(req.GetRequestForm().Get("scope"))
	if !ok {
		return refuse(codeInvalidScope, "The scope is malformed.")
	}
	ex.scope = want
	if ex.wish, err = readWish(req.GetRequestForm()); err != nil {
		return err
	}
	ex.refresh, err = family.ParseToken(g.p.ring, ex.tenant.ID, c.ClientID, text)
	if errors.Is(err, seal.ErrBox) {
		return errBadRefresh
	}
	if err != nil {
		return err
	}
	return g.p.reach(ctx, ex.refresh.Index)
}

// reach waits for a log index that a token of ours names. If it does not come,
// the leader is asked: an index beyond all that was ever acknowledged comes from
// before a restore, and is nothing of ours.
func (p *Provider) reach(ctx context.Context, index uint64) error {
	if p.db.Position().Index >= index {
		return nil
	}
	wait, cancel := context.WithTimeout(ctx, p.wait)
	defer cancel()
	if p.db.WaitApplied(wait, index) == nil {
		return nil
	}
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("wait for log index: %w", err)
	}
	if err := p.misses.Do(ctx); err != nil {
		return fmt.Errorf("wait for log index: %w", err)
	}
	if p.db.Position().Index < index {
		return errBadRefresh
	}
	return nil
}

// PopulateTokenEndpointResponse rotates, which is the one log entry, and mints the tokens.
func (g refreshGrant) PopulateTokenEndpointResponse(ctx context.Context, req fosite.AccessRequester, resp fosite.AccessResponder) error {
	c, ex, err := requested(req, federation.GrantRefresh)
	if err != nil {
		return err
	}
	h, err := g.p.trade(ctx, c.Application, ex)
	if err != nil {
		return err
	}
	ex.granted(h.Family)
	if want, _ := parseScope(req.GetRequestForm().Get("scope")); len(want) > 0 {
		ex.scope = want
	}
	ex.scope = intersect(ex.scope, c.AllowedScopes)
	ex.narrow()
	var id *idToken
	if c.IDTokenOnRefresh {
		id = &idToken{}
	}
	t, err := g.p.mintFamily(ctx, ex, c.Application, h, id)
	if err != nil {
		return err
	}
	answer(resp, c, t)
	return nil
}

// trade rotates and says in the client's words what came of it.
func (p *Provider) trade(ctx context.Context, app *federation.Application, ex *exchange) (family.Held, error) {
	wish := family.Wish{Scope: ex.scope, Confirm: ex.confirm, Check: ex.recheck(app), Also: ex.also()}
	h, graced, err := p.families.Rotate(ctx, app, ex.refresh, wish)
	if err == nil && graced {
		// No log entry decided this. What Fresh brings may be a revocation: look again.
		if err = p.fresh(ctx); err == nil {
			h, _, err = p.families.Rotate(ctx, app, ex.refresh, wish)
		}
	}
	switch {
	case errors.Is(err, family.ErrReused):
		p.metrics.reuse.Inc()
		p.log.WarnContext(ctx, "refresh token reused, family revoked", "family", ex.refresh.Family.String(), "application", app.ID)
		return family.Held{}, errBadRefresh
	case errors.Is(err, family.ErrDead), errors.Is(err, fsm.ErrNotFound):
		return family.Held{}, errBadRefresh
	case errors.Is(err, family.ErrKey):
		return family.Held{}, refuse(codeInvalidGrant, "The refresh token is bound to another key than the one that was proved.")
	case errors.Is(err, family.ErrWider):
		return family.Held{}, refuse(codeInvalidScope, "The scope is more than what was granted.")
	case errors.Is(err, family.ErrNotAllowed):
		return family.Held{}, refuse(codeInvalidGrant, "The user may no longer use this application.")
	case err != nil:
		return family.Held{}, err
	}
	if !h.Family.Offline {
		p.sessions.Touch(h.Family.Tenant, h.Family.SessionID)
	}
	return h, nil
}
