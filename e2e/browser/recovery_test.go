package browser

import (
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/quis-idp/quis/e2e/testbed"
	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/authn"
	"github.com/quis-idp/quis/identity/credential/totp/totptest"
	"github.com/quis-idp/quis/identity/directory"
)

const password = "correct horse battery"

// lose goes from the sign-in form on the screen to where somebody is who has lost the second factor,
// with what is left: the password, and a code by mail. look is told which page is on the screen.
func (b *browser) lose(who string, code func() string, look func(page string)) {
	b.t.Helper()
	b.signIn(who, password)
	lost := chromedp.CSS(`form[action$="/login/lost"] button`)
	b.do(chromedp.WaitVisible(lost))
	look("lost-second")
	b.do(chromedp.Click(lost))
	b.says("main", "Check your email")
	look("lost-mail")
	b.submit("code", code())
	b.says("main", "Get back in")
}

var sixDigits = regexp.MustCompile(`\b\d{6}\b`)

func unseen(string) {}

// code is what the next message to somebody who wants to get back in asks to be typed.
func (m *mailbox) code(who string) string {
	m.b.t.Helper()
	got := m.wait(who+"@example.com", "wants to get back in. Type this code")
	m.last = got.ID
	return sixDigits.FindString(got.Text)
}

// TestRecoveryOverThreeNodes: where a tenant has nobody wait, a person gets back in at once and
// protects the account anew; where it does, everybody signed in is told, and can stop it.
func TestRecoveryOverThreeNodes(t *testing.T) {
	t.Parallel()
	d := testbed.Run(t, 3, administeredBootstrap)
	one, other := newBrowser(t), newBrowser(t)
	mail, at := &mailbox{b: one, at: d.Issuer()}, d.Public(0)
	code := func() string { return mail.code("ada") }
	quis(one, d, "settings", "set", "recovery.delay_hours=0", "recovery.cooling_off_hours=0")
	one.open(at + "/account/security/apps/new")
	one.signIn("ada", password)
	one.addApp()

	other.open(at + "/account")
	other.lose("ada", code, func(page string) { other.picture(page, "light") })
	other.says("main", "You can go on now", "are removed")
	other.picture("lost-now", "light")
	other.submit()
	other.says("main", "Protect your account")
	other.picture("lost-protect", "light")
	one.finds(at+"/account", "main", "Forgotten your password?") // whoever was in is out
	mail.wait("ada@example.com", "Somebody has recovered your account")
	other.do(chromedp.Click(chromedp.CSS(`.actions a`)))
	other.says("main", "How you prove that it is you")
	if page := other.text("main"); strings.Contains(page, "Telephone") {
		t.Errorf("what was lost is there: %q", page)
	}
	other.open(at + "/account/security/apps/new")
	other.addApp()

	// Somebody who knows the password and reads the mail begins anew.
	quis(one, d, "settings", "set", "recovery.delay_hours=24")
	one.open(at + "/account")
	one.lose("ada", code, unseen)
	one.says("main", "Then you wait: 24 hours")
	one.picture("lost-wait", "light")
	one.submit()
	one.says("main", "You can go on in", "That stops all this")
	one.picture("lost-waits", "light")
	started := mail.wait("ada@example.com", "the ways to sign in to your account are lost")

	for _, path := range []string{"/account/security", "/account/sessions", "/account/activity", "/account/tokens", "/apps", "/account"} {
		other.finds(at+path, ".banner", "Somebody is about to get into your account", "It is not me: stop it")
		other.picture("recovered"+strings.ReplaceAll(path, "/", "-"), "light")
	}
	other.do(chromedp.Click(chromedp.CSS(`.banner [type="submit"]`)))
	other.says("main", "It was stopped")
	if other.present(".banner") {
		t.Error("the warning stays")
	}
	other.picture("recovery-stopped", "light")
	mail.last = started.ID
	mail.wait("ada@example.com", "what somebody had begun was stopped")

	// Who was stopped cannot begin again.
	one.open(at + "/account")
	one.lose("ada", code, unseen)
	one.submit()
	one.says("main", "somebody stopped that")
	one.picture("lost-refused", "light")
	one.expectNoProblems()
	other.expectNoProblems()
}

