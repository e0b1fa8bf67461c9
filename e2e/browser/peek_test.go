package browser

import (
	"slices"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"github.com/quis-idp/quis/identity/authn"
)

// TestPasswordCanBeSeen: with the keyboard or the mouse, and it is sent as what it is (ASVS V2.1.12).
func TestPasswordCanBeSeen(t *testing.T) {
	t.Parallel()
	h, b := newComfortHouse(t), newBrowser(t)
	peek := chromedp.CSS(`input[name="password"] + .peek`)
	is := func(kind, says, name string) {
		t.Helper()
		got := run(b, chromedp.Evaluate[[]string](`(p => [p.type, p.nextElementSibling.textContent, p.nextElementSibling.ariaLabel, p.value])(document.querySelector("[name=password]"))`))
		if want := []string{kind, says, name, comfortSecret}; !slices.Equal(got, want) {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	b.open(h.begin(authn.Need{ReturnTo: "/account", LoginHint: "ada"}))
	b.do(chromedp.WaitVisible(peek), chromedp.SendKeys(passwordField, comfortSecret))
	is("password", "Show", "Show: Password")
	if shift := b.shift(); shift != 0 {
		t.Errorf("the button shifts the layout by %v", shift)
	}
	b.do(chromedp.Click(peek))
	is("text", "Hide", "Hide: Password")
	b.pictures("login-peek")
	b.do(chromedp.SendKeys(peek, kb.Enter))
	is("password", "Show", "Show: Password")
	b.do(chromedp.SendKeys(peek, kb.Enter))
	sent := run(b, chromedp.Evaluate[string](`(f => { let kind; f.form.addEventListener("submit", e => { e.preventDefault(); kind = f.type }); f.form.requestSubmit(); return kind })(document.querySelector("[name=password]"))`))
	if sent != "password" {
		t.Errorf("it is sent from a field of type %q", sent)
	}
	b.expectNoProblems()
}
