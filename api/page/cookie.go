package page

import (
	"net/http"
	"strings"
	"time"

	"github.com/quis-idp/quis/identity"
)

// CookieName makes a cookie of one tenant. With https it is host-only by its prefix, so no
// sibling domain can plant one (RFC 6265bis §4.1.3.2). All tenants share the path /, which
// that prefix demands, so a tenant's own cookies have its slug behind the name.
func CookieName(t identity.Tenant, name string) string {
	if overTLS(t) {
		name = "__Host-" + name
	}
	if t.Slug != "" {
		name += "_" + t.Slug
	}
	return name
}

func overTLS(t identity.Tenant) bool { return strings.HasPrefix(t.Issuer, "https://") }

// Cookie returns the value of a cookie of r's tenant, empty if there is none.
func Cookie(r *http.Request, name string) string {
	c, err := r.Cookie(CookieName(identity.TenantFrom(r.Context()), name))
	if err != nil {
		return ""
	}
	return c.Value
}

// SetCookie sets a cookie of r's tenant: for life 0 until the browser closes, for a negative
// one it is removed.
func SetCookie(w http.ResponseWriter, r *http.Request, name, value string, life time.Duration) {
	t := identity.TenantFrom(r.Context())
	age := int(life / time.Second)
	if life < 0 {
		age = -1
	}
	http.SetCookie(w, &http.Cookie{
		Name: CookieName(t, name), Value: value, Path: "/", MaxAge: age,
		Secure: overTLS(t), HttpOnly: true, SameSite: http.SameSiteLaxMode,
	})
}
