package browser

import (
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"github.com/quis-idp/quis/e2e/testbed"
)

// accountFlows are those in which an account is made, changed, lost or got back.
var accountFlows = []flow{
	{"invitation", "lise", (*visit).invitation},
	{"self-registration", "second@example.com", (*visit).registration},
	{"change of address", "eve", (*visit).changeOfAddress},
	{"lost second factor", "ida", (*visit).lostFactor},
	{"lost second factor, found again", "ada", (*visit).foundFactor},
	{"this wasn't me", "grace", (*visit).notMe},
}

// TestNodeIsKilledWhileAnAccountChanges: what was begun at a node that is killed is finished at
// those that are left, once, and nothing has to be said again.
func TestNodeIsKilledWhileAnAccountChanges(t *testing.T) {
	t.Parallel()
	interrupted(t, testbed.Run(t, 3, killedBootstrap), accountFlows, "allow_self_registration=true")
}

// The leader dies with the invitation written and its letter unsent; then the node with the form.
func (v *visit) invitation(who string) {
	quis(v.b, v.d, "user", "invite", who+"@example.com")
	v.leaderDies()
	link := linkOf(v.t, v.mail.wait(who+"@example.com", ""))
	page := v.servedBy("GET", "/invite/{secret}", func() { v.b.open(link) })
	v.b.fill("username", who)
	v.b.fill("password", anotherPassword)
	v.dies(page)
	v.send("password")
	v.b.says("main", "Hello, "+who)
	v.isDead(link, "This invitation no longer works")
}

func (v *visit) registration(who string) {
	v.b.open(v.proxy + "/login")
	page := v.servedBy("GET", "/register", func() { v.b.do(chromedp.Click(chromedp.CSS(`a[href*="/register"]`))) })
	v.b.fill("email", who)
	v.dies(page)
	v.send("email")
	v.b.fill("code", v.code(who))
	v.leaderDies()
	page = v.servedBy("POST", "/register/code", func() { v.send("code") })
	v.b.fill("password", anotherPassword)
	v.dies(page)
	v.send("password")
	v.b.says("main", "Hello, "+who)
}

// Both addresses are proved, each at another node than the one that shows its link.
func (v *visit) changeOfAddress(who string) {
	const path = "/account/email"
	v.withPassword(who)
	v.isIn(who)
	page := v.servedBy("GET", path, func() { v.b.open(v.proxy + path) })
	v.b.fill("email", who+"@example.org")
	v.dies(page)
	v.send("email")
	v.b.says("main", "Messages are on their way")
	former := linkOf(v.t, v.mail.wait(who+"@example.com", path+"/confirm"))
	next := linkOf(v.t, v.mail.wait(who+"@example.org", path+"/confirm"))
	v.b.open(former)
	v.leaderDies()
	v.b.submit()
	v.b.says("main", "Now follow the link in the other message")
	page = v.servedBy("GET", path+"/confirm", func() { v.b.open(next) })
	v.dies(page)
	v.b.submit()
	v.b.says("main", "Your email address is changed", who+"@example.org")
	v.isDead(next, "This link no longer works")
}

// Who has the password and the mailbox gets in where nobody has to wait. The account, of which all
// else is removed, then gives away nothing for a while, also at the node that was not there.
func (v *visit) lostFactor(who string) {
	quis(v.b, v.d, "settings", "set", "recovery.delay_hours=0")
	v.hasApp(who)
	other := newBrowser(v.t)
	other.open(v.proxy + securityPath)
	other.lose(who, func() string {
		code := v.mail.code(who)
		v.leaderDies()
		return code
	}, unseen)
	other.says("main", "You can go on now")
	v.leaderDies()
	other.submit()
	other.says("main", "Protect your account")
	other.do(chromedp.Click(chromedp.CSS(".actions .quiet"))) // not now
	other.says("main", "How you prove that it is you")
	if page := other.text("main"); strings.Contains(page, "Telephone") {
		v.t.Errorf("what was lost is there: %q", page)
	}
	v.revives()
	for i := range v.d.Nodes {
		other.finds(v.d.Public(i+1)+"/account/tokens/new", "main", "Your account was recovered not long ago")
		v.b.finds(v.d.Public(i+1)+securityPath, "main", "Forgotten your password?") // whoever was in is out
	}
	other.expectNoProblems()
}

