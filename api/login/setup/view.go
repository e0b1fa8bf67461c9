package setup

import (
	"embed"

	"github.com/quis-idp/quis/api/page"
)

//go:embed templates texts
var files embed.FS

var site = page.NewSite(files, english)

// setupView is the form for an administrator.
type setupView struct {
	Action                                  string
	First                                   bool // there is none yet
	Alert                                   page.Alert
	Username, Email, Name, Password, Repeat page.Field
}

var setupPage = page.Page[setupView](site, "templates/setup.html")
