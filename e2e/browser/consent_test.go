package browser

import (
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"github.com/quis-idp/quis/e2e/testbed"
)

// TestConsentOverThreeNodes: a person is asked at one node, leaves something out, refuses
// the second time, and takes everything back at another node. The way from a form of ours
// to the application is one that browsers let pass.
func TestConsentOverThreeNodes(t *testing.T) {
	t.Parallel()
	d := testbed.Run(t, 3, bootstrap)
	application(t, "localhost:9999")
	b := newBrowser(t)
	allow, refuse := chromedp.CSS(`button[value="allow"]`), chromedp.CSS(`button[value="deny"]`)

	to, a := authorizeURL(d.Public(1), web)
	b.do(chromedp.Navigate(to+"&prompt=consent"), chromedp.WaitVisible(nameField))
	b.signIn("tester", "correct horse battery")
	b.do(chromedp.WaitVisible(allow))
	if page := b.text("main"); !strings.Contains(page, "Allow Web to use your account?") || !strings.Contains(page, "localhost:9999") || !strings.Contains(page, "tester@example.com") {
		t.Errorf("the page says %q", page)
	}
	b.pictures("consent")
	b.do(chromedp.Click(chromedp.CSS(`input[value="email"]`)), chromedp.Click(allow))
	a.Params = params(t, b.waitLocation(web.RedirectURI))
	a.Code = a.Params.Get("code")
	tokens, err := web.Exchange(t.Context(), d.Public(2), a)
	if err != nil {
		t.Fatalf("exchange at node 2: %v", err)
	}
	if claims, err := testbed.UserInfo(t.Context(), d.Public(3), tokens.AccessToken); err != nil || claims["name"] != "Test User" || claims["email"] != nil {
		t.Errorf("userinfo %v: %v", claims, err)
	}

	to, _ = authorizeURL(d.Public(2), web)
	b.do(chromedp.Navigate(to+"&prompt=consent"), chromedp.WaitVisible(refuse), chromedp.Click(refuse))
	if p := params(t, b.waitLocation(web.RedirectURI)); p.Get("error") != "access_denied" || p.Get("state") != "state-of-web" || p.Has("code") {
		t.Errorf("refused with %v", p)
	}

	b.do(chromedp.Navigate(d.Public(3)+"/account/applications"), chromedp.WaitVisible(chromedp.CSS(`.question button`)))
	b.pictures("connected")
	b.do(chromedp.Click(chromedp.CSS(`form [type="submit"]`)), chromedp.WaitNotPresent(chromedp.CSS(`input[name="application"]`)), chromedp.WaitReady(chromedp.CSS("main")))
	if page := b.text("main"); !strings.Contains(page, "The access is removed") {
		t.Errorf("after taking back: %q", page)
	}
	for i := 1; i <= 3; i++ {
		if _, err := web.Refresh(t.Context(), d.Public(i), tokens.RefreshToken); err == nil {
			t.Errorf("node %d refreshes what was taken back", i)
		}
	}
	b.expectNoProblems()
}