// Who has to wait is told so again when they come back through what is left, and not made to begin
// anew. Who finds what was lost signs in with it, and that stops all this.
func (v *visit) foundFactor(who string) {
	quis(v.b, v.d, "settings", "set", "recovery.delay_hours=24")
	secret := v.hasApp(who)
	v.b.leave(v.proxy)
	code := func() string { return v.mail.code(who) }
	v.b.open(v.proxy + securityPath)
	v.b.lose(who, code, unseen)
	v.b.says("main", "Then you wait: 24 hours")
	v.leaderDies()
	v.b.submit()
	v.b.says("main", "It has begun. You can go on in 24 hours")
	v.mail.wait(who+"@example.com", "the ways to sign in to your account are lost")
	v.b.open(v.proxy + securityPath)
	v.b.lose(who, code, unseen)
	v.b.says("main", "It has begun. You can go on in 24 hours")
	v.b.open(v.proxy + securityPath)
	v.b.signIn(who, comfortSecret)
	v.b.fill("code", nextCode(secret))
	v.leaderDies()
	v.send("code")
	v.isIn(who)
	v.mail.wait(who+"@example.com", "what somebody had begun was stopped")
}

// A thief is in. The person says so by the link in a letter, and has the account for themselves.
func (v *visit) notMe(who string) {
	thief := newVisit(v.t, v.d)
	thief.hasApp(who)
	link := linkWith(v.t, v.mail.wait(who+"@example.com", "/account/not-me"), "/account/not-me")
	page := v.servedBy("GET", "/account/not-me", func() { v.b.open(link) })
	v.dies(page)
	v.b.submit()
	v.b.says("main", "Everybody is signed out of your account")
	thief.b.finds(v.proxy+securityPath, "main", "Forgotten your password?")

	v.b.open(v.proxy + securityPath)
	v.b.signIn(who, comfortSecret)
	v.b.says("main", "Your account was locked down")
	v.b.fill("code", sixDigits.FindString(v.mail.wait(who+"@example.com", "wants to sign in").Text))
	v.leaderDies()
	page = v.servedBy("POST", "/login/code", func() {
		v.send("code")
		v.b.says("main h1", "A new password")
	})
	v.b.fill("password", anotherPassword)
	v.dies(page)
	v.send("password")
	v.isIn(who)
	if page := v.b.text("main"); strings.Contains(page, "Telephone") {
		v.t.Errorf("what the thief added is there: %q", page)
	}
	v.isDead(link, "This link no longer works")
	thief.b.expectNoProblems()
}

// TestNodeIsKilledWhileTheFirstAdministratorIsMade: an empty cluster is set up through what is left
// of it.
func TestNodeIsKilledWhileTheFirstAdministratorIsMade(t *testing.T) {
	t.Parallel()
	v := newVisit(t, testbed.Run(t, 3, ""))
	defer v.revives()
	link := setupLink.FindString(v.d.Output())
	page := v.servedBy("GET", "/setup/{token}", func() { v.b.open(link) })
	for _, field := range [][2]string{{"username", "ada"}, {"email", "ada@example.com"}, {"name", "Ada Lovelace"}, {"password", anotherPassword}, {"repeat", comfortSecret}} {
		v.b.fill(field[0], field[1])
	}
	v.dies(page)
	v.send("repeat")
	v.b.says("main", "The two passwords are not the same") // why it asks again
	v.b.fill("password", anotherPassword)
	v.b.fill("repeat", anotherPassword)
	v.leaderDies()
	v.send("repeat")
	v.b.says("main", "Hello, Ada Lovelace")
	v.isDead(link, "This link no longer works")
	v.b.expectNoProblems()
	v.isInOnce("ada")
}
