package admin

import (
	"errors"
	"net/http"
	"strings"

	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/credential"
	"github.com/quis-idp/quis/identity/directory"
)

// A caller is who has been let in.
type caller struct {
	actor identity.Actor
	home  string // ID of the tenant that the caller belongs to
}

// everywhere reports whether the caller may act on every tenant and on the installation.
func (c caller) everywhere() bool { return c.home == identity.DefaultTenant }

// identify says who sends a request, or why nobody may.
type identify func(http.ResponseWriter, *http.Request) (caller, error)

func (a *API) operator(http.ResponseWriter, *http.Request) (caller, error) {
	return caller{actor: identity.Actor{Kind: identity.ActorOperator}, home: identity.DefaultTenant}, nil
}

// bearer lets in who has an access token of an admin user (RFC 6750 §2.1).
func (a *API) bearer(w http.ResponseWriter, r *http.Request) (caller, error) {
	token, given := bearerToken(r)
	if !given {
		w.Header().Set("WWW-Authenticate", `Bearer realm="quis"`)
		return caller{}, identity.Unauthenticated("Send the access token of an admin user: Authorization: Bearer quis_pat_…")
	}
	from := identity.RequestFrom(r.Context()).IP
	// A miss asks the leader, so a stranger's guesses must not be free.
	if wait := a.failures.wait(from); wait > 0 {
		return caller{}, identity.Limited("Too many requests with a bad token.", wait)
	}
	t, admin, err := a.owner(r, token)
	if errors.Is(err, identity.ErrUnauthenticated) {
		a.failures.take(from)
		w.Header().Set("WWW-Authenticate", `Bearer realm="quis", error="invalid_token"`)
	}
	if err != nil {
		return caller{}, err
	}
	if !admin {
		return caller{}, identity.Denied("This user is not an admin.")
	}
	if wait := a.requests.take(t.ID); wait > 0 {
		return caller{}, identity.Limited("Too many requests with this token.", wait)
	}
	return caller{actor: identity.Actor{Kind: identity.ActorUser, ID: t.UserID}, home: t.Tenant}, nil
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
func (a *API) owner(r *http.Request, value string) (t *credential.Token, admin bool, err error) {
	bad := identity.Unauthenticated("This access token is not valid.")
	if !strings.HasPrefix(value, credential.TokenPrefix) {
		return nil, false, bad
	}
	if a.cfg.Fresh != nil {
		if err := a.cfg.Fresh(r.Context()); err != nil {
			return nil, false, err
		}
	}
	err = a.cfg.DB.Read(r.Context(), func(tx *fsm.Tx) error {
		var err error
		if t, err = credential.TokenOwner(tx, value); err != nil {
			return err
		}
		tenant, _, err := directory.GetTenant(tx, t.Tenant)
		if err != nil {
			return err
		}
		u, _, err := directory.GetUser(tx, t.Tenant, t.UserID)
		if err != nil {
			return err
		}
		if u.Disabled || tenant.Disabled {
			return bad
		}
		admin = u.Admin
		return nil
	})
	if errors.Is(err, fsm.ErrNotFound) {
		err = bad
	}
	return t, admin, err
}

// chooseTenant finds the tenant that the request is about: the caller's own, or the one
// named by ?tenant= if the caller may act everywhere.
func (a *API) chooseTenant(c *call, who caller) error {
	slug := c.r.URL.Query().Get("tenant")
	c.other = slug != ""
	var t *directory.Tenant
	err := a.cfg.DB.Read(c.r.Context(), func(tx *fsm.Tx) (err error) {
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
	case errors.Is(err, fsm.ErrNotFound):
		return identity.NotFound("There is no such tenant.")
	case err != nil:
		return err
	case t.ID != who.home && !who.everywhere():
		return denied
	}
	c.tenant = identity.Tenant{ID: t.ID, Slug: t.Slug, Issuer: a.cfg.PublicURL}
	if t.Slug != "" {
		c.tenant.Issuer += "/t/" + t.Slug
	}
	return nil
}
