package browser

import (
	"fmt"
	"testing"
	"time"

	"github.com/chromedp/cdproto/webauthn"
	"github.com/chromedp/chromedp"

	"github.com/quis-idp/quis/e2e/testbed"
	"github.com/quis-idp/quis/identity/credential/totp"
	"github.com/quis-idp/quis/identity/credential/totp/totptest"
)

const killedBootstrap = `
users:
  - {username: ada, email: ada@example.com, email_verified: true, name: Ada Lovelace, password: "correct horse battery"}
  - {username: grace, email: grace@example.com, email_verified: true, name: Grace Hopper, password: "correct horse battery"}
  - {username: eve, email: eve@example.com, email_verified: true, password: "correct horse battery"}
  - {username: ida, email: ida@example.com, email_verified: true, password: "correct horse battery"}
  - {username: mia, email: mia@example.com, email_verified: true, password: "correct horse battery"}
` + webApplication

// A visit is one person's, in a browser of their own, to three nodes behind a proxy. What they
// type is in the form already when a node is killed, and they only have to send it.
type visit struct {
	t     *testing.T
	d     *testbed.Dev
	b     *browser
	key   webauthn.AuthenticatorID
	mail  *mailbox
	proxy string
}

// TestNodeIsKilledWhileSomebodySignsIn: while a page is on the screen the node that served it is
// killed, or the one that leads. Whoever answers the page is served by those that are left, and
// gets where they were going without an error on the way.
func TestNodeIsKilledWhileSomebodySignsIn(t *testing.T) {
	t.Parallel()
	d := testbed.Run(t, 3, killedBootstrap)
	application(t, "localhost:9999")
	begun := time.Now()
	for name, flow := range map[string]func(*visit){
		"password, then app":    (*visit).passwordAndApp,
		"passkey":               (*visit).passkey,
		"code by mail":          (*visit).codeByMail,
		"passkey in the portal": (*visit).passkeyInThePortal,
		"getting back in":       (*visit).getBackIn,
	} {
		t.Run(name, func(t *testing.T) {
			b := passkeyBrowser(t)
			v := &visit{t: t, d: d, b: b, key: newAuthenticator(b, phone), mail: &mailbox{b: b, at: d.Issuer()}, proxy: d.Public(0)}
			quis(b, d, "settings", "set", "allow_email_otp=true")
			flow(v)
			b.expectNoProblems() // an answer of 500 or more would be one
		})
	}
	t.Logf("all of it took %v", time.Since(begun).Round(time.Millisecond))
}

func (v *visit) passwordAndApp() {
	secret := v.setUpApp("ada")
	to, a := authorizeURL(v.proxy, web)
	v.kill(v.servedBy("GET", "/login", func() { v.b.open(to) }), func() {
		v.b.name("ada")
		v.b.fill("password", comfortSecret)
	}, func() {
		v.send("password")
		v.b.do(chromedp.WaitVisible(chromedp.CSS(`input[name="code"]`)))
	})
	v.kill(v.leader(), func() {
		next := totp.Parameters{}.Code(secret, time.Now().Add(30*time.Second)) // the present one has been used
		v.b.fill("code", next)
	}, func() {
		v.send("code")
		v.comesIn("ada", a)
	})
}

func (v *visit) passkey() {
	v.newPasskey("grace")
	v.press()
	v.b.says("main", "Your passkey is added")
	v.b.leave(v.proxy)
	v.touch(false) // nothing happens by itself meanwhile
	to, a := authorizeURL(v.proxy, web)
	v.kill(v.servedBy("GET", "/login", func() { v.b.open(to) }), func() {
		v.b.do(chromedp.WaitVisible(passkeyButton))
	}, func() {
		v.touch(true)
		v.press()
		v.comesIn("grace", a)
	})
}

func (v *visit) passkeyInThePortal() {
	v.kill(v.newPasskey("eve"), func() { v.b.fill("name", "Blue key") }, func() {
		v.press()
		v.b.says("main", "Your passkey is added")
		v.b.open(v.proxy + "/account/security")
		v.b.says("main", "Blue key")
	})
}

func (v *visit) codeByMail() {
	to, a := authorizeURL(v.proxy, web)
	page := v.servedBy("GET", "/login", func() { v.b.open(to) })
	v.kill(page, func() { v.b.fill("username", "mia") }, func() {
		page = v.servedBy("POST", "/login/mail", func() {
			v.b.do(chromedp.Click(chromedp.CSS(`button[formaction$="/login/mail"]`)))
			v.b.do(chromedp.WaitVisible(chromedp.CSS(`input[name="code"]`)))
		})
	})
	v.kill(page, func() { v.b.fill("code", v.code("mia@example.com")) }, func() {
		v.send("code")
		v.comesIn("mia", a)
	})
}

func (v *visit) getBackIn() {
	to, a := authorizeURL(v.proxy, web)
	v.b.open(to)
	v.b.name("ida")
	page := v.servedBy("GET", "/login", func() {
		v.b.do(chromedp.Click(chromedp.CSS(`.links a[href*="/recover"]`)))
		v.b.says("main h1", "Get back in")
	})
	v.kill(page, func() { v.b.fill("username", "ida") }, func() {
		v.send("username")
		v.b.do(chromedp.WaitVisible(chromedp.CSS(`input[name="code"]`)))
	})
	v.b.fill("code", v.code("ida@example.com"))
	v.send("code")
	v.b.do(chromedp.WaitVisible(passwordField))
	v.kill(v.leader(), func() {
		v.b.fill("password", "an engine that weaves algebra")
		v.b.says("#password-verdict", "can be your password") // asked for while it is typed
	}, func() {
		v.send("password")
		v.comesIn("ida", a)
	})
}

