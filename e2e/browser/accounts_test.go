package browser

import (
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"github.com/quis-idp/quis/identity/authn"
	"github.com/quis-idp/quis/identity/directory"
)

// TestAccountsInABrowser: the browser remembers who was here and how, lets them choose and
// forget, in any mode.
func TestAccountsInABrowser(t *testing.T) {
	t.Parallel()
	h, b := newComfortHouse(t), newBrowser(t)
	for _, who := range []string{"ada", "grace"} {
		b.open(h.begin(authn.Need{ReturnTo: "/account"}) + "&another=yes")
		b.signIn(who, comfortSecret)
		b.arrives(h.URL + "/account")
		b.leave(h.URL)
	}
	b.open(h.begin(authn.Need{ReturnTo: "/account", Application: "Web", Select: true}))
	b.pictures("accounts")
	b.do(chromedp.Click(chromedp.CSS(`.choices li:last-child a`)), chromedp.WaitVisible(passwordField))
	if got := b.value(nameField); got != "ada" {
		t.Errorf("chose Ada, and the form is for %q", got)
	}
	if got := b.text(".button .last"); got != "Last used" {
		t.Errorf("the way that was used last is marked %q", got)
	}
	b.pictures("login-last")
	b.do(chromedp.Click(chromedp.CSS(`.links a[href*="accounts=yes"]`)), chromedp.WaitVisible(chromedp.CSS(".choices")))
	b.do(chromedp.Click(chromedp.CSS(`.choices li:first-child button`)), chromedp.WaitVisible(chromedp.CSS(`.choices li:only-child`)))
	if page := b.text("main"); strings.Contains(page, "Grace") || !strings.Contains(page, "Ada") {
		t.Errorf("after forgetting Grace the page says %q", page)
	}
	b.open(h.URL + "/login")
	if got := b.value(nameField); got != "ada" {
		t.Errorf("the form of the only account is for %q", got)
	}
	if shift := b.shift(); shift != 0 {
		t.Errorf("the layout of a form that was filled in shifts by %v", shift)
	}
	if size := b.weight(); size > maxLoginPage {
		t.Errorf("a form that was filled in costs %v bytes, at most %d", size, maxLoginPage)
	} else {
		t.Logf("a form that was filled in costs %v bytes", size)
	}
	b.expectNoProblems()
}

// TestLongNamesInABrowser: who has a long name, without a space, and a long address is not cut off.
func TestLongNamesInABrowser(t *testing.T) {
	t.Parallel()
	h, b := newComfortHouse(t), newBrowser(t)
	name := "Donaudampfschifffahrtsgesellschaftskapitaenswitwenrente"
	h.Person(directory.User{Username: "long", Name: name + " von " + name, Email: "first.middle.last@" + strings.ToLower(name) + ".example.com"}, true)
	b.open(h.begin(authn.Need{ReturnTo: "/account", Application: name}))
	b.picture("long-sign-in", "light")
	b.signIn("long", comfortSecret)
	b.arrives(h.URL + "/account")
	b.picture("long-profile", "dark")
	b.open(h.URL + "/logout")
	b.picture("long-sign-out", "light")
	b.leave(h.URL)
	b.open(h.begin(authn.Need{ReturnTo: "/account", Select: true}))
	b.picture("long-accounts", "dark")
	b.expectNoProblems()
}
