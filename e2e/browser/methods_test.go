package browser

import (
	"testing"
	"time"

	"github.com/chromedp/cdproto/webauthn"
	"github.com/chromedp/chromedp"

	"github.com/quis-idp/quis/e2e/testbed"
)

const securityPath = "/account/security"

var (
	codeField = chromedp.CSS(`input[name="code"]`)

	removeForm   = chromedp.CSS(`form[action$="/remove"] [type="submit"]`)
	whoseAccount = chromedp.CSS(`nav.account .who`)
)

// TestEveryMethodComesAndGoes: what the other tests only add is used here in the way that a
// person uses it, and taken away again, over three nodes. METHODS.md says which test does what.
func TestEveryMethodComesAndGoes(t *testing.T) {
	t.Parallel()
	d := testbed.Run(t, 3, killedBootstrap)
	begun := time.Now()
	for _, m := range []struct {
		name string
		all  func(*visit)
	}{
		{"security key", (*visit).securityKey},
		{"app, trusted device, recovery codes", (*visit).appAndWhatBelongsToIt},
		{"passkey of who has nothing else", (*visit).onlyPasskey},
		{"password of who has a passkey", (*visit).needlessPassword},
		{"code and link by mail", (*visit).addressThatChanges},
	} {
		t.Run(m.name, func(t *testing.T) {
			v := newVisit(t, d)
			m.all(v)
			v.b.expectNoProblems()
		})
	}
	t.Logf("all of it took %v", time.Since(begun).Round(time.Millisecond))
}

// withPassword begins to sign in with a password at the page of security.
func (v *visit) withPassword(username string) {
	v.t.Helper()
	v.b.open(v.proxy + securityPath)
	v.b.signIn(username, comfortSecret)
}

// isIn waits until somebody is signed in who has got where they were going.
func (v *visit) isIn(username string) {
	v.t.Helper()
	v.b.arrives(v.proxy + securityPath)
	v.b.says(string(whoseAccount), username)
}

// isAskedFor waits for the second step with these words.
func (v *visit) isAskedFor(words string) {
	v.t.Helper()
	v.b.says("main", "One more step", words)
}

// takeAway removes the only thing that has a page of its own under /account/security/…
func (v *visit) takeAway(which, done string) {
	v.t.Helper()
	v.b.open(v.proxy + securityPath)
	v.b.do(chromedp.Click(chromedp.CSS(`.rows a[href*="/`+which+`/"]`)), chromedp.WaitVisible(removeForm))
	v.b.picture("remove-"+which, "dark")
	v.b.do(chromedp.Click(removeForm))
	v.b.says(`main [role="status"]`, done)
}

// A key of U2F signs nobody in alone: it is asked for after the password until it is removed.
func (v *visit) securityKey() {
	v.key = newAuthenticator(v.b, webauthn.VirtualAuthenticatorOptions{Protocol: "u2f", Transport: "usb"})
	v.withPassword("eve")
	v.isIn("eve")
	v.b.open(v.proxy + securityPath + "/passkeys/new")
	v.b.pictures("passkey-new")
	v.b.do(chromedp.Click(chromedp.CSS(`main .links a[href$="kind=key"]`)))
	v.b.says("h1", "Add a security key")
	v.b.pictures("key-new")
	v.b.fill("name", "Blue key")
	v.press()
	v.b.says("main", "Your security key is added", "after your password")
	v.b.leave(v.proxy)

	v.withPassword("eve")
	v.isAskedFor("Use your passkey or security key")
	v.b.pictures("second-key")
	v.press()
	v.isIn("eve")
	v.b.says("main", "Blue key", "Last used")
	v.b.picture("account-security-key", "dark")
	v.takeAway("passkeys", "The passkey is removed")
	v.b.leave(v.proxy)
	v.withPassword("eve")
	v.isIn("eve")
}

