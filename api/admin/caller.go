package admin

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/credential"
	"github.com/quis-idp/quis/identity/directory"
)

// A caller is who has been let in.
type caller struct {
	actor identity.Actor
	home  string // ID of the tenant that the caller belongs to
	admin bool
	token *credential.Token // that was sent; nil: the operator
}

// everywhere reports whether the caller may act on every tenant and on the installation.
func (c caller) everywhere() bool { return c.home == identity.DefaultTenant }

// identify says who sends a request, or why nobody may.
type identify func(http.ResponseWriter, *http.Request) (caller, error)

func (a *API) operator(http.ResponseWriter, *http.Request) (caller, error) {
	return caller{actor: identity.Actor{Kind: identity.ActorOperator}, home: identity.DefaultTenant, admin: true}, nil
}

// bearer lets in who has an access token (RFC 6750 §2.1).
func (a *API) bearer(w http.ResponseWriter, r *http.Request) (caller, error) {
	token, given := bearerToken(r)
	if !given {
		w.Header().Set("WWW-Authenticate", `Bearer realm="quis"`)
		return caller{}, identity.Unauthenticated("Send the access token of an admin user: Authorization: Bearer quis_pat_…")
	}
	t, admin, err := a.owner(r.Context(), token)
	if errors.Is(err, identity.ErrUnauthenticated) {
		w.Header().Set("WWW-Authenticate", `Bearer realm="quis", error="invalid_token"`)
	}
	if err != nil {
		return caller{}, err
	}
	if wait := a.requests.Take(t.ID); wait > 0 {
		return caller{}, identity.Limited("Too many requests with this token.", wait)
	}
	a.used(r.Context(), t)
	return caller{actor: identity.Actor{Kind: identity.ActorUser, ID: t.UserID}, home: t.Tenant, admin: admin, token: t}, nil
}

// used writes down now and then that a token is in use. That it cannot be written is no
// reason to refuse what it was sent for.
func (a *API) used(ctx context.Context, t *credential.Token) {
	if a.uses.Take(t.ID) > 0 {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	_ = a.cfg.DB.Update(ctx, func(tx *fsm.Tx) error { return credential.TokenUsed(tx, t) })
}

// may says why who may not do what rt does, nil if they may.
func may(rt *route, who caller) error {
	own := rt.Needs == ofPerson
	switch {
	case own && who.token == nil:
		return identity.Invalid("", "The operator of the machine has no account here. Use the routes under /users.")
	case !own && !who.admin:
		return identity.Denied("This user is not an admin.")
	case rt.Needs == ofInstallation && !who.everywhere():
		return identity.Denied("This concerns the whole installation: only admins of the default tenant may do it.")
	case who.token != nil && !who.token.Allows(rt.Reads(), own):
		return identity.Denied("This access token is not good for that: its scopes are " + strings.Join(who.token.Scopes, " ") + ".")
	}
	return nil
}

func bearerToken(r *http.Request) (token string, given bool) {
	values := r.Header.Values("Authorization")
	if len(values) != 1 {
		return "", false
	}
	scheme, token, ok := strings.Cut(values[0], " ")
	return strings.TrimSpace(token), ok && strings.EqualFold(scheme, "Bearer")
}

// owner returns the token and whether its user is an admin. Whatever does not stand any
// more (token, user, tenant) is the same to the caller as a token that never was.
func (a *API) owner(ctx context.Context, value string) (t *credential.Token, admin bool, err error) {
	bad := identity.Unauthenticated("This access token is not valid.")
	if !strings.HasPrefix(value, credential.TokenPrefix) {
		return nil, false, bad
	}
	if a.cfg.Fresh != nil {
		if err := a.cfg.Fresh(ctx); err != nil {
			return nil, false, err
		}
	}
	look := func(tx *fsm.Tx) (err error) {
		t, admin, err = whose(tx, value)
		return err
	}
	err = a.cfg.DB.View(ctx, look)
	if errors.Is(err, fsm.ErrNotFound) {
		// Another node may have made it a moment ago. Asking the leader must not be free to
		// strangers who guess, and their guessing must not keep anybody with a good token out.
		if wait := a.failures.Take(identity.RequestFrom(ctx).Network()); wait > 0 {
			return nil, false, identity.Limited("Too many requests with a bad token.", wait)
		}
		err = a.cfg.DB.Read(ctx, look)
	}
	if errors.Is(err, fsm.ErrNotFound) {
		err = bad
	}
	return t, admin, err
}

// whose finds the token, and its user if that and the tenant stand; else fsm.ErrNotFound.
func whose(tx *fsm.Tx, value string) (t *credential.Token, admin bool, err error) {
	if t, err = credential.TokenOwner(tx, value); err != nil {
		return nil, false, err
	}
	tenant, _, err := directory.GetTenant(tx, t.Tenant)
	if err != nil {
		return nil, false, err
	}
	u, _, err := directory.GetUser(tx, t.Tenant, t.UserID)
	if err != nil {
		return nil, false, err
	}
	if u.Disabled || tenant.Disabled {
		return nil, false, fsm.ErrNotFound
	}
	return t, u.Admin, nil
}

// chooseTenant finds the tenant that the request is about: the caller's own, or the one
// named by ?tenant= if the caller may act everywhere.
func (a *API) chooseTenant(c *call, who caller) error {
	slug := c.R.URL.Query().Get("tenant")
	c.Other = slug != ""
	var t *directory.Tenant
	err := a.cfg.DB.Read(c.R.Context(), func(tx *fsm.Tx) (err error) {
		switch {
		case slug == "":
			t, _, err = directory.GetTenant(tx, who.home)
		case slug == "default":
			t, _, err = directory.GetTenant(tx, identity.DefaultTenant)
		case len(slug) > 64:
			return identity.NotFound("There is no such tenant.")
		default:
			t, err = directory.TenantBySlug(tx, slug)
		}
		return err
	})
	denied := identity.Denied("Only admins of the default tenant may act on other tenants.")
	switch {
	case errors.Is(err, fsm.ErrNotFound) && !who.everywhere():
		return denied // whether it exists is not the caller's to know
	case errors.Is(err, fsm.ErrNotFound) && (slug == "" || slug == "default"): // nobody can delete it
		return &identity.Error{Kind: fsm.ErrUnavailable, Detail: "The node has just started and is not set up yet: try again in a moment."}
	case errors.Is(err, fsm.ErrNotFound):
		return identity.NotFound("There is no such tenant.")
	case err != nil:
		return err
	case t.ID != who.home && !who.everywhere():
		return denied
	}
	c.Tenant = identity.Tenant{ID: t.ID, Slug: t.Slug, Issuer: a.cfg.PublicURL}
	if t.Slug != "" {
		c.Tenant.Issuer += "/t/" + t.Slug
	}
	return nil
}
