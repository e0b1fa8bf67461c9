package browser

import (
	"testing"

	"github.com/chromedp/chromedp"

	"github.com/quis-idp/quis/e2e/testbed"
)

const anotherPassword = "an engine that weaves algebra"

// TestForgottenPasswordOverThreeNodes: mail alone lets nobody in who has more to prove. Whoever
// proves it, in whatever way they have it, chooses a new password and gets where they were going.
func TestForgottenPasswordOverThreeNodes(t *testing.T) {
	t.Parallel()
	d := testbed.Run(t, 3, killedBootstrap)
	for _, by := range []struct {
		name string
		way  func(*visit)
	}{
		{"mail and app", (*visit).forgetsWithApp},
		{"mail and recovery code", (*visit).forgetsWithCodes},
		{"mail and passkey", (*visit).forgetsWithPasskey},
	} {
		t.Run(by.name, func(t *testing.T) {
			v := newVisit(t, d)
			by.way(v)
			v.b.expectNoProblems()
		})
	}
}

// forgets goes from the sign-in form to the step after the code that is mailed to whoever has
// forgotten their password.
func (v *visit) forgets(username string) {
	v.t.Helper()
	v.b.open(v.proxy + securityPath)
	v.b.do(chromedp.Click(chromedp.CSS(`.links a[href*="/recover"]`)))
	v.b.says("main h1", "Get back in")
	v.b.fill("username", username)
	v.send("username")
	v.b.fill("code", v.mail.code(username))
	v.send("code")
	v.b.says("main h1", "One more step")
}

// renews chooses a new password for who has proved enough, and sees that it has come to be.
func (v *visit) renews(username string) {
	v.t.Helper()
	v.b.says("main", "Choose a new password")
	v.b.submit("password", anotherPassword)
	v.isIn(username)
	v.mail.wait(username+"@example.com", "The password of your account was set or changed")
}

func (v *visit) forgetsWithApp() {
	secret := v.hasApp("ada")
	v.b.leave(v.proxy)
	v.forgets("ada")
	v.isAskedFor("Open your authenticator app")
	v.b.picture("forgotten-app", "light")
	v.b.fill("code", "000000")
	v.send("code")
	v.b.says(`[role="alert"]`, "That code is not right")
	v.b.fill("code", nextCode(secret))
	v.send("code")
	v.renews("ada")
}

func (v *visit) forgetsWithCodes() {
	v.hasApp("grace")
	codes := v.showsCodes()
	v.b.leave(v.proxy)
	v.forgets("grace")
	other := chromedp.CSS(`a[href*="way=recovery"]`)
	v.b.do(chromedp.WaitVisible(other), chromedp.Click(other))
	v.isAskedFor("Enter one of the recovery codes that you kept")
	v.b.fill("code", codes[0])
	v.send("code")
	v.renews("grace")
	v.b.says("main", "9 of 10 codes left")
}

func (v *visit) forgetsWithPasskey() {
	v.withPassword("ida")
	v.isIn("ida")
	v.key = newAuthenticator(v.b, phone)
	v.b.open(v.proxy + securityPath + "/passkeys/new")
	v.press()
	v.b.says("main", "Your passkey is added")
	v.b.leave(v.proxy)
	v.touch(false) // nothing happens by itself meanwhile
	v.forgets("ida")
	v.isAskedFor("Use your passkey or security key")
	v.touch(true)
	v.press()
	v.renews("ida")
}
