package portal

import (
	"embed"

	"github.com/quis-idp/quis/api/page"
)

//go:embed templates texts
var files embed.FS

var site = page.NewSite(files, english)

const rows = "templates/rows.html"

var (
	profilePage   = page.Page[profileView](site, "templates/profile.html", rows)
	securityPage  = page.Page[securityView](site, "templates/security.html", rows)
	passwordPage  = page.Page[passwordView](site, "templates/password.html")
	namingPage    = page.Page[namingView](site, "templates/naming.html")
	removalPage   = page.Page[removalView](site, "templates/remove.html")
	sessionsPage  = page.Page[sessionsView](site, "templates/sessions.html", rows)
	activityList  = page.Page[activityView](site, "templates/activity.html", rows)
	tokensPage    = page.Page[tokensView](site, "templates/tokens.html", rows)
	newTokenPage  = page.Page[newTokenView](site, "templates/new_token.html")
	madeTokenPage = page.Page[madeTokenView](site, "templates/made_token.html")
	appsPage      = page.Page[appsView](site, "templates/apps.html")
)
