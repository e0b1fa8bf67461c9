package browser

import (
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/fetch"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"

	"github.com/quis-idp/quis/e2e/testbed"
	"github.com/quis-idp/quis/federation"
)

const pagesBootstrap = `
users:
  - {username: ada, email: ada@example.com, email_verified: true, name: Ada Lovelace, password: "correct horse battery"}
applications:
  - name: Web
    type: oidc
    client_id: web
    client_secret: "0123456789abcdef0123456789abcdef-web"
    redirect_uris: ["http://localhost:9999/cb"]
    grant_types: [authorization_code, "urn:ietf:params:oauth:grant-type:device_code", "urn:openid:params:grant-type:ciba"]
    allowed_scopes: [openid, profile, email]
`

// A hold keeps a browser from an address to which a page leads on by itself.
type hold struct {
	b     *browser
	leads chan struct{} // gets something when the browser wanted to go there
}

// holds keeps the browser from addresses that begin like this.
func (b *browser) holds(prefix string) hold {
	b.t.Helper()
	h := hold{b, make(chan struct{}, 1)}
	if err := chromedp.Listen(b.ctx, func(ev any) {
		if _, ok := ev.(*fetch.EventRequestPaused); ok {
			select {
			case h.leads <- struct{}{}:
			default:
			}
		}
	}); err != nil {
		b.t.Fatal(err)
	}
	_, err := chromedp.Call(b.ctx, fetch.Enable, fetch.EnableParams{Patterns: []*fetch.RequestPattern{{URLPattern: prefix + "*"}}})
	if err != nil {
		b.t.Fatal(err)
	}
	return h
}

// stays has the browser stay on pages that begin like this: they lead on by themselves no more.
func (b *browser) stays(prefix string) hold {
	b.t.Helper()
	if err := chromedp.Listen(b.ctx, func(ev any) {
		if e, ok := ev.(*fetch.EventRequestPaused); ok {
			headers := slices.DeleteFunc(e.ResponseHeaders, func(h *fetch.HeaderEntry) bool { return strings.EqualFold(h.Name, "Refresh") })
			go chromedp.Call(b.ctx, fetch.ContinueResponse, fetch.ContinueResponseParams{RequestID: e.RequestID, ResponseCode: e.ResponseStatusCode, ResponseHeaders: headers})
		}
	}); err != nil {
		b.t.Fatal(err)
	}
	_, err := chromedp.Call(b.ctx, fetch.Enable, fetch.EnableParams{Patterns: []*fetch.RequestPattern{{URLPattern: prefix + "*", RequestStage: fetch.RequestStageResponse}}})
	if err != nil {
		b.t.Fatal(err)
	}
	return hold{b: b}
}

// wait waits until the browser wants to go there.
func (h hold) wait() {
	h.b.t.Helper()
	select {
	case <-h.leads:
	case <-h.b.ctx.Done():
		at, _ := h.b.content("main")
		h.b.t.Fatalf("the page leads nowhere: %s", at)
	}
}

// stop has the browser give it up, as its button for that does: the page stays.
func (h hold) stop() {
	h.b.t.Helper()
	if _, err := chromedp.Call(h.b.ctx, page.StopLoading, cdp.Empty{}); err != nil {
		h.b.t.Fatal(err)
	}
}

// end lets the browser go there from now on.
func (h hold) end() {
	h.b.t.Helper()
	if _, err := chromedp.Call(h.b.ctx, fetch.Disable, cdp.Empty{}); err != nil {
		h.b.t.Fatal(err)
	}
}

// asks posts a form as the application does, and returns what it is answered.
func asks(b *browser, at string, form url.Values) (answer map[string]any) {
	b.t.Helper()
	r, err := http.NewRequestWithContext(b.ctx, http.MethodPost, at, strings.NewReader(form.Encode()))
	if err != nil {
		b.t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.SetBasicAuth(web.ClientID, web.Secret)
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		b.t.Fatal(err)
	}
	defer resp.Body.Close()
	if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil || resp.StatusCode != http.StatusOK {
		b.t.Fatalf("%s: %s, %v, %v", at, resp.Status, answer, err)
	}
	return answer
}

// TestPagesOnTheWay shows what people see for a moment, or only when something is wrong.
func TestPagesOnTheWay(t *testing.T) {
	t.Parallel()
	d := testbed.Run(t, 1, pagesBootstrap)
	application(t, "localhost:9999")
	b := newBrowser(t)
	at := d.Public(1)
	b.open(at + "/")
	b.pictures("home")
	b.open(at + "/no/such/page")
	b.says("main h1", "There is nothing here")
	b.pictures("error")
	to, _ := authorizeURL(at, web)
	b.open(strings.Replace(to, "client_id=web", "client_id=nobody", 1))
	b.picture("error-application", "dark")

	b.open(to)
	b.name("ada")
	b.do(chromedp.Click(chromedp.CSS(`.links a[href*="/recover"]`)))
	b.says("main h1", "Get back in")
	b.pictures("recover")
	b.do(chromedp.Click(chromedp.CSS(`main .links a`)), chromedp.WaitVisible(nameField)) // who has remembered it
	b.says("main h1 .to", "to continue to")
	b.open(to)
	h := b.stays(at + "/login")
	b.signIn("ada", comfortSecret)
	b.says("main h1", "Signing you in")
	b.pictures("leaving")
	h.end()
	b.do(chromedp.Click(chromedp.CSS(".actions a"))) // for whom it does not go on by itself
	b.waitLocation(web.RedirectURI)
	b.scripts(false)
	b.open(to + "&response_mode=form_post")
	b.scripts(true)
	b.pictures("posting")
	b.leave(at)
	b.open(to)
	for !b.present(`main .lead[role="alert"]`) {
		run(b, chromedp.Evaluate[bool](`document.querySelectorAll('[role="alert"]').forEach(a => a.remove()) ?? true`)) // the next one is the answer's
		b.signIn("nobody", "wrong")
		b.do(chromedp.WaitVisible(chromedp.CSS(`[role="alert"]`)))
	}
	b.says("main h1", "Please wait a little")
	b.pictures("wait")
	b.expectNoProblems()
}

