package browser

import (
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/quis-idp/quis/api/portal"
	"github.com/quis-idp/quis/e2e/testbed"
)

const killedBootstrap = `
users:
  - {username: ada, email: ada@example.com, email_verified: true, name: Ada Lovelace, password: "correct horse battery"}
  - {username: grace, email: grace@example.com, email_verified: true, name: Grace Hopper, password: "correct horse battery"}
  - {username: eve, email: eve@example.com, email_verified: true, password: "correct horse battery"}
  - {username: ida, email: ida@example.com, email_verified: true, password: "correct horse battery"}
  - {username: mia, email: mia@example.com, email_verified: true, password: "correct horse battery"}
  - {username: bob, email: bob@example.com, email_verified: true, password: "correct horse battery"}
  - {username: tester, email: tester@example.com, email_verified: true, password: "correct horse battery"}
` + webApplication

// A flow is what a person does from page to page, while nodes die between its steps.
type flow struct {
	name, who string
	goes      func(v *visit, who string)
}

// signIns are those of people who have an account.
var signIns = []flow{
	{"password, then app", "ada", (*visit).passwordAndApp},
	{"passkey", "grace", (*visit).passkey},
	{"passkey in the portal", "eve", (*visit).passkeyInThePortal},
	{"code by mail", "mia", (*visit).codeByMail},
	{"link by mail", "bob", (*visit).linkByMail},
	{"getting back in", "ida", (*visit).getBackIn},
	{"approval in another browser", "tester", (*visit).approval},
}

// TestNodeIsKilledWhileSomebodySignsIn: while a page is on the screen the node that served it is
// killed, or the one that leads. Whoever answers the page is served by those that are left, and
// gets where they were going without an error on the way.
func TestNodeIsKilledWhileSomebodySignsIn(t *testing.T) {
	t.Parallel()
	d := testbed.Run(t, 3, killedBootstrap)
	application(t, "localhost:9999")
	interrupted(t, d, signIns, "allow_email_otp=true", "allow_magic_link=true")
}

// interrupted has one person after the other go through a flow, with such settings. Each ends with
// one account of theirs, and signed in to it once.
func interrupted(t *testing.T, d *testbed.Dev, flows []flow, settings ...string) {
	t.Helper()
	begun := time.Now()
	for _, f := range flows {
		t.Run(f.name, func(t *testing.T) {
			v := newVisit(t, d)
			defer v.revives() // also when somebody got stuck: the next one shall find three nodes
			quis(v.b, d, append([]string{"settings", "set"}, settings...)...)
			f.goes(v, f.who)
			v.b.expectNoProblems() // an answer of 500 or more would be one
			v.isInOnce(f.who)
		})
	}
	t.Logf("all of it took %v", time.Since(begun).Round(time.Millisecond))
}

func (v *visit) passwordAndApp(who string) {
	secret := v.hasApp(who)
	v.b.leave(v.proxy)
	to, a := authorizeURL(v.proxy, web)
	page := v.servedBy("GET", "/login", func() { v.b.open(to) })
	v.b.name(who)
	v.b.fill("password", comfortSecret)
	v.dies(page)
	v.send("password")
	v.b.fill("code", nextCode(secret))
	v.leaderDies()
	v.send("code")
	v.comesIn(who, a)
}

func (v *visit) passkey(who string) {
	v.newPasskey(who)
	v.press()
	v.b.says("main", "Your passkey is added")
	v.b.leave(v.proxy)
	v.touch(false) // nothing happens by itself meanwhile
	to, a := authorizeURL(v.proxy, web)
	page := v.servedBy("GET", "/login", func() { v.b.open(to) })
	v.b.do(chromedp.WaitVisible(passkeyButton))
	v.dies(page)
	v.touch(true)
	v.press()
	v.comesIn(who, a)
}

func (v *visit) passkeyInThePortal(who string) {
	page := v.newPasskey(who)
	v.b.fill("name", "Blue key")
	v.dies(page)
	v.press()
	v.b.says("main", "Your passkey is added")
	v.b.open(v.proxy + securityPath)
	v.b.says("main", "Blue key")
}

// newPasskey leads to the form that makes a passkey, and says which node served it.
func (v *visit) newPasskey(who string) (page int) {
	v.t.Helper()
	v.withPassword(who)
	v.isIn(who)
	v.key = newAuthenticator(v.b, phone)
	const path = securityPath + "/passkeys/new"
	return v.servedBy("GET", path, func() { v.b.open(v.proxy + path) })
}

func (v *visit) codeByMail(who string) {
	a, page := v.asksForMailAsTheFormsNodeDies(who)
	v.b.fill("code", v.code(who+"@example.com"))
	v.dies(page)
	v.send("code")
	v.comesIn(who, a)
}

func (v *visit) linkByMail(who string) {
	a, page := v.asksForMailAsTheFormsNodeDies(who)
	link := linkWith(v.t, v.mail.wait(who+"@example.com", "wants to sign in"), "token=")
	v.dies(page)
	v.b.open(link)
	v.b.says("main", "You followed the link in the email")
	v.leaderDies()
	v.b.submit()
	v.comesIn(who, a)
}

// asksForMailAsTheFormsNodeDies has mail sent to somebody who comes from the application, and says
// which node served the page that asks for what is in it.
func (v *visit) asksForMailAsTheFormsNodeDies(who string) (a *testbed.Authorization, page int) {
	v.t.Helper()
	to, a := authorizeURL(v.proxy, web)
	form := v.servedBy("GET", "/login", func() { v.b.open(to) })
	v.b.fill("username", who)
	v.dies(form)
	return a, v.servedBy("POST", "/login/mail", func() {
		v.b.do(chromedp.Click(chromedp.CSS(`button[formaction$="/login/mail"]`)), chromedp.WaitVisible(codeField))
	})
}

func (v *visit) getBackIn(who string) {
	to, a := authorizeURL(v.proxy, web)
	v.b.open(to)
	v.b.name(who)
	page := v.servedBy("GET", "/login", func() {
		v.b.do(chromedp.Click(chromedp.CSS(`.links a[href*="/recover"]`)))
		v.b.says("main h1", "Get back in")
	})
	v.b.fill("username", who)
	v.dies(page)
	v.send("username")
	v.b.fill("code", v.code(who+"@example.com"))
	v.send("code")
	v.b.fill("password", anotherPassword)
	v.b.says("#password-verdict", "can be your password") // asked for while it is typed
	v.leaderDies()
	v.send("password")
	v.comesIn(who, a)
}

// approval: the leader dies while the number is on one screen, and the node that asks for it while it
// is typed in the other browser, which approves and leaves.
func (v *visit) approval(who string) {
	v.hasApp(who)
	v.b.open(v.proxy + securityPath + "/approvers/new")
	v.b.do(chromedp.WaitVisible(chromedp.CSS(`input[name="name"]`)), chromedp.Click(submitted))
	v.b.says(".card .notice", "you can approve sign-ins in this browser")
	telephone := newBrowser(v.t)
	number := telephone.asks(who, v.proxy)
	v.leaderDies()
	v.b.open(v.proxy + "/account")
	page := v.servedBy("GET", portal.AnswerPath, func() {
		v.b.do(chromedp.Click(chromedp.CSS(`.account [role="status"] a`)))
		v.b.fill("number", number)
	})
	v.dies(page)
	v.send("number")
	v.b.says(`.column [role="status"]`, "You have approved the sign-in")
	telephone.arrives(v.proxy + "/account") // by itself: to look while nodes died did no harm
	v.b.leave(v.proxy)
}