// An app is asked for but in a device that is trusted, and while there is one there can be codes
// on paper in its place.
func (v *visit) appAndWhatBelongsToIt() {
	quis(v.b, v.d, "settings", "set", "trusted_device_duration_days=30")
	secret := v.addsApp("grace")
	v.b.says("main", "Your authenticator app is added", "you get in when your telephone is gone")
	v.b.picture("codes-offer", "dark")
	codes := v.showsCodes()
	v.b.pictures("codes")
	v.b.leave(v.proxy)

	v.withPassword("grace")
	v.isAskedFor("Open your authenticator app")
	v.b.pictures("second-app")
	v.b.fill("code", nextCode(secret))
	v.b.do(chromedp.Click(chromedp.CSS(`input[name="trust"]`)), chromedp.Click(submitted))
	v.isIn("grace")
	v.b.says("main", "Trusted devices", "Trusted until")
	v.b.leave(v.proxy)
	v.withPassword("grace") // and no more
	v.isIn("grace")
	v.b.picture("account-security-device", "dark")
	v.b.do(chromedp.Click(chromedp.CSS(`.card a[href*="/security/devices/"]`)), chromedp.WaitVisible(chromedp.CSS(`input[name="name"]`)))
	v.b.pictures("device-name")
	v.b.fill("name", "Laptop")
	v.b.do(chromedp.Click(submitted))
	v.b.says("main", "The new name is saved", "Laptop")
	v.b.do(chromedp.Click(chromedp.CSS(`form[action$="/devices"] [type="submit"]`)))
	v.b.says("main", "That device is not trusted any more")
	v.b.leave(v.proxy)

	v.withCode("grace", codes[0])
	v.isIn("grace")
	v.b.says("main", "9 of 10 codes left")
	v.b.open(v.proxy + securityPath + "/codes")
	v.b.says("main", "New codes take the place of those that you have")
	v.b.picture("codes-again", "dark")
	fresh := v.showsCodes()
	v.b.leave(v.proxy)
	v.withCode("grace", codes[1]) // which was replaced
	v.b.says(`[role="alert"]`, "That is not one of your recovery codes")
	v.b.picture("second-codes-wrong", "dark")
	v.b.fill("code", fresh[0])
	v.send("code")
	v.isIn("grace")
	v.onlyFactor()
	v.takeAway("apps", "The authenticator app is removed") // first: who came in by a code is asked for the app once there are no codes
	v.b.picture("account-security-app-removed", "dark")
	v.takeAway("codes", "Your recovery codes are removed")
	v.b.leave(v.proxy)
	v.withPassword("grace")
	v.isIn("grace")
}

// addsApp gives somebody an app, and ends at the page that offers codes.
func (v *visit) addsApp(username string) (secret []byte) {
	v.t.Helper()
	v.withPassword(username)
	v.isIn(username)
	v.b.open(v.proxy + securityPath + "/apps/new")
	v.b.pictures("app-new")
	return v.b.addApp()
}

// showsCodes has the codes shown that are good from now on.
func (v *visit) showsCodes() []string {
	v.t.Helper()
	v.b.do(chromedp.Click(submitted), chromedp.WaitVisible(chromedp.CSS(".codes")))
	codes := run(v.b, chromedp.Evaluate[[]string](`[...document.querySelectorAll(".codes code")].map(e => e.textContent)`))
	if len(codes) != 10 {
		v.t.Fatalf("%d codes", len(codes))
	}
	return codes
}

// withCode signs in with a password and a code on paper.
func (v *visit) withCode(username, code string) {
	v.t.Helper()
	v.withPassword(username)
	other := chromedp.CSS(`a[href*="way=recovery"]`)
	v.b.do(chromedp.WaitVisible(other), chromedp.Click(other))
	v.isAskedFor("Enter one of the recovery codes that you kept")
	v.b.fill("code", code)
	v.send("code")
}

// onlyFactor tries to remove the only app, where the tenant asks for a second factor.
func (v *visit) onlyFactor() {
	v.t.Helper()
	v.b.open(v.proxy + securityPath)
	v.b.do(chromedp.Click(chromedp.CSS(`.rows a[href*="/apps/"]`)), chromedp.WaitVisible(removeForm))
	v.b.picture("app", "dark")
	quis(v.b, v.d, "settings", "set", "mfa_policy=any")
	v.b.do(chromedp.Click(removeForm))
	v.b.says(`[role="alert"]`, "asks for a second factor, and this is your only one. Add a passkey first.")
	if v.b.present(string(removeForm)) || !v.b.present(`.card a[href$="/passkeys/new"]`) {
		v.t.Error("the page does not lead on to what would help")
	}
	v.b.picture("app-needed", "dark")
	quis(v.b, v.d, "settings", "set", "mfa_policy=disabled")
}

// Who came with a passkey keeps it until there is a password.
func (v *visit) onlyPasskey() {
	v.key = newAuthenticator(v.b, phone)
	quis(v.b, v.d, "user", "invite", "lise@example.com")
	v.b.open(linkOf(v.t, v.mail.wait("lise@example.com", "")))
	with := chromedp.CSS(`[data-with-passkey]`)
	v.b.do(chromedp.WaitVisible(with), chromedp.Click(with))
	v.press()
	v.b.says("main", "Hello, lise@example.com")
	v.b.leave(v.proxy)

	v.b.open(v.proxy + securityPath)
	v.isIn("lise@example.com") // the list picks the only passkey by itself under automation
	v.b.says("main", "You have no password")
	v.b.picture("account-security-passkey", "dark")
	v.b.do(chromedp.Click(chromedp.CSS(`.rows a[href*="/passkeys/"]`)))
	v.b.says("main", "This is your only way to sign in. Add a passkey first.")
	if v.b.present(string(removeForm)) {
		v.t.Error("the only way to sign in can be removed")
	}
	v.b.pictures("passkey-only")
	v.b.open(v.proxy + securityPath + "/password")
	v.b.picture("password-first", "dark")
	v.b.submit("password", comfortSecret, "repeat", comfortSecret)
	v.b.says("main", "Set on")
	v.takeAway("passkeys", "The passkey is removed")
	v.b.picture("passkey-removed", "dark")
	for v.b.keys(v.key) != 0 { // the browser has been told
		v.b.wait()
	}
	v.b.leave(v.proxy)
	v.withPassword("lise@example.com")
	v.b.arrives(v.proxy + securityPath + "/passkeys/offer") // which there was before
}

