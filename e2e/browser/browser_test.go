package browser

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/quis-idp/quis/e2e/testbed"
)

// webApplication is the one that people come from.
const webApplication = `applications:
  - name: Web
    type: oidc
    client_id: web
    client_secret: "0123456789abcdef0123456789abcdef-web"
    redirect_uris: ["http://localhost:9999/cb"]
    grant_types: [authorization_code, refresh_token]
    allowed_scopes: [openid, profile, email]
`

const bootstrap = `
users:
  - {username: tester, email: tester@example.com, name: Test User, password: "correct horse battery"}
` + webApplication + `  - name: Wiki
    type: oidc
    client_id: wiki
    client_secret: "0123456789abcdef0123456789abcdef-wiki"
    redirect_uris: ["http://localhost:9998/cb"]
    grant_types: [authorization_code]
    allowed_scopes: [openid, profile]
`

var (
	web = testbed.Application{ClientID: "web", Secret: "0123456789abcdef0123456789abcdef-web",
		RedirectURI: "http://localhost:9999/cb", Scope: "openid profile email"}
	wiki = testbed.Application{ClientID: "wiki", Secret: "0123456789abcdef0123456789abcdef-wiki",
		RedirectURI: "http://localhost:9998/cb", Scope: "openid profile"}
)

func TestMain(m *testing.M) {
	code := m.Run()
	testbed.RemoveBinary()
	os.Exit(code)
}

// authorizeURL is where app sends its people, with what it must remember.
func authorizeURL(node string, app testbed.Application) (string, *testbed.Authorization) {
	a := &testbed.Authorization{Verifier: rand.Text() + rand.Text(), Nonce: rand.Text()}
	sum := sha256.Sum256([]byte(a.Verifier))
	return node + "/oauth2/authorize?" + url.Values{
		"response_type": {"code"}, "client_id": {app.ClientID}, "redirect_uri": {app.RedirectURI},
		"scope": {app.Scope}, "state": {"state-of-" + app.ClientID}, "nonce": {a.Nonce},
		"code_challenge": {base64.RawURLEncoding.EncodeToString(sum[:])}, "code_challenge_method": {"S256"},
	}.Encode(), a
}

func params(t *testing.T, at string) url.Values {
	t.Helper()
	u, err := url.Parse(at)
	if err != nil {
		t.Fatal(err)
	}
	return u.Query()
}

func TestSingleSignOnAndOutOverThreeNodes(t *testing.T) {
	t.Parallel()
	d := testbed.Run(t, 3, bootstrap)
	application(t, "localhost:9999")
	application(t, "localhost:9998")
	b := newBrowser(t)

	// Sign in through node 1, first with a wrong password.
	to, a := authorizeURL(d.Public(1), web)
	b.do(chromedp.Navigate(to), chromedp.WaitVisible(nameField))
	if page := b.text("main"); !strings.Contains(page, "Web") {
		t.Errorf("the login page does not name the application: %q", page)
	}
	b.pictures("login")
	b.signIn("tester", "wrong")
	b.do(chromedp.WaitVisible(chromedp.CSS(`[role="alert"]`)))
	b.pictures("login-refused")
	b.signIn("tester", "correct horse battery")
	a.Params = params(t, b.waitLocation(web.RedirectURI))
	a.Code = a.Params.Get("code")
	if a.Params.Get("state") != "state-of-web" || a.Params.Get("iss") != d.Issuer() {
		t.Errorf("came back with %v", a.Params)
	}

	// The application exchanges the code at node 2 and asks node 3 who it is.
	tokens, err := web.Exchange(t.Context(), d.Public(2), a)
	if err != nil {
		t.Fatalf("exchange at node 2: %v", err)
	}
	claims, err := testbed.UserInfo(t.Context(), d.Public(3), tokens.AccessToken)
	if err != nil {
		t.Fatalf("userinfo at node 3: %v", err)
	}
	if claims["preferred_username"] != "tester" {
		t.Errorf("userinfo = %v", claims)
	}

	// A second application, through node 3, asks for nothing.
	to, _ = authorizeURL(d.Public(3), wiki)
	b.do(chromedp.Navigate(to))
	b.waitLocation(wiki.RedirectURI)
	b.expectNoProblems()

	// Sign out everywhere at node 2: tokens die on every node, the next visit asks again.
	b.do(chromedp.Navigate(d.Public(2)+"/logout"), chromedp.WaitVisible(chromedp.CSS(`form [type="submit"]`)))
	b.pictures("logout")
	b.signOutEverywhere()
	b.pictures("signed-out")
	for i := 1; i <= 3; i++ {
		if _, err := web.Refresh(t.Context(), d.Public(i), tokens.RefreshToken); err == nil {
			t.Errorf("node %d refreshes for a session that has been signed out", i)
		}
		refused := time.Now().Add(600 * time.Millisecond) // the staleness bound, and one look
		for err = nil; err == nil; {
			if _, err = testbed.UserInfo(t.Context(), d.Public(i), tokens.AccessToken); err == nil && time.Now().After(refused) {
				t.Fatalf("node %d gives user info for a session that has been signed out", i)
			}
		}
	}
	to, _ = authorizeURL(d.Public(1), web)
	b.do(chromedp.Navigate(to), chromedp.WaitVisible(nameField))
	b.expectNoProblems()
}