// TestDevicesAndApprovalsInABrowser: a device without a browser and an application without a
// page wait for a person to say yes.
func TestDevicesAndApprovalsInABrowser(t *testing.T) {
	t.Parallel()
	d := testbed.Run(t, 1, pagesBootstrap)
	b := newBrowser(t)
	at := d.Public(1)
	b.open(at + "/account/approvals")
	b.signIn("ada", comfortSecret)
	b.says("main", "Nothing waits for your approval")
	b.picture("approvals-none", "dark")
	b.open(at + "/account/applications")
	b.picture("connected-none", "dark")

	device := asks(b, at+"/oauth2/device_authorization", url.Values{"scope": {"openid profile"}})
	b.open(at + "/device")
	b.pictures("device-code")
	b.submit("user_code", "WRON-GCOD")
	b.do(chromedp.WaitVisible(chromedp.CSS(`.fault, [role="alert"]`)))
	b.picture("device-code-wrong", "dark")
	b.submit("user_code", device["user_code"].(string))
	b.do(chromedp.WaitVisible(chromedp.CSS(`.usercode`)))
	b.pictures("device")
	b.do(chromedp.Click(chromedp.CSS(`button[value="allow"]`)), chromedp.WaitNotPresent(chromedp.CSS(`.usercode`)))
	b.picture("device-done", "dark")
	asks(b, at+"/oauth2/token", url.Values{"grant_type": {federation.GrantDevice}, "device_code": {device["device_code"].(string)}})

	asked := asks(b, at+"/oauth2/bc-authorize", url.Values{"scope": {"openid profile"}, "login_hint": {"ada"}, "binding_message": {"Pay 12.50, W4SCT"}})
	b.finds(at+"/account/approvals", "main", "Pay 12.50, W4SCT")
	b.pictures("approvals")
	b.do(chromedp.Click(chromedp.CSS(`button[value="allow"]`)))
	b.says(`[role="status"]`, "You have allowed it")
	b.picture("approvals-done", "dark")
	asks(b, at+"/oauth2/token", url.Values{"grant_type": {federation.GrantCIBA}, "auth_req_id": {asked["auth_req_id"].(string)}})
	b.expectNoProblems()
}

// TestAlarmInABrowser: a person reads of a change in their mail, says that it was not them, and
// everybody is out.
func TestAlarmInABrowser(t *testing.T) {
	t.Parallel()
	d := testbed.Run(t, 1, pagesBootstrap)
	b, thief := newBrowser(t), newBrowser(t)
	at := d.Public(1)
	b.open(at + "/dev/mail")
	b.picture("inbox-none", "dark")
	thief.open(at + securityPath + "/apps/new")
	thief.signIn("ada", comfortSecret)
	thief.addApp()
	mail := &mailbox{b: b, at: d.Issuer()}
	m := mail.wait("ada@example.com", "/account/not-me")
	b.open(at + "/dev/mail")
	b.pictures("inbox")
	b.do(chromedp.Click(chromedp.CSS(`main li a`)))
	b.do(chromedp.WaitVisible(chromedp.CSS(".facts")))
	b.pictures("inbox-mail")
	b.open(linkWith(t, m, "/account/not-me"))
	b.says("main h1", "Was it not you?")
	b.pictures("alarm")
	b.submit()
	b.says("main", "Everybody is signed out of your account")
	b.pictures("alarm-done")
	thief.finds(at+securityPath, "main", "Sign in")
	thief.signIn("ada", comfortSecret)
	thief.says("main", "Your account was locked down", "a code is on its way")
	thief.pictures("mail-locked")
	mail.last = mail.wait("ada@example.com", "wants to sign in").ID // theirs, which the thief cannot read
	b.open(at + "/account")
	b.signIn("ada", comfortSecret)
	b.says("main", "Your account was locked down")
	mine := mail.wait("ada@example.com", "wants to sign in")
	b.submit("code", sixDigits.FindString(mine.Text))
	b.says("main h1", "A new password")
	b.submit("password", "quite another one than before")
	b.says("main h1", "Profile")
	b.open(linkWith(t, m, "/account/not-me"))
	b.says("main h1", "This link no longer works")
	b.pictures("alarm-dead")
	b.expectNoProblems()
	thief.expectNoProblems()
}
