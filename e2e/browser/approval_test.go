package browser

import (
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/quis-idp/quis/e2e/testbed"
	"github.com/quis-idp/quis/identity/credential/totp"
	"github.com/quis-idp/quis/identity/credential/totp/totptest"
)

// TestApprovalInAnotherBrowser: a person adds an app, lets one browser approve, and signs in in
// another by typing its number into the first, each step at another node.
func TestApprovalInAnotherBrowser(t *testing.T) {
	t.Parallel()
	d := testbed.Run(t, 3, portalBootstrap)
	laptop, phone := newBrowser(t), newBrowser(t)
	at := func(b *browser, node int, path string) {
		t.Helper()
		b.do(chromedp.Navigate(d.Public(node)+path), chromedp.WaitReady(chromedp.CSS("main")))
	}
	says := func(b *browser, words string) {
		t.Helper()
		if text := b.text("main"); !strings.Contains(text, words) {
			t.Errorf("the page lacks %q: %q", words, text)
		}
	}
	button := chromedp.CSS(`main form [type="submit"]`)

	at(laptop, 1, "/account/security/apps/new")
	laptop.signIn("ada", "correct horse battery")
	laptop.addApp()

	// The app that was just added counts as proved in this session.
	at(laptop, 2, "/account/security/approvers/new")
	laptop.do(chromedp.WaitVisible(chromedp.CSS(`input[name="name"]`)))
	laptop.pictures("approver-new")
	laptop.do(chromedp.Click(button), chromedp.WaitVisible(chromedp.CSS(".card .notice")))
	says(laptop, "you can approve sign-ins in this browser")
	laptop.pictures("account-security-approver")
	at(laptop, 3, "/account")

	at(phone, 2, "/account")
	phone.signIn("ada", "correct horse battery")
	other := chromedp.CSS(`a[href*="way=approval"]`)
	phone.do(chromedp.WaitVisible(other), chromedp.Click(other), chromedp.WaitNotPresent(other))
	phone.pictures("approval-ask")
	phone.do(chromedp.Click(button), chromedp.WaitVisible(chromedp.CSS(".usercode code")))
	number := phone.text(".usercode code")
	phone.pictures("approval-number")

	// The laptop was there before, and sees it by itself.
	banner := chromedp.CSS(`.account [role="status"] a`)
	laptop.do(chromedp.WaitVisible(banner))
	laptop.pictures("account-asked")
	laptop.do(chromedp.Click(banner), chromedp.WaitVisible(chromedp.CSS(`input[name="number"]`)))
	laptop.pictures("approval-answer")
	wrong := "10"
	if number == wrong {
		wrong = "11"
	}
	laptop.do(chromedp.SendKeys(chromedp.CSS(`input[name="number"]`), wrong), chromedp.Click(button), chromedp.WaitVisible(chromedp.CSS(`[role="alert"]`)))
	says(laptop, "Attempts left: 2")
	laptop.pictures("approval-answer-wrong")
	laptop.do(chromedp.SendKeys(chromedp.CSS(`input[name="number"]`), number), chromedp.Click(button), chromedp.WaitVisible(chromedp.CSS(`.column [role="status"]`)))
	says(laptop, "You have approved the sign-in")

	phone.arrives(d.Public(2) + "/account") // by itself
	phone.do(chromedp.WaitVisible(chromedp.CSS(`input[name="given_name"]`)))

	at(laptop, 1, "/account/security")
	change, remove := chromedp.CSS(`a[href*="/approvers/"]`), chromedp.CSS(`form[action$="/remove"] [type="submit"]`)
	laptop.do(chromedp.Click(change), chromedp.WaitVisible(remove))
	laptop.pictures("approver")
	laptop.do(chromedp.Click(remove), chromedp.WaitVisible(chromedp.CSS(".card .notice")))
	says(laptop, "Nothing can be approved in that browser any more")
	laptop.expectNoProblems()
	phone.expectNoProblems()
}

// addApp adds an authenticator app on the page for that, and returns what is in it.
func (b *browser) addApp() (secret []byte) {
	b.t.Helper()
	b.do(chromedp.WaitVisible(chromedp.CSS("details")), chromedp.Click(chromedp.CSS("details.more summary")), chromedp.WaitVisible(chromedp.CSS(".secret code")))
	secret, err := totptest.Secret(b.text(".secret code"))
	if err != nil {
		b.t.Fatal(err)
	}
	b.submit("code", totp.Parameters{}.Code(secret, time.Now()), "name", "Telephone")
	b.do(chromedp.WaitNotPresent(chromedp.CSS(`input[name="code"]`)))
	return secret
}
