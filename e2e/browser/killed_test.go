package browser

import (
	"encoding/base32"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/webauthn"
	"github.com/chromedp/chromedp"

	"github.com/quis-idp/quis/e2e/testbed"
	"github.com/quis-idp/quis/identity/credential/totp"
)

// patiently does what answers a page, and again, as a person would, as long as the cluster says
// that it will be right back. The form is then one step back, with what the server put there.
func (b *browser) patiently(answer func(), there func() bool) {
	b.t.Helper()
	answer()
	for !there() {
		if b.ctx.Err() != nil {
			b.t.Fatalf("at %s for too long", run(b, chromedp.Location()))
		}
		if b.away() {
			b.do(chromedp.NavigateBack())
			answer()
		}
		b.wait()
	}
}

// away reports whether the page says that nobody can answer now: in our words, or the proxy's.
func (b *browser) away() bool {
	b.t.Helper()
	said := run(b, chromedp.Evaluate[string](`(document.body || {}).innerText || ""`))
	return strings.Contains(said, "We will be right back") || strings.Contains(said, "No node is ready")
}

// at reports whether the tab is at an address with that prefix.
func (b *browser) at(prefix string) func() bool {
	return func() bool { return strings.HasPrefix(run(b, chromedp.Location()), prefix) }
}

// typed is the answer to a page with a form: values, and a press of its button.
func (b *browser) typed(values ...string) func() {
	return func() {
		b.t.Helper()
		for i := 0; i < len(values); i += 2 {
			b.fill(values[i], values[i+1])
		}
		b.do(chromedp.Click(chromedp.CSS(`form:has(input[name="` + values[0] + `"]) [type="submit"]`)))
	}
}

// TestNodeIsKilledWhileSomebodySignsIn: a node is killed while a form is on the screen, each time another,
// the leader among them; whoever answers it comes in at one of those that are left.
func TestNodeIsKilledWhileSomebodySignsIn(t *testing.T) {
	d := testbed.Run(t, 3, bootstrap)
	application(t, "localhost:9999")
	b := passkeyBrowser(t)
	id := newAuthenticator(b, phone)
	proxy := d.Public(0)

	// kill kills a node for the time of a step, and has the cluster whole again before the next.
	kill := func(node int, step func()) {
		t.Helper()
		if err := d.Kill(t.Context(), node); err != nil {
			t.Fatal(err)
		}
		step()
		if err := d.Restart(t.Context(), node); err != nil {
			t.Fatal(err)
		}
		if err := d.WaitReady(t.Context(), node); err != nil {
			t.Fatal(err)
		}
	}
	signOut := func() {
		t.Helper()
		b.open(proxy + "/logout")
		b.do(chromedp.Click(chromedp.CSS(`form [type="submit"]`)), chromedp.WaitNotPresent(chromedp.CSS(`[name="everywhere"]`)))
	}
	comesIn := func(method string) {
		t.Helper()
		if p := params(t, b.waitLocation(web.RedirectURI)); p.Get("code") == "" {
			t.Errorf("%s: came back with %v", method, p)
		}
	}

	// A password, while the leader is killed; then the offer to make a passkey, while another is.
	to, _ := authorizeURL(proxy, web)
	b.open(to)
	b.do(chromedp.WaitVisible(passwordField), chromedp.WaitReady(chromedp.CSS(`[data-passkey-makes][value="yes"]`)))
	offer := chromedp.CSS(`form[data-then]:not([hidden])`)
	kill(d.Leader(t.Context()), func() {
		b.patiently(b.typed("username", "tester", "password", "correct horse battery"), func() bool { return b.present(string(offer)) })
	})
	kill(2, func() {
		b.patiently(func() { b.do(chromedp.Click(chromedp.CSS(string(offer) + " button"))) }, b.at(web.RedirectURI))
	})
	comesIn("password, passkey made")
	signOut()

	// That passkey, touched only when the node is gone.
	touch := func(yes bool) {
		t.Helper()
		_, err := chromedp.Call(b.ctx, webauthn.SetAutomaticPresenceSimulation, webauthn.SetAutomaticPresenceSimulationParams{AuthenticatorID: id, Enabled: yes})
		if err != nil {
			t.Fatal(err)
		}
	}
	ask := func(submit string) {
		t.Helper()
		b.do(chromedp.WaitVisible(chromedp.CSS(submit)), chromedp.Click(chromedp.CSS(submit)))
	}
	const passkeyButton = `form[data-passkey="get"] button`
	touch(false)
	b.open(to)
	ask(passkeyButton)
	kill(3, func() { b.patiently(func() { touch(true) }, b.at(web.RedirectURI)) })
	comesIn("passkey")

	// An authenticator app behind the password, with another node gone before each of the two.
	b.open(proxy + "/account/security/apps/new")
	key := b.secret()
	b.typed("code", totp.Parameters{}.Code(key, time.Now()))()
	b.do(chromedp.WaitNotPresent(chromedp.CSS(`input[name="code"]`)))
	signOut()
	touch(false) // the list of passkeys stays closed
	b.open(to)
	kill(1, func() {
		b.patiently(b.typed("username", "tester", "password", "correct horse battery"), func() bool { return b.present(`a[href*="way=totp"]`) })
	})
	ask(`a[href*="way=totp"]`)
	b.do(chromedp.WaitVisible(chromedp.CSS(`input[name="code"]`)))
	kill(d.Leader(t.Context()), func() {
		next := totp.Parameters{}.Code(key, time.Now().Add(30*time.Second)) // the present one was used to set it up
		b.patiently(b.typed("code", next), b.at(web.RedirectURI))
	})
	comesIn("authenticator app")
}

// secret is that of an authenticator app which is about to be set up.
func (b *browser) secret() []byte {
	b.t.Helper()
	text := strings.ReplaceAll(run(b, chromedp.TextContent(chromedp.CSS(".secret code"))), " ", "")
	key, err := base32.StdEncoding.WithPadding(base32.NoPadding).DecodeString(text)
	if err != nil {
		b.t.Fatalf("secret %q: %v", text, err)
	}
	return key
}
