package api

import (
	"errors"
	"net/http"
	"net/url"
	gopath "path"
	"strings"

	"github.com/quis-idp/quis/api/problem"
	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/directory"
)

const (
	tenantPrefix = "/t/"
	wellKnown    = "/.well-known/"
	maxSlug      = 63
)

// resolve finds the tenant that r is for and the path within it. The tenant is the first
// segment behind /t/, or, for a well-known document with the issuer's path behind its
// name (RFC 8414 §3.1), the segment behind that.
func (d *door) resolve(r *http.Request) (identity.Tenant, string, error) {
	home := identity.TenantFrom(r.Context())
	slug, path, ok := split(r.URL.Path)
	if !ok {
		return home, r.URL.Path, nil
	}
	if clean := gopath.Clean(path); path != clean && path != clean+"/" {
		return home, "", problem.ErrRoute // the mux would redirect to the simpler path, out of the tenant
	}
	var t *directory.Tenant
	// Read, not View: a tenant that another node has just made must not be a 404 here.
	err := d.cfg.DB.Read(r.Context(), func(tx *fsm.Tx) (err error) {
		t, err = directory.TenantBySlug(tx, slug)
		return err
	})
	if errors.Is(err, fsm.ErrNotFound) || err == nil && t.Disabled {
		return home, "", problem.ErrRoute
	}
	if err != nil {
		return home, "", err
	}
	return identity.Tenant{ID: t.ID, Slug: t.Slug, Issuer: d.cfg.PublicURL + tenantPrefix + t.Slug}, path, nil
}

// split takes a tenant's path apart.
func split(p string) (slug, path string, ok bool) {
	if rest, found := strings.CutPrefix(p, wellKnown); found {
		name, behind, _ := strings.Cut(rest, "/")
		slug, found = strings.CutPrefix("/"+behind, tenantPrefix)
		slug = strings.TrimSuffix(slug, "/")
		if !found || name == "" || !plausible(slug) {
			return "", "", false
		}
		return slug, wellKnown + name, true
	}
	rest, found := strings.CutPrefix(p, tenantPrefix)
	if !found {
		return "", "", false
	}
	slug, path, _ = strings.Cut(rest, "/")
	if !plausible(slug) {
		return "", "", false
	}
	return slug, "/" + path, true
}

// plausible spares the store questions about what can be no slug.
func plausible(slug string) bool {
	for _, c := range []byte(slug) {
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' {
			return false
		}
	}
	return slug != "" && len(slug) <= maxSlug
}

// inside is r as the rooms see it: the tenant in its context, the prefix off its path.
func inside(r *http.Request, t identity.Tenant, path string) *http.Request {
	r = r.WithContext(identity.WithTenant(r.Context(), t))
	u := *r.URL
	u.Path, u.RawPath = path, ""
	r.URL = &url.URL{}
	*r.URL = u
	return r
}