// kill kills a node after some typing, for as long as it takes to go on, and has the
// cluster whole again before anything else.
func (v *visit) kill(node int, typing, goingOn func()) {
	v.t.Helper()
	typing()
	if err := v.d.Kill(v.t.Context(), node); err != nil {
		v.t.Fatal(err)
	}
	defer func() { // also when somebody got stuck: the others shall find three nodes
		if err := v.d.Restart(v.t.Context(), node); err != nil {
			v.t.Error(err)
		}
		for i := range v.d.Nodes {
			if err := v.d.WaitReady(v.t.Context(), i+1); err != nil {
				v.t.Error(err)
			}
		}
	}()
	goingOn()
}

func (v *visit) leader() int {
	v.t.Helper()
	l, err := v.d.WaitLeader(v.t.Context(), 0)
	if err != nil {
		v.t.Fatal(err)
	}
	return l
}

// servedBy is the node that served the page to which a step leads, as the nodes count it.
func (v *visit) servedBy(method, route string, step func()) int {
	v.t.Helper()
	name := fmt.Sprintf(`quis_http_requests_total{code="200",method=%q,route=%q}`, method, route)
	count := func(node int) float64 {
		n, _ := v.d.Metric(v.t.Context(), node, name) // none yet, or the node is dead
		return n
	}
	before := map[int]float64{}
	for i := range v.d.Nodes {
		before[i+1] = count(i + 1)
	}
	step()
	for {
		for node, n := range before {
			if count(node) > n {
				return node
			}
		}
		if v.b.ctx.Err() != nil {
			v.t.Fatalf("no node has answered %s %s", method, route)
		}
		v.b.wait()
	}
}

// send sends the form of a field.
func (v *visit) send(field string) {
	v.t.Helper()
	v.b.do(chromedp.SendKeys(chromedp.CSS(`input[name="`+field+`"]`), "\r"))
}

// comesIn reports whether the application gets the person whom it expects.
func (v *visit) comesIn(username string, a *testbed.Authorization) {
	v.t.Helper()
	a.Params = params(v.t, v.b.waitLocation(web.RedirectURI))
	a.Code = a.Params.Get("code")
	tokens, err := web.Exchange(v.t.Context(), v.proxy, a)
	if err != nil {
		v.t.Fatalf("came back with %v: %v", a.Params, err)
	}
	claims, err := testbed.UserInfo(v.t.Context(), v.proxy, tokens.AccessToken)
	if err != nil || claims["preferred_username"] != username {
		v.t.Errorf("%v came in, not %s: %v", claims, username, err)
	}
}

// code is the one that was mailed to an address.
func (v *visit) code(to string) string {
	v.t.Helper()
	return sixDigits.FindString(v.mail.wait(to, "code").Text)
}

const passkeyButton = chromedp.CSS(`form[data-passkey] button`)

// press has the browser ask for a passkey, or make one.
func (v *visit) press() {
	v.t.Helper()
	v.b.do(chromedp.WaitVisible(passkeyButton), chromedp.Click(passkeyButton))
}

// touch says whether the person is there to touch the authenticator.
func (v *visit) touch(yes bool) {
	v.t.Helper()
	_, err := chromedp.Call(v.b.ctx, webauthn.SetAutomaticPresenceSimulation,
		webauthn.SetAutomaticPresenceSimulationParams{AuthenticatorID: v.key, Enabled: yes})
	if err != nil {
		v.t.Fatal(err)
	}
}

// signIn signs in with a password for a page of the portal.
func (v *visit) signIn(username, path string) {
	v.t.Helper()
	v.b.open(v.proxy + path)
	v.b.do(chromedp.WaitReady(chromedp.CSS(`[data-passkey-makes][value="yes"]`)))
	v.b.signIn(username, comfortSecret)
	v.b.waitLocation(v.proxy + "/account/security/passkeys/offer")
	v.b.do(chromedp.Click(chromedp.CSS(`.actions a`))) // not now
	v.b.arrives(v.proxy + path)
}

// newPasskey leads to the form that makes a passkey, and says which node served it.
func (v *visit) newPasskey(username string) int {
	v.t.Helper()
	const path = "/account/security/passkeys/new"
	return v.servedBy("GET", path, func() { v.signIn(username, path) })
}

// setUpApp gives somebody an authenticator app, signs them out again, and returns its secret.
func (v *visit) setUpApp(username string) []byte {
	v.t.Helper()
	v.signIn(username, "/account/security/apps/new")
	v.b.do(chromedp.Click(chromedp.CSS("details.more summary")), chromedp.WaitVisible(chromedp.CSS(".secret code")))
	secret, err := totptest.Secret(v.b.text(".secret code"))
	if err != nil {
		v.t.Fatal(err)
	}
	v.b.fill("code", totp.Parameters{}.Code(secret, time.Now()))
	v.b.fill("name", "Telephone")
	v.send("name")
	v.b.do(chromedp.WaitVisible(chromedp.CSS(`[role="status"]`)))
	v.b.leave(v.proxy)
	return secret
}
