package address

import (
	"embed"

	"github.com/quis-idp/quis/api/page"
)

//go:embed templates texts
var files embed.FS

var site = page.NewSite(files, english)

type (
	// changeView shows what waits, or the form that begins a change.
	changeView struct {
		Account              page.Navigation
		Notice               string
		Alert                page.Alert
		Action, Cancel, Back string
		Now                  string // the address of now
		Proved               bool   // it is known to be theirs, and asked
		Closed               bool   // no mail is sent
		Email                page.Field
		Waiting              *waiting
	}

	// waiting is a change on its way.
	waiting struct {
		From, To           string // From: "" if it has no say
		OldWaits, NewWaits bool
		Own                bool // it is the address of now that waits to be confirmed
	}

	// confirmView asks whoever followed a link.
	confirmView struct {
		Account       page.Navigation
		Action, Token string
		Cancel        string // where the change is given up instead
		From, To      string
		New           bool // the link went to the new address
	}

	deadView struct {
		Account page.Navigation
		Begin   string
	}
)

var (
	changePage  = page.Page[changeView](site, "templates/change.html")
	confirmPage = page.Page[confirmView](site, "templates/confirm.html")
	deadPage    = page.Page[deadView](site, "templates/dead.html")
)
