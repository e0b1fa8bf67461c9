package browser

import (
	"fmt"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"github.com/quis-idp/quis/identity/authn"
)

// tabTo presses Tab until the element has the focus. On the way everything that has it
// must show it, and must not be covered (WCAG 2.2, 2.4.7 and 2.4.11).
func (b *browser) tabTo(selector string) {
	b.t.Helper()
	for range 60 {
		b.do(chromedp.KeyEvent(kb.Tab))
		switch state := run(b, chromedp.Evaluate[string](fmt.Sprintf(`(() => {
  const e = document.activeElement, box = e.getBoundingClientRect(), style = getComputedStyle(e);
  if (e === document.body) return "body";
  const top = document.elementFromPoint(box.x + box.width / 2, box.y + box.height / 2);
  if (style.outlineStyle === "none" || parseFloat(style.outlineWidth) < 2) return "unseen: " + e.outerHTML.slice(0, 200);
  if (!top || !e.contains(top)) return "covered: " + e.outerHTML.slice(0, 200);
  return e.matches(%q) ? "there" : "";
})()`, selector))); state {
		case "there":
			return
		case "", "body": // the address bar's turn
		default:
			b.t.Errorf("what has the focus is %s", state)
		}
	}
	b.t.Fatalf("Tab never reaches %s", selector)
}

// press tabs to an element and presses a key there.
func (b *browser) press(selector, key string) {
	b.t.Helper()
	b.tabTo(selector)
	b.do(chromedp.KeyEvent(key))
}

// TestKeyboardOnly signs in, fails at first, chooses another language, signs out, and chooses
// among accounts, without a pointer.
func TestKeyboardOnly(t *testing.T) {
	t.Parallel()
	h, b := newComfortHouse(t), newBrowser(t)
	b.focused(true)
	for _, who := range []string{"ada", "grace"} {
		b.do(chromedp.Navigate(h.begin(authn.Need{ReturnTo: "/account", Login: true})+"&another=yes"), chromedp.WaitVisible(nameField+":focus"))
		b.do(chromedp.KeyEvent(who+kb.Enter), chromedp.WaitVisible(passwordField+":focus"), chromedp.KeyEvent("wrong"+kb.Enter))
		b.do(chromedp.WaitVisible(chromedp.CSS(`[role="alert"]`)), chromedp.WaitVisible(passwordField+":focus"))
		b.do(chromedp.KeyEvent(comfortSecret))
		b.press(`form button[type="submit"]`, kb.Enter)
		b.arrives(h.URL + "/account")
		b.do(chromedp.WaitReady(chromedp.CSS(`a[href="/logout"]`)))
		b.press(`.skip`, kb.Enter) // past the navigation, and with Tab into what the page is about
		b.do(chromedp.WaitVisible(chromedp.CSS(`main:focus`)), chromedp.KeyEvent(kb.Tab), chromedp.WaitVisible(chromedp.CSS(`main :focus`)))
		b.do(chromedp.Navigate(h.URL+"/account"), chromedp.WaitReady(chromedp.CSS(`a[href="/logout"]`)))
		b.press(`a[href="/logout"]`, kb.Enter)
		b.do(chromedp.WaitVisible(chromedp.CSS(`input[name="everywhere"]`)))
		b.press(`input[name="everywhere"]`, " ")
		b.do(chromedp.WaitReady(chromedp.CSS(`input[name="everywhere"]:checked`)))
		b.press(`form button[type="submit"]`, kb.Enter)
		b.do(chromedp.WaitNotPresent(chromedp.CSS(`input[name="everywhere"]`)))
	}
	b.open(h.begin(authn.Need{ReturnTo: "/account"}))
	b.press(`summary`, kb.Enter) // the languages, behind everything else
	b.press(`.languages [value="de"]`, kb.Enter)
	b.do(chromedp.WaitVisible(chromedp.CSS(`html[lang="de"] .choices`)))
	b.press(`.choices li:last-child button`, " ")
	b.do(chromedp.WaitNotPresent(chromedp.CSS(`.choices li + li`)))
	b.press(`.choices a`, kb.Enter)
	b.do(chromedp.WaitVisible(passwordField + ":focus"))
	if got := b.value(nameField); got != "grace" {
		t.Errorf("the form is for %q", got)
	}
	b.do(chromedp.KeyEvent(comfortSecret + kb.Enter))
	b.arrives(h.URL + "/account")
	b.expectNoProblems()
}
