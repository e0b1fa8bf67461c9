package factor

import (
	"embed"
	"net/http"
	"net/url"
	"time"

	"github.com/quis-idp/quis/api/page"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/language"
)

//go:embed templates texts
var files embed.FS

var site = page.NewSite(files, english)

var (
	newAppPage = page.Page[newAppView](site, "templates/new_app.html")
	appPage    = page.Page[appView](site, "templates/app.html")
	codesPage  = page.Page[codesView](site, "templates/codes.html")
)

func date(r *http.Request, t time.Time) string { return language.Date(page.Language(r), t) }

// used says when something was used last.
func used(r *http.Request, now, t time.Time) string {
	if t.IsZero() {
		return site.Text(r, "fact.unused")
	}
	return site.Text(r, "fact.used", language.Ago(page.Language(r), t, now))
}

// host is where the account is, by the issuer.
func host(r *http.Request) string {
	u, err := url.Parse(identity.TenantFrom(r.Context()).Issuer)
	if err != nil {
		return ""
	}
	return u.Host
}
