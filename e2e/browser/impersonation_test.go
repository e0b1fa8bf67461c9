package browser

import (
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"github.com/quis-idp/quis/e2e/testbed"
)

const (
	rootToken   = "quis_pat_0123456789abcdef0123456789abcdef"
	secondToken = "quis_pat_fedcba9876543210fedcba9876543210"

	administeredBootstrap = `
users:
  - {username: ada, email: ada@example.com, email_verified: true, name: Ada Lovelace, password: "correct horse battery"}
  - {username: root, email: root@example.com, name: Root, password: "correct horse battery", admin: true}
  - {username: second, email: second@example.com, name: Second, password: "correct horse battery", admin: true}
tokens:
  - {user: root, token: "` + rootToken + `"}
  - {user: second, token: "` + secondToken + `"}
`
)

// TestImpersonationOverThreeNodes: an administrator says why, acts as a person, is told so on
// every page and can only look; the person sees it while it lasts and afterwards.
func TestImpersonationOverThreeNodes(t *testing.T) {
	t.Parallel()
	d := testbed.Run(t, 3, administeredBootstrap)
	ada, root := newBrowser(t), newBrowser(t)
	admin, mail := administrator{root, d, rootToken}, &mailbox{b: ada, at: d.Issuer()}
	at := d.Public(0)
	for name, b := range map[string]*browser{"ada": ada, "root": root} {
		b.open(at + "/account")
		b.signIn(name, "correct horse battery")
		b.says("nav.account .login", name)
	}
	const reason = "ticket 4711: the wiki does not open"
	if out := admin.refused("user", "impersonate", "ada", "--reason", reason); !strings.Contains(out, "allow_impersonation") {
		t.Errorf("where it is not allowed: %s", out)
	}
	quis(root, d, "settings", "set", "allow_impersonation=true")
	link := admin.quis("user", "impersonate", "ada", "--reason", reason)["url"].(string)

	root.open(link)
	root.says("main", "Act as Ada Lovelace?", "root", reason)
	root.picture("impersonate", "light")
	root.submit()
	root.says(".warning", "You are acting as this person")
	root.arrives(at + "/account")
	root.says("nav.account .login", "ada")
	for _, path := range []string{"/account", "/account/security", "/account/sessions", "/account/activity", "/account/applications", "/account/approvals", "/account/tokens", "/apps"} {
		root.open(at + path)
		root.says(".warning", "You are acting as this person")
		root.picture("acting"+strings.ReplaceAll(path, "/", "-"), "light")
	}
	root.open(at + "/account/security/password")
	root.says("main", "you can only look")
	root.picture("acting-refused", "light")

	ada.finds(at+"/account/sessions", "main", "An administrator, acting as you")
	ada.picture("impersonated-sessions", "light")
	mail.wait("ada@example.com", reason)

	root.open(at + "/")
	root.says(".warning", "You are acting as this person")
	root.picture("acting-home", "light")
	root.do(chromedp.Click(chromedp.CSS(`.warning [type="submit"]`)))
	root.says("main", "Hello, Root")
	if root.present(".warning") {
		t.Error("the banner stays")
	}
	root.open(at + "/account")
	root.says("nav.account .login", "root")
	root.open(link)
	root.says("main", "This link no longer works")
	root.picture("impersonate-used", "light")

	ada.finds(at+"/account/activity", "main", "An administrator wants to act as you", "An administrator began to act as you", "An administrator stopped acting as you", "by an administrator")
	ada.picture("impersonated-activity", "light")
	ada.open(at + "/account/sessions")
	if page := ada.text("main"); strings.Contains(page, "acting as you") {
		t.Errorf("the session is there after its end: %q", page)
	}
	ada.expectNoProblems()
	root.expectNoProblems()
}
