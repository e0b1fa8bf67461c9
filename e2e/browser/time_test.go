package browser

import (
	"fmt"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/quis-idp/quis/identity/authn"
)

// TestTimeRunsOut: a form says so two minutes before, without a script and without moving what is there, and
// gives more time for a press of the button, with the name as it was typed (WCAG 2.2, 2.2.1).
func TestTimeRunsOut(t *testing.T) {
	t.Parallel()
	h, b := newComfortHouse(t), newBrowser(t)
	const soon = `getComputedStyle(document.querySelector(".soon")).visibility`
	b.open(h.begin(authn.Need{ReturnTo: "/account", Application: "Web"}))
	if got := run(b, chromedp.Evaluate[string](soon)); got != "hidden" {
		t.Fatalf("a page that was just opened warns: %s", got)
	}
	b.do(chromedp.SendKeys(nameField, "ada"))
	// What is waited for is the browser's clock, not ours.
	run(b, chromedp.Evaluate[bool](`document.querySelector(".soon").getAnimations().every(a => { a.currentTime = 780000; return true })`))
	b.do(chromedp.WaitVisible(chromedp.CSS(".soon button")))
	if shift := b.shift(); shift != 0 {
		t.Errorf("the warning shifts what is there by %v", shift)
	}
	b.pictures("longer")
	b.do(chromedp.Click(chromedp.CSS(".soon button")), chromedp.WaitReady(chromedp.CSS(`input[name="username"][value="ada"]`)))
	for run(b, chromedp.Evaluate[string](soon)) != "hidden" { // the form may be there before its style
		b.wait()
	}
	b.signIn("ada", comfortSecret)
	b.arrives(h.URL + "/account")
	b.expectNoProblems()
}

// TestTimeThatIsLess: a flow that ends earlier than a step does warns earlier, by a class since no page has a style of its
// own, and offers no time that there is not.
func TestTimeThatIsLess(t *testing.T) {
	t.Parallel()
	h, b := newComfortHouse(t), newBrowser(t)
	b.open(h.begin(authn.Need{ReturnTo: "/account", Application: "Web", Until: h.DB.Now().Add(5 * time.Minute)}))
	at := func(seconds int) string {
		return run(b, chromedp.Evaluate[string](fmt.Sprintf(`(document.querySelector(".soon").getAnimations().forEach(a => { a.currentTime = %d000 }), getComputedStyle(document.querySelector(".soon")).visibility)`, seconds)))
	}
	if got := at(100); got != "hidden" {
		t.Errorf("warns more than three minutes before: %s", got)
	}
	if got := at(200); got != "visible" {
		t.Errorf("does not warn two minutes before: %s", got)
	}
	b.pictures("longer-final")
	b.says(".soon", "There is no more to be had.")
	if run(b, chromedp.Evaluate[bool](`document.querySelector(".soon button") !== null`)) {
		t.Error("offers time that there is not")
	}
	b.signIn("ada", comfortSecret)
	b.arrives(h.URL + "/account")
	b.expectNoProblems()
}
