package register

import (
	"context"
	"crypto/subtle"
	"errors"
	"fmt"
	"net/http"
	"slices"

	"github.com/quis-idp/quis/federation"
	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity"
)

// owned returns the application of the path if the registration access token is its own.
// One that does not exist, that an administrator made or has disabled, and another's token
// are the same: invalid_token (RFC 7592, section 2).
func (e *Endpoint) owned(tx *fsm.Tx, tenant, clientID, access string) (*federation.Application, error) {
	if access == "" || len(clientID) > 200 {
		return nil, errBadToken
	}
	a, err := federation.ByClientID(tx, tenant, clientID)
	if err != nil {
		return nil, err
	}
	if a.Registration.Kind != federation.RegisteredByClient || len(a.Registration.MAC) == 0 || a.Disabled {
		return nil, errBadToken
	}
	mac, err := e.cfg.Ring.MAC(accessPurpose, a.Registration.Key, message(tenant, access))
	if err != nil {
		return nil, fmt.Errorf("registration access token: %w", err)
	}
	if subtle.ConstantTimeCompare(mac[:], a.Registration.MAC) != 1 {
		return nil, errBadToken
	}
	return a, nil
}

// find is owned from a state that is fresh: a token that an administrator has taken back
// with its application opens nothing.
func (e *Endpoint) find(ctx context.Context, tenant, clientID, access string) (a *federation.Application, err error) {
	if err := e.cfg.Fresh(ctx); err != nil {
		return nil, err
	}
	err = e.cfg.DB.Read(ctx, func(tx *fsm.Tx) error {
		a, err = e.owned(tx, tenant, clientID, access)
		return err
	})
	if errors.Is(err, fsm.ErrNotFound) {
		err = errBadToken
	}
	return a, err
}

// show answers with what is registered (RFC 7592, section 2.1). Its secret is not known to us.
func (e *Endpoint) show(w http.ResponseWriter, r *http.Request) error {
	t := identity.TenantFrom(r.Context())
	access, err := bearer(r)
	if err != nil {
		return err
	}
	a, err := e.find(r.Context(), t.ID, r.PathValue("client_id"), access)
	if err != nil {
		return err
	}
	answer(w, http.StatusOK, e.described(t, a, "", access))
	return nil
}

// change replaces what is registered (RFC 7592, section 2.2), as far as the policy lets
// it now. What administrators have decided about the application stays.
func (e *Endpoint) change(w http.ResponseWriter, r *http.Request) error {
	t := identity.TenantFrom(r.Context())
	access, err := bearer(r)
	if err != nil {
		return err
	}
	old, err := e.find(r.Context(), t.ID, r.PathValue("client_id"), access)
	if err != nil {
		return err
	}
	m, err := body(r)
	if err != nil {
		return err
	}
	if err := e.same(m, old); err != nil {
		return err
	}
	build := func(tx *fsm.Tx, p *Policy) (*federation.Application, error) {
		if p.Mode == "" || p.Mode == Closed {
			return nil, fault(codeDenied, "Applications are changed by administrators here.")
		}
		a := *old
		if err := m.onto(&a, p); err != nil {
			return nil, err
		}
		if err := narrowed(&a, old); err != nil {
			return nil, err
		}
		return &a, p.permits(&a)
	}
	if err := e.prepare(r.Context(), t.ID, build); err != nil {
		return err
	}
	var now *federation.Application
	err = e.cfg.DB.Update(r.Context(), func(tx *fsm.Tx) error {
		p, _, err := GetPolicy(tx, t.ID)
		if err != nil {
			return err
		}
		a, err := e.owned(tx, t.ID, old.ClientID, access)
		if err != nil {
			return err
		}
		old = a
		now, err = federation.Update(tx, t.ID, a.ID, 0, func(to *federation.Application) error {
			next, err := build(tx, p)
			if err == nil {
				*to = *next
			}
			return err
		})
		return err
	})
	if errors.Is(err, fsm.ErrNotFound) {
		err = errBadToken
	}
	if err != nil {
		return err
	}
	answer(w, http.StatusOK, e.described(t, now, "", access))
	return nil
}

// narrowed holds what an application has made of itself against what it was: who took
// something away from it since it was registered, or demands more of it, cannot be told from
// the registration itself, so neither comes back by a change. What is left out stays.
func narrowed(a, old *federation.Application) error {
	more := func(now, before []string) bool {
		return slices.ContainsFunc(now, func(s string) bool { return !slices.Contains(before, s) })
	}
	switch {
	case a.IsPublic != old.IsPublic:
		return fault(codeMetadata, "Whether it can keep a secret is decided once; register anew.")
	case more(a.GrantTypes, old.GrantTypes):
		return fault(codeMetadata, "grant_types can be given up by a change, and not added; register anew.")
	case more(a.AllowedScopes, old.AllowedScopes):
		return fault(codeMetadata, "scope can be narrowed by a change, and not widened; register anew.")
	}
	a.Requests.RequirePAR = a.Requests.RequirePAR || old.Requests.RequirePAR
	a.Requests.RequireSigned = a.Requests.RequireSigned || old.Requests.RequireSigned
	a.Tokens.DPoPBound = a.Tokens.DPoPBound || old.Tokens.DPoPBound
	a.Tokens.TLSBound = a.Tokens.TLSBound || old.Tokens.TLSBound
	return nil
}

// same refuses a change that is about another application than the one of the path.
func (e *Endpoint) same(m *members, old *federation.Application) error {
	if m.ClientID != old.ClientID {
		return fault(codeMetadata, "client_id must be that of the path.")
	}
	if m.ClientSecret == "" {
		return nil
	}
	ok, err := federation.CheckSecret(e.cfg.Ring, old, m.ClientSecret)
	if err == nil && !ok {
		err = fault(codeMetadata, "client_secret must be the present one, or left out.")
	}
	return err
}

// remove deletes the application (RFC 7592, section 2.3), and what was granted through it.
func (e *Endpoint) remove(w http.ResponseWriter, r *http.Request) error {
	t := identity.TenantFrom(r.Context())
	access, err := bearer(r)
	if err != nil {
		return err
	}
	err = e.cfg.DB.Update(r.Context(), func(tx *fsm.Tx) error {
		a, err := e.owned(tx, t.ID, r.PathValue("client_id"), access)
		if err != nil {
			return err
		}
		return federation.Delete(tx, t.ID, a.ID, 0)
	})
	if errors.Is(err, fsm.ErrNotFound) {
		err = errBadToken
	}
	if err != nil {
		return err
	}
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(http.StatusNoContent)
	return nil
}
