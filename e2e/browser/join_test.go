package browser

import (
	"encoding/json"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/webauthn"
	"github.com/chromedp/chromedp"

	"github.com/quis-idp/quis/api/inbox"
	"github.com/quis-idp/quis/e2e/testbed"
)

const joinBootstrap = `
users:
  - {username: root, email: root@example.com, password: "correct horse battery", admin: true}
`

// A mailbox is the inbox of quis dev.
type mailbox struct {
	b    *browser
	at   string // issuer
	last string // ID of the latest message that was looked at
}

// wait returns the next message to an address, with that in it: notices come whenever they are ready.
func (m *mailbox) wait(to, with string) inbox.Mail {
	m.b.t.Helper()
	for {
		resp, err := http.Get(m.at + "/dev/mail.json?after=" + m.last)
		if err != nil {
			m.b.t.Fatal(err)
		}
		var all []inbox.Mail
		err = json.NewDecoder(resp.Body).Decode(&all)
		resp.Body.Close()
		if err != nil {
			m.b.t.Fatal(err)
		}
		for i := len(all) - 1; i >= 0; i-- { // the oldest first
			if all[i].To == to && strings.Contains(all[i].Text, with) {
				return all[i]
			}
		}
		if m.b.ctx.Err() != nil {
			m.b.t.Fatalf("no mail to %s among %+v", to, all)
		}
		m.b.wait()
	}
}

var linkForm = regexp.MustCompile(`(?m)^http://localhost:\d+/\S+$`)

// linkOf is the first link of a message.
func linkOf(t *testing.T, m inbox.Mail) string {
	t.Helper()
	return linkWith(t, m, "")
}

// linkWith is the first link of a message that has that in it.
func linkWith(t *testing.T, m inbox.Mail, part string) string {
	t.Helper()
	for _, link := range linkForm.FindAllString(m.Text, -1) {
		if strings.Contains(link, part) {
			return link
		}
	}
	t.Fatalf("no link with %q: %s", part, m.Text)
	return ""
}

// submit types into the fields of the form that is on the screen, and sends it off.
func (b *browser) submit(values ...string) {
	b.t.Helper()
	for i := 0; i < len(values); i += 2 {
		b.fill(values[i], values[i+1])
	}
	b.do(chromedp.Click(chromedp.CSS(`main form [type="submit"]`)))
}

// TestJoinOverThreeNodes: people come in by invitation and by themselves, and change their
// address, each step at another node, with what the mail says.
func TestJoinOverThreeNodes(t *testing.T) {
	t.Parallel()
	d := testbed.Run(t, 3, joinBootstrap)
	b := newBrowser(t)
	quis := func(args ...string) {
		t.Helper()
		quis(b, d, args...)
	}
	at := func(b *browser, node int, link string) {
		t.Helper()
		b.do(chromedp.Navigate(d.Public(node)+strings.TrimPrefix(link, d.Issuer())), chromedp.WaitReady(chromedp.CSS("main")))
	}

	mail := &mailbox{b: b, at: d.Issuer()}
	quis("user", "invite", "grace@example.com", "--name", "Grace")
	link := linkOf(t, mail.wait("grace@example.com", "works once, until 20"))
	at(b, 2, link)
	b.pictures("invitation")
	b.submit("username", "grace", "password", "a compiler of many words")
	b.says("main", "Hello, Grace")
	at(b, 3, link)
	b.says("main", "This invitation no longer works")
	b.pictures("invitation-used")
	b.expectNoProblems()

	k := passkeyBrowser(t)
	newAuthenticator(k, webauthn.VirtualAuthenticatorOptions{
		Protocol: webauthn.AuthenticatorProtocolCtap2, Transport: webauthn.AuthenticatorTransportInternal, HasResidentKey: true, HasUserVerification: true, IsUserVerified: true,
	})
	quis("user", "invite", "eve@example.com")
	k.do(chromedp.Navigate(linkOf(t, mail.wait("eve@example.com", ""))), chromedp.WaitVisible(chromedp.CSS(`[data-with-passkey]`)))
	k.do(chromedp.Click(chromedp.CSS(`[data-with-passkey]`)), chromedp.WaitVisible(chromedp.CSS(`form[data-passkey]`)))
	k.pictures("invitation-passkey")
	k.do(chromedp.Click(chromedp.CSS(`form[data-passkey] [type="submit"]`)))
	k.says("main", "Hello, eve@example.com")
	k.expectNoProblems()

	quis("settings", "set", "allow_self_registration=true")
	s := newBrowser(t)
	at(s, 1, "/login")
	s.do(chromedp.Click(chromedp.CSS(`a[href*="/register"]`)), chromedp.WaitVisible(chromedp.CSS(`input[name="email"]`)))
	s.pictures("register")
	s.submit("email", "ida@example.com")
	s.do(chromedp.WaitVisible(chromedp.CSS(`input[name="code"]`)))
	s.pictures("register-code")
	m := mail.wait("ida@example.com", "")
	mail.last = m.ID
	s.submit("code", regexp.MustCompile(`\b\d{6}\b`).FindString(m.Text))
	s.do(chromedp.WaitVisible(chromedp.CSS(`input[name="password"]`)))
	s.pictures("register-account")
	s.submit("name", "Ida", "password", "a compiler of many words")
	s.says("main", "Hello, Ida")

	at(s, 2, "/account/email")
	s.pictures("email-change")
	s.submit("email", "ida@example.org")
	s.says("main", "Messages are on their way")
	s.pictures("email-waiting")
	at(s, 3, linkOf(t, mail.wait("ida@example.com", "/account/email/confirm")))
	s.pictures("email-confirm")
	s.submit()
	s.says("main", "the link in the other message")
	at(s, 1, linkOf(t, mail.wait("ida@example.org", "/account/email/confirm")))
	s.submit()
	s.says("main", "Your email address is changed", "ida@example.org")
	s.expectNoProblems()
}
