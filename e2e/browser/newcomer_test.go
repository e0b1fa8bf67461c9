package browser

import (
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/quis-idp/quis/cmd/demo"
	"github.com/quis-idp/quis/e2e/testbed"
)

var setupLink = regexp.MustCompile(`http://localhost:\d+/setup/\S+`)

// TestNewcomer does what the terminal says after `quis dev`: opens the setup link,
// becomes the first administrator, and tries every button of the demo application.
func TestNewcomer(t *testing.T) {
	t.Parallel()
	d := testbed.Run(t, 1, "")
	t.Logf("ready %v after the start of the process", d.ReadyAfter.Round(time.Millisecond))
	b := newBrowser(t)
	link := ""
	for link == "" { // printed when all is ready, a moment after /readyz
		if link = setupLink.FindString(d.Output()); link == "" && b.ctx.Err() != nil {
			t.Fatal("no setup link was printed")
		}
		b.wait()
	}
	b.do(chromedp.Navigate(link), chromedp.WaitVisible(chromedp.CSS(`input[name="email"]`)))
	b.pictures("setup")
	for name, value := range map[string]string{"username": "ada", "email": "ada@example.com", "name": "Ada Lovelace",
		"password": "analytical engine", "repeat": "analytical engine"} {
		b.do(chromedp.SendKeys(chromedp.CSS(`input[name="`+name+`"]`), value))
	}
	b.do(chromedp.Click(chromedp.CSS(`form [type="submit"]`)), chromedp.WaitNotPresent(chromedp.CSS(`input[name="repeat"]`)))

	b.do(chromedp.Navigate(demo.URL(d.Issuer())), chromedp.WaitVisible(chromedp.CSS("#signin")))
	b.pictures("demo")
	b.do(chromedp.Click(chromedp.CSS("#signin")), chromedp.WaitVisible(chromedp.CSS("#refresh")))
	if page := b.text("main"); !strings.Contains(page, "Hello, Ada Lovelace") || !strings.Contains(page, `"preferred_username": "ada"`) {
		t.Errorf("the demo application shows %q", page)
	}
	b.do(chromedp.Click(chromedp.CSS("#refresh")), chromedp.WaitVisible(chromedp.CSS(`[role="status"]`)))
	b.do(chromedp.Click(chromedp.CSS("#userinfo")), chromedp.WaitVisible(chromedp.CSS("#userinfo-answer")))
	b.pictures("demo-signed-in")
	b.expectNoProblems()

	b.do(chromedp.Click(chromedp.CSS("#signout")), chromedp.WaitVisible(chromedp.CSS("#signin")), chromedp.WaitNotPresent(chromedp.CSS("#refresh")))
	b.do(chromedp.Click(chromedp.CSS("#signin")), chromedp.WaitVisible(nameField))
	b.do(chromedp.Navigate(link), chromedp.WaitReady(chromedp.CSS("main")))
	if page := b.text("main"); strings.Contains(page, "repeat") || b.present(`input[name="repeat"]`) {
		t.Errorf("the setup link works twice: %q", page)
	}
	b.pictures("dead-link")
}
