package setup

import "github.com/quis-idp/quis/api/page"

// english holds every sentence of these pages.
var english = page.Texts{
	"setup.title":        "First administrator",
	"setup.heading":      "You go first",
	"setup.lead":         "Make the first account. It may administer everything here; the others come later.",
	"setup.another":      "Another administrator",
	"setup.another_lead": "Make your account. It may administer everything here.",
	"setup.username":     "Username",
	"setup.email":        "Email",
	"setup.name":         "Full name",
	"setup.password":     "Password",
	"setup.repeat":       "The same password again",
	"setup.differ":       "The two passwords are not the same.",
	"setup.submit":       "Create account",

	"setup_dead.detail": "A setup link works once, for an hour, and only until a newer one is made. Make a new one with “quis setup-link” on one of the nodes.",
}
