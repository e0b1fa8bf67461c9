package browser

import (
	"crypto/x509"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"

	"github.com/quis-idp/quis/e2e/testbed"
	"github.com/quis-idp/quis/identity/credential/certificate/certificatetest"
)

const certificateHeader = "X-Client-Cert"

// A reader is the proxy that asks browsers for certificates: the nodes believe what it says of
// the card that is in it. It passes on what such a proxy has to, and no more.
type reader struct {
	url  string
	card atomic.Pointer[x509.Certificate]
}

func newReader(t *testing.T, d *testbed.Dev) *reader {
	t.Helper()
	l, err := net.Listen("tcp", "localhost:0")
	if err != nil {
		t.Fatal(err)
	}
	_, port, _ := net.SplitHostPort(l.Addr().String())
	nodes, err := url.Parse(d.Public(0))
	if err != nil {
		t.Fatal(err)
	}
	p := &reader{url: "http://localhost:" + port}
	mux := http.NewServeMux()
	pass := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(nodes)
		r.Out.Host = r.In.Host
		r.SetXForwarded()
		r.Out.Header.Del(certificateHeader)
		if card := p.card.Load(); card != nil {
			r.Out.Header.Set(certificateHeader, url.PathEscape(certificatetest.PEM(card)))
		}
	}}
	mux.Handle("/login/certificate", pass)
	mux.Handle("/assets/", pass)
	s := &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second}
	go s.Serve(l)
	t.Cleanup(func() { s.Close() })
	if err := d.Configure(t.Context(), "tls:\n  client_header: "+certificateHeader+"\n  certificate_url: "+p.url+"\n"); err != nil {
		t.Fatal(err)
	}
	return p
}

// showCard goes from the sign-in form to where the browser is asked for a certificate.
func (b *browser) showCard() {
	b.t.Helper()
	link := chromedp.CSS(`main a[href*="/login/certificate?"]`)
	b.do(chromedp.WaitVisible(link), chromedp.Click(link))
}

// scripts turns JavaScript on or off for the pages that come.
func (b *browser) scripts(on bool) {
	b.t.Helper()
	if _, err := chromedp.Call(b.ctx, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: !on}); err != nil {
		b.t.Fatal(err)
	}
}

// losesBadge takes away the certificate that the person on the screen has added: not while they
// have nothing else, and then it signs nobody in any more.
func (b *browser) losesBadge(d *testbed.Dev, at string) {
	b.t.Helper()
	remove := chromedp.CSS(`.rows form[action$="/certificates"] [type="submit"]`)
	quis(b, d, "settings", "set", "allow_password_login=false", "allow_forgot_password=false")
	b.do(chromedp.Click(remove))
	b.says(".card .alert", "That certificate is your only way to sign in")
	b.picture("certificate-only", "dark")
	quis(b, d, "settings", "set", "allow_password_login=true")
	b.do(chromedp.Click(remove))
	b.says(".card .notice", "The certificate is removed")
	b.open(at + "/logout")
	b.signOutEverywhere()
	b.open(at + "/account")
	b.showCard()
	b.says("main", "not one that signs anybody in here")
}

// TestCertificatesOverThreeNodes: a rule maps one person, another adds the certificate of their
// browser; both sign in, until the authority revokes.
func TestCertificatesOverThreeNodes(t *testing.T) {
	t.Parallel()
	d := testbed.Run(t, 3, administeredBootstrap)
	b, other := newBrowser(t), newBrowser(t)
	card, at := newReader(t, d), d.Public(0)
	ca := certificatetest.New(t, "People", nil)
	mapped := ca.Person(t, "Ada Lovelace", certificatetest.Names(t, []string{"ada@example.com"}, nil)).Leaf
	added := ca.Person(t, "Badge 4711").Leaf
	keep := func(name string, content []byte) string {
		t.Helper()
		file := filepath.Join(t.TempDir(), name)
		if err := os.WriteFile(file, content, 0o600); err != nil {
			t.Fatal(err)
		}
		return file
	}
	quis(b, d, "certificate", "create", "Employees", "certificate=@"+keep("ca.pem", []byte(ca.PEM())), "rules=upn=username@example.com,added")
	quis(b, d, "certificate", "crl", "Employees", keep("first.crl", ca.List(t, 1, nil).Raw))

	b.open(at + "/account")
	b.picture("certificate-sign-in", "light")
	b.showCard()
	b.says("main", "No certificate", "Your browser has sent no certificate")
	b.picture("certificate-none", "light")
	card.card.Store(added) // not yet anybody's
	b.do(chromedp.Click(chromedp.CSS(".actions a")), chromedp.WaitVisible(nameField))
	b.showCard()
	b.says("main", "not one that signs anybody in here")
	b.picture("certificate-nobody", "light")

	other.open(at + "/account/security")
	other.signIn("second", password)
	add := chromedp.CSS(`.card a[href$="/account/security/certificates"]`)
	other.do(chromedp.WaitVisible(add))
	other.picture("certificate-security", "light")
	other.do(chromedp.Click(add))
	other.says("main", "Your browser has shown this certificate", "Badge 4711")
	other.picture("certificate-add", "light")
	other.submit("name", "Badge")
	other.says("main", "Your certificate is added", "Badge", "Not used yet")
	other.picture("certificate-added", "light")
	other.open(at + "/logout")
	other.signOutEverywhere()
	other.scripts(false)
	other.open(at + "/account/security")
	other.showCard()
	other.says("main", "Your browser has shown this certificate")
	other.scripts(true)
	other.picture("certificate-shown", "light")
	other.submit()
	other.says("main", "Badge", "Last used")
	other.says("nav.account .login", "second")
	other.losesBadge(d, at)

	card.card.Store(mapped)
	b.open(at + "/account/security")
	b.showCard() // the page between goes on by itself
	b.says("nav.account .login", "ada")
	b.says("main", "Ada Lovelace", "Yours by a rule of your organisation")
	b.picture("certificate-rule", "light")
	b.open(at + "/account/activity")
	b.says("main", "You signed in")

	quis(b, d, "certificate", "crl", "Employees", keep("second.crl", ca.List(t, 2, []*x509.Certificate{mapped}).Raw))
	b.open(at + "/logout")
	b.signOutEverywhere()
	for range d.Nodes { // one after the other
		b.open(at + "/account/security")
		b.showCard()
		b.says("main", "has been revoked")
	}
	b.picture("certificate-revoked", "light")
	if where := run(b, chromedp.Location()); !strings.HasPrefix(where, card.url) {
		t.Errorf("refused at %s", where)
	}
	b.expectNoProblems()
	other.expectNoProblems()
}