// A password stays until there is something else that begins a sign-in, and is not missed then.
func (v *visit) needlessPassword() {
	v.withPassword("ida")
	v.isIn("ida")
	v.b.open(v.proxy + securityPath + "/password/remove")
	v.b.says(`[role="alert"]`, "You need your password")
	if v.b.present(string(removeForm)) {
		v.t.Error("the only way to sign in can be removed")
	}
	if !v.b.present(`main .actions a[href$="/passkeys/new"]`) {
		v.t.Error("the refusal does not lead on")
	}
	v.b.pictures("remove-needed")
	v.key = newAuthenticator(v.b, phone)
	v.b.open(v.proxy + securityPath + "/passkeys/new")
	v.press()
	v.b.says("main", "Your passkey is added")
	v.b.open(v.proxy + securityPath + "/password/remove")
	v.b.says("main", "If you then lose all your passkeys")
	v.b.pictures("remove")
	v.b.submit("current", "something else")
	v.b.says("main", "That is not your current password")
	v.b.submit("current", comfortSecret)
	v.b.says(`main [role="status"]`, "Your password is removed")
	v.b.says("main", "You have no password")
	v.b.picture("account-security-no-password", "dark")
	v.b.leave(v.proxy)
	v.b.open(v.proxy + securityPath)
	v.isIn("ida") // with the passkey: the list picks the only one by itself under automation
	v.b.leave(v.proxy)
	v.loses(v.key)
	v.withPassword("ida")
	v.b.says(`[role="alert"]`, "That name and password do not match")
}

// loses takes an authenticator away from the browser.
func (v *visit) loses(key webauthn.AuthenticatorID) {
	v.t.Helper()
	_, err := chromedp.Call(v.b.ctx, webauthn.RemoveVirtualAuthenticator, webauthn.RemoveVirtualAuthenticatorParams{AuthenticatorID: key})
	if err != nil {
		v.t.Fatal(err)
	}
}

// An address signs in who reads its mail, until it is another one.
func (v *visit) addressThatChanges() {
	quis(v.b, v.d, "settings", "set", "allow_magic_link=true", "allow_email_otp=true")
	v.asksForMail("mia")
	v.b.picture("mail", "dark")
	v.b.open(linkOf(v.t, v.mail.wait("mia@example.com", "/login")))
	v.b.says("main", "You followed the link in the email")
	v.b.pictures("mail-link")
	v.b.submit()
	v.isIn("mia")

	v.b.open(v.proxy + "/account/email")
	v.b.submit("email", "mia@example.org")
	for _, proof := range [][2]string{{"mia@example.com", "Now follow the link in the other message"}, {"mia@example.org", "Your email address is changed"}} {
		v.b.open(linkOf(v.t, v.mail.wait(proof[0], "/account/email/confirm")))
		v.b.submit()
		v.b.says("main", proof[1])
	}
	v.b.open(v.proxy + "/account/email/confirm?token=outlived")
	v.b.picture("email-dead", "dark")
	v.b.leave(v.proxy)
	v.asksForMail("mia@example.com") // which is nobody's now
	v.b.says("main", "If mia@example.com has a confirmed email address here")
	v.asksForMail("mia")
	v.b.fill("code", v.code("mia@example.org"))
	v.send("code")
	v.isIn("mia")
	v.b.leave(v.proxy)
	quis(v.b, v.d, "settings", "set", "allow_magic_link=false", "allow_email_otp=false")
	v.b.open(v.proxy + securityPath)
	if v.b.present(`button[formaction$="/login/mail"]`) {
		v.t.Error("mail is offered where it signs nobody in")
	}
}

// asksForMail asks in the form of sign-in for a code by mail.
func (v *visit) asksForMail(name string) {
	v.t.Helper()
	v.b.open(v.proxy + securityPath)
	v.b.fill("username", name)
	v.b.do(chromedp.Click(chromedp.CSS(`button[formaction$="/login/mail"]`)), chromedp.WaitVisible(codeField))
}
