package browser

import (
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"github.com/quis-idp/quis/e2e/testbed"
)

const portalBootstrap = `
users:
  - {username: ada, email: ada@example.com, name: Ada Lovelace, password: "correct horse battery"}
applications:
  - {name: Wiki, type: spa, client_id: wiki, redirect_uris: ["http://localhost:9998/cb"], launch_url: "http://localhost:9998/", app_group: Knowledge, description: Where things are written down}
  - {name: Chat, type: spa, client_id: chat, redirect_uris: ["http://localhost:9998/cb"], launch_url: "http://localhost:9998/chat"}
`

// tokenIsUsedAndRevoked has a program use the only token of the person on the screen, and them take it back.
func (b *browser) tokenIsUsedAndRevoked(d *testbed.Dev, token string) {
	b.t.Helper()
	use := func(node int) int {
		b.t.Helper()
		r, err := http.NewRequestWithContext(b.ctx, http.MethodGet, d.Public(node)+"/api/v1/me/sessions", nil)
		if err != nil {
			b.t.Fatal(err)
		}
		r.Header.Set("Authorization", "Bearer "+token)
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			b.t.Fatal(err)
		}
		resp.Body.Close()
		return resp.StatusCode
	}
	if got := use(1); got != http.StatusOK {
		b.t.Errorf("the token is answered %d", got)
	}
	b.finds(d.Public(2)+"/account/tokens", ".rows", "Last used")
	b.do(chromedp.Click(chromedp.CSS(`.rows [type="submit"]`)))
	b.says(`[role="status"]`, "revoked")
	for node := 1; node <= 3; node++ {
		for use(node) != http.StatusUnauthorized { // as soon as the node has heard of it
			if b.ctx.Err() != nil {
				b.t.Fatalf("node %d knows the token still", node)
			}
			b.wait()
		}
	}
	b.picture("account-tokens-none", "dark")
}

// TestAccountOverThreeNodes walks through a person's own pages, each at another node: what
// is changed at one is seen at the next, and a browser that is signed out at one is out at all.
func TestAccountOverThreeNodes(t *testing.T) {
	t.Parallel()
	d := testbed.Run(t, 3, portalBootstrap)
	application(t, "localhost:9998")
	b, other := newBrowser(t), newBrowser(t)
	submit := chromedp.CSS(`.column form [type="submit"]`)
	at := func(b *browser, node int, path string) {
		t.Helper()
		b.do(chromedp.Navigate(d.Public(node)+path), chromedp.WaitReady(chromedp.CSS("main")))
	}
	says := func(words ...string) {
		t.Helper()
		text := b.text("main")
		for _, w := range words {
			if !strings.Contains(text, w) {
				t.Errorf("the page lacks %q: %q", w, text)
			}
		}
	}
	for _, b := range []*browser{b, other} {
		at(b, 1, "/account")
		b.signIn("ada", "correct horse battery")
		b.arrives(d.Public(1) + "/account")
		b.do(chromedp.WaitVisible(chromedp.CSS(`input[name="given_name"]`)))
	}
	b.pictures("account-profile")
	b.do(chromedp.SendKeys(chromedp.CSS(`input[name="given_name"]`), "Ada"), chromedp.Click(submit), chromedp.WaitVisible(chromedp.CSS(`[role="status"]`)))
	says("Your profile is saved")

	at(b, 2, "/account/security")
	if rule := run(b, chromedp.Evaluate[string](`getComputedStyle(document.querySelector(".card .rows > li:last-child")).borderBlockEndWidth`)); rule != "0px" {
		t.Errorf("a rule of %s ends the list, above that of the next card", rule)
	}
	b.pictures("account-security")
	at(b, 2, "/account/security/password")
	b.pictures("account-password")

	at(b, 3, "/account/sessions")
	says("this device", "Sign out everywhere else")
	b.pictures("account-sessions")
	b.do(chromedp.Click(chromedp.CSS(`.column .actions [type="submit"]`)), chromedp.WaitVisible(chromedp.CSS(`[role="status"]`)))
	says("everywhere but here")
	for node := 1; node <= 3; node++ {
		at(other, node, "/account/activity")
		other.do(chromedp.WaitVisible(nameField))
	}

	at(b, 1, "/account/activity")
	says("You signed in", "Your profile was changed: given name", "This wasn't me")
	b.pictures("account-activity")

	at(b, 2, "/account/tokens/new")
	b.pictures("account-token-new")
	b.do(chromedp.SendKeys(chromedp.CSS(`input[name="name"]`), "backup"), chromedp.Click(submit), chromedp.WaitVisible(chromedp.CSS("code.secret")))
	token := b.text("code.secret")
	if !regexp.MustCompile(`^quis_pat_[\w-]{43}$`).MatchString(token) {
		t.Errorf("token %q", token)
	}
	b.do(chromedp.WaitVisible(chromedp.CSS(`[data-copy="token"]`)))
	b.pictures("account-token-made")
	b.do(chromedp.Click(chromedp.CSS(`[data-copy]`)), chromedp.WaitVisible(chromedp.CSS(`main`)))
	at(b, 3, "/account/tokens")
	says("backup", "Never used")
	b.pictures("account-tokens")
	b.tokenIsUsedAndRevoked(d, token)

	at(b, 1, "/apps")
	says("Knowledge", "Wiki", "Where things are written down", "Chat")
	b.pictures("account-apps")
	at(b, 2, "/apps?q=chat")
	if b.present(`a[href="http://localhost:9998/"]`) {
		t.Error("what was not searched for is shown")
	}
	b.do(chromedp.Click(chromedp.CSS(`.tiles a`)))
	b.waitLocation("http://localhost:9998/chat")

	at(b, 3, "/account/activity")
	b.do(chromedp.Click(submit), chromedp.WaitVisible(chromedp.CSS(`input[name="current"]`)))
	says("You are signed out everywhere but here")
	for name, value := range map[string]string{"current": "correct horse battery", "password": "an engine that weaves algebra", "repeat": "an engine that weaves algebra"} {
		b.do(chromedp.SendKeys(chromedp.CSS(`input[name="`+name+`"]`), value))
	}
	b.do(chromedp.Click(submit), chromedp.WaitNotPresent(chromedp.CSS(`input[name="current"]`)), chromedp.WaitReady(chromedp.CSS("main")))
	says("Your password is changed")
	b.expectNoProblems()
}
