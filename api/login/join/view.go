package join

import (
	"embed"

	"github.com/quis-idp/quis/api/page"
)

//go:embed templates texts
var files embed.FS

var site = page.NewSite(files, english)

// One struct for each page: what it shows, and nothing else.
type (
	// accountView is the form that makes an account.
	accountView struct {
		Email        string
		Login        string // for password managers
		Action       string
		Passkey      string // where the form goes for a passkey instead; "": none can be used here
		Hidden       []hidden
		Alert        page.Alert
		Chooses      bool // a username
		WithPassword bool

		Name, Username, Password page.Field
	}
	// hidden is a field that the form carries.
	hidden struct{ Name, Value string }

	// passkeyView is the form that makes one with a passkey.
	passkeyView struct {
		Action, Options, Session string
		Password                 string // where the form with a password is shown again; "": none can be had
		Hidden                   []hidden
		Alert                    page.Alert
	}

	// addressView asks a stranger for their address.
	addressView struct {
		Application  string
		Action, Flow string
		SignIn       string // for who has an account
		Alert        page.Alert
		Email        page.Field
	}

	// codeView asks for the code of the mail.
	codeView struct {
		Action, Flow, Box string
		Token             string // of the link that was followed; "": none
		Email             string
		Alert             page.Alert
		Code              page.Field
		Again             string // sends another
		Restart           string // begins with another address
	}

	// messageView only tells something.
	messageView struct{ Title, Detail, Link string }
)

var (
	accountPage = page.Page[accountView](site, "templates/account.html", "templates/hidden.html")
	passkeyPage = page.Page[passkeyView](site, "templates/passkey.html", "templates/hidden.html")
	addressPage = page.Page[addressView](site, "templates/address.html")
	codePage    = page.Page[codeView](site, "templates/code.html")
	messagePage = page.Page[messageView](site, "templates/message.html")
)
