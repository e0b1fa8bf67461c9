package browser

import (
	"testing"

	"github.com/chromedp/chromedp"

	"github.com/quis-idp/quis/identity/authn"
	"github.com/quis-idp/quis/identity/settings"
)

// TestSecondFactorThatIsAskedFor: who signs in to what asks for a second factor, and has none, sees what it is for.
func TestSecondFactorThatIsAskedFor(t *testing.T) {
	t.Parallel()
	h, b := newComfortHouse(t), newBrowser(t)
	b.open(h.begin(authn.Need{ReturnTo: "/account", Application: "Expenses", MFA: settings.MFAAny}))
	b.signIn("ada", comfortSecret)
	b.do(chromedp.WaitVisible(chromedp.CSS(`.actions a`)))
	b.says("main", "Protect your account to continue to Expenses", "You are signing in as ada.", "You need one before you can go on.")
	b.pictures("enrol")
	b.do(chromedp.Click(chromedp.CSS(`.actions a`)))
	b.arrives(h.URL + "/account/security")
	b.expectNoProblems()
}