// TestRecoveryLinkOverThreeNodes: an administrator makes a link, which is good for nothing before
// another one has agreed, and then once.
func TestRecoveryLinkOverThreeNodes(t *testing.T) {
	t.Parallel()
	d := testbed.Run(t, 3, administeredBootstrap)
	b, thief := newBrowser(t), newBrowser(t)
	at := d.Public(0)
	root, second := administrator{b, d, rootToken}, administrator{b, d, secondToken}
	quis(b, d, "settings", "set", "recovery.two_person=true")
	thief.open(at + "/account")
	thief.signIn("ada", password)
	thief.says("nav.account .login", "ada")
	made := root.quis("user", "recover", "link", "ada")
	link, id := made["url"].(string), made["id"].(string)
	if made["state"] != "unapproved" {
		t.Errorf("made %v", made)
	}

	b.open(link)
	b.says("main", "Not yet", "A second administrator has to approve this link first")
	b.picture("link-early", "light")
	if out := root.refused("user", "recover", "approve", "ada", id); !strings.Contains(out, "Another administrator has to approve it") {
		t.Errorf("who made it approves it: %s", out)
	}
	thief.finds(at+"/account", ".banner", "Somebody can get into your account now")
	if got := second.quis("user", "recover", "approve", "ada", id); got["state"] != "open" {
		t.Errorf("approved: %v", got)
	}

	b.open(link)
	b.says("main", "It works once")
	b.picture("link", "light")
	b.submit()
	b.says("main", "Choose a new password")
	b.picture("link-password", "light")
	b.submit("password", "a compiler of many words")
	b.says("main", "Protect your account")
	b.picture("link-protect", "light")
	b.open(at + "/")
	b.says("main", "Hello, Ada Lovelace")
	thief.finds(at+"/account", "main", "Forgotten your password?")
	thief.open(link)
	thief.says("main", "This link no longer works")
	thief.picture("link-used", "light")
	thief.open(at + "/account")
	thief.signIn("ada", password)
	thief.do(chromedp.WaitVisible(chromedp.CSS(`[role="alert"]`)))
	b.expectNoProblems()
	thief.expectNoProblems()
}

// TestRecoveryAfterItsDelay: who has waited comes back in the same way, and gets in. For a day
// afterwards the account gives away no more than that.
func TestRecoveryAfterItsDelay(t *testing.T) {
	t.Parallel()
	h, b := newComfortHouseOver(t, 3), newBrowser(t)
	h.protect("ada")
	code := func() string { return h.code(b) }
	b.open(h.begin(authn.Need{ReturnTo: "/account/activity"}))
	b.lose("ada", code, unseen)
	b.submit()
	b.says("main", "You can go on in 24 hours")
	h.Pass(23 * time.Hour)
	b.open(h.begin(authn.Need{ReturnTo: "/account/activity"}))
	b.lose("ada", code, unseen)
	b.says("main", "You can go on in an hour")
	h.Pass(time.Hour)
	b.open(h.begin(authn.Need{ReturnTo: "/account/activity"}))
	b.lose("ada", code, unseen)
	b.says("main", "You can go on now")
	b.picture("lost-ready", "light")
	b.submit()
	b.says("main", "Protect your account")
	b.do(chromedp.Click(chromedp.CSS(`.actions .quiet`)))
	b.arrives(h.URL + "/account/activity")
	b.says("main", "The recovery of your account was begun", "Your account was recovered")
	b.picture("lost-activity", "light")

	const newToken = "/account/tokens/new"
	b.open(h.URL + newToken)
	b.says("main", "Your account was recovered not long ago", "has to wait a while")
	b.picture("lost-rests", "light")
	h.Pass(24 * time.Hour)
	b.open(h.URL + newToken)
	b.signIn("ada", password) // the session has not lasted so long
	b.arrives(h.URL + newToken)
	b.submit("name", "backup")
	b.do(chromedp.WaitVisible(chromedp.CSS("code.secret")))
	b.expectNoProblems()
}

// protect proves a person's address and gives them an authenticator app, which nobody has.
func (h comfortHouse) protect(username string) {
	h.T.Helper()
	h.Update(func(tx *fsm.Tx) error {
		u, err := directory.UserByUsername(tx, identity.DefaultTenant, username)
		if err != nil {
			return err
		}
		if _, err := directory.UpdateUser(tx, u.Tenant, u.ID, 0, func(u *directory.User) error { u.EmailVerified = true; return nil }); err != nil {
			return err
		}
		_, _, err = totptest.Add(tx, h.Ring, u.Tenant, u.ID, "Telephone")
		return err
	})
}
