package browser

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/quis-idp/quis/identity/authn"
)

// TestNameThenPassword: the form asks for the name, and then for the password, in one page; a password manager that has
// filled in both is not asked again, and whoever has no scripts gets there in two steps.
func TestNameThenPassword(t *testing.T) {
	t.Parallel()
	h, b := newComfortHouse(t), newBrowser(t)
	login := func() {
		t.Helper()
		b.open(h.begin(authn.Need{ReturnTo: "/account/activity", Login: true}) + "&another=yes")
		b.do(chromedp.WaitVisible(nameField))
		if seen := run(b, chromedp.Evaluate[bool](`document.getElementById("password").checkVisibility()`)); seen {
			t.Error("the password is asked for before the name")
		}
	}
	asks := func() {
		t.Helper()
		b.do(chromedp.WaitVisible(passwordField))
		if at := run(b, chromedp.Evaluate[string](`document.activeElement.id`)); at != "password" {
			t.Errorf("the focus is on %q", at)
		}
		if got := b.text(`form button[type="submit"]:not([formaction])`); !strings.HasPrefix(got, "Sign in") { // and perhaps that it was used last
			t.Errorf("the button says %q", got)
		}
		b.do(chromedp.WaitVisible(chromedp.CSS(`.links a[href*="/recover"]`)))
		if got := b.value(nameField); got != "ada" {
			t.Errorf("the name is %q", got)
		}
	}
	login()
	before := run(b, chromedp.Evaluate[float64](`performance.timeOrigin`))
	b.name("ada")
	asks()
	if now := run(b, chromedp.Evaluate[float64](`performance.timeOrigin`)); now != before {
		t.Error("the server was asked where a script could do it")
	}
	b.pictures("login-password")
	b.do(chromedp.SendKeys(passwordField, comfortSecret+"\r"))
	b.arrives(h.URL + "/account/activity")
	b.leave(h.URL)

	h.Pass(time.Second) // a sign-in from before this flow
	login()
	run(b, chromedp.Evaluate[bool](fmt.Sprintf(`document.getElementById("password").value = %q, true`, comfortSecret)))
	b.fill("username", "ada")
	b.do(chromedp.SendKeys(nameField, "\r"))
	b.arrives(h.URL + "/account/activity")
	b.leave(h.URL)

	h.Pass(time.Second)
	b.scripts(false)
	login()
	b.name("ada")
	asks()
	b.do(chromedp.SendKeys(passwordField, comfortSecret+"\r"))
	b.scripts(true) // of the browser's tools, which look where it is
	b.arrives(h.URL + "/account/activity")
	b.expectNoProblems()
}
