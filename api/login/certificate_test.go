package login

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"html"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/quis-idp/quis/api"
	"github.com/quis-idp/quis/api/metrics"
	"github.com/quis-idp/quis/api/page/pagetest"
	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/credential/certificate"
	"github.com/quis-idp/quis/identity/credential/certificate/certificatetest"
	"github.com/quis-idp/quis/identity/directory"
)

// A certified house is one that asks browsers for certificates, at an address of its own.
type certified struct {
	*house
	ca             *certificatetest.Authority
	trusted        *certificate.Authority
	public, people string // origins
}

// newCertified has a listener for the pages and one for certificates, both with TLS. Users are
// found by the common name, or by a verified address.
func newCertified(t *testing.T) *certified {
	t.Helper()
	var cfg Config
	c := &certified{house: newHouse(t, func(given *Config) { cfg = *given })}
	c.trust()
	pages, people := listener(t), listener(t)
	c.public, c.people = "https://"+pages.Addr().String(), "https://"+people.Addr().String()
	cfg.Certificates = c.people
	door, err := api.New(api.Config{PublicURL: c.public, DB: c.db, Rooms: []api.Room{New(cfg)}, Metrics: metrics.New("test", "none")})
	if err != nil {
		t.Fatal(err)
	}
	cert := serverCertificate(t)
	ctx, stop := context.WithCancel(context.Background())
	var served sync.WaitGroup
	quiet := slog.New(slog.DiscardHandler)
	served.Go(func() { _ = api.Serve(ctx, pages, door.Public, cert, quiet) })
	served.Go(func() { _ = api.ServePeople(ctx, people, door.Public, cert, c.public+"/", quiet) })
	t.Cleanup(func() { stop(); served.Wait() })
	return c
}

func (c *certified) trust() {
	c.t.Helper()
	c.ca = certificatetest.New(c.t, "People", nil)
	c.update(func(tx *fsm.Tx) (err error) {
		u, err := directory.UserByUsername(tx, identity.DefaultTenant, "tester")
		if err != nil {
			return err
		}
		if _, err = directory.UpdateUser(tx, identity.DefaultTenant, u.ID, 0, func(u *directory.User) error { u.EmailVerified = true; return nil }); err != nil {
			return err
		}
		if _, err = directory.CreateUser(tx, identity.DefaultTenant, directory.User{Username: "other"}); err != nil {
			return err
		}
		c.trusted, err = certificate.Add(tx, certificate.Authority{
			Tenant: identity.DefaultTenant, Name: "People", Certificate: c.ca.Cert.Raw, Revocation: certificate.RevocationOff,
			Rules: []certificate.Rule{{From: certificate.FromCommonName, To: certificate.ToUsername}, {From: certificate.FromEmail, To: certificate.ToEmail}},
		})
		return err
	})
}

func listener(t *testing.T) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// serverCertificate is that of the listeners; whom it is for is not what these tests are about.
func serverCertificate(t *testing.T) *api.Certificate {
	t.Helper()
	pair := certificatetest.New(t, "servers", nil).Person(t, "localhost", func(c *x509.Certificate) {
		c.ExtKeyUsage, c.IPAddresses = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}, []net.IP{net.IPv4(127, 0, 0, 1)}
	})
	key, err := x509.MarshalPKCS8PrivateKey(pair.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	certFile, keyFile := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	for name, block := range map[string]*pem.Block{certFile: {Type: "CERTIFICATE", Bytes: pair.Certificate[0]}, keyFile: {Type: "PRIVATE KEY", Bytes: key}} {
		if err := os.WriteFile(name, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cert, err := api.LoadCertificate(certFile, keyFile, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

// browser has a certificate, which it sends to whoever asks; none if it is nil.
func (c *certified) browser(cert *tls.Certificate) *pagetest.Browser {
	c.t.Helper()
	cfg := &tls.Config{InsecureSkipVerify: true}
	if cert != nil {
		cfg.Certificates = []tls.Certificate{*cert}
	}
	b := pagetest.NewBrowser(c.t, c.public)
	transport := &http.Transport{TLSClientConfig: cfg}
	c.t.Cleanup(transport.CloseIdleConnections)
	b.Over(transport)
	return b
}

// at asks for a whole address.
func at(b *pagetest.Browser, address string, header http.Header) pagetest.Answer {
	b.T.Helper()
	r, err := http.NewRequestWithContext(b.T.Context(), http.MethodGet, address, nil)
	if err != nil {
		b.T.Fatal(err)
	}
	for k, v := range header {
		r.Header[k] = v
	}
	return b.Do(r)
}

var certificateHref = regexp.MustCompile(`href="([^"]+/login/certificate\?flow=[^"]+)"`)

// offered returns where the form leads who wants to use a certificate; "" if it does not.
func offered(a pagetest.Answer) string {
	if m := certificateHref.FindStringSubmatch(a.Page); m != nil {
		return html.UnescapeString(m[1])
	}
	return ""
}

func TestSignInWithCertificate(t *testing.T) {
	t.Parallel()
	c := newCertified(t)
	cert := c.ca.Person(t, "tester")
	b := c.browser(&cert)
	link := offered(b.Get("/login"))
	if !strings.HasPrefix(link, c.people+"/login/certificate?") {
		t.Fatalf("the form leads to %q", link)
	}
	shown := at(b, link, nil)
	shown.Leads(t, c.public+"/login?flow=")
	if c.sessions() != 0 {
		t.Fatal("following a link signed in")
	}
	form := at(b, shown.Header.Get("Location"), nil).Want(t, http.StatusOK, "CN=tester")
	pagetest.Check(t, "certificate", form.Page)
	done := b.Post("/login/certificate", url.Values{"flow": form.Hidden("flow")}).Want(t, http.StatusOK)
	if done.Header.Get("Refresh") == "" || c.sessions() != 1 {
		t.Fatalf("not signed in: %s", done.Page)
	}
	b.Get("/").Want(t, http.StatusOK, "Test User")
	b.Post("/login/certificate", url.Values{"flow": form.Hidden("flow")}).Want(t, http.StatusGone)

	b.Post("/logout", url.Values{}).Want(t, http.StatusOK)
	again := b.Get("/login").Want(t, http.StatusOK, `value="tester"`, `Use a certificate or smart card <span class="last">Last used</span></a>`)
	if strings.Count(again.Page, `class="last"`) != 1 || !strings.Contains(again.Page, `<a class="button" href="`+html.EscapeString(offered(again))) {
		t.Errorf("another way is marked too: %s", again.Page)
	}
}

// The flow in which a certificate was shown is of use in the browser that began it only.
func TestCertificateOfAnothersFlow(t *testing.T) {
	t.Parallel()
	c := newCertified(t)
	cert := c.ca.Person(t, "tester")
	mallory, victim := c.browser(nil), c.browser(&cert)
	link := offered(mallory.Get("/login"))
	shown := at(victim, link, nil).Header.Get("Location")
	at(victim, shown, nil).Want(t, http.StatusGone)
	at(victim, link, http.Header{"Sec-Fetch-Site": {"cross-site"}}).Want(t, http.StatusForbidden)
	if c.sessions() != 0 {
		t.Error("somebody is signed in")
	}
}

func TestRefusedCertificates(t *testing.T) {
	t.Parallel()
	c := newCertified(t)
	stranger := certificatetest.New(t, "Strangers", nil)
	lost := c.ca.Person(t, "tester")
	c.update(func(tx *fsm.Tx) error {
		_, err := certificate.Upload(tx, identity.DefaultTenant, c.trusted.ID, c.ca.List(t, 1, []*x509.Certificate{lost.Leaf}))
		return err
	})
	person := func(name string, changes ...func(*x509.Certificate)) *tls.Certificate {
		p := c.ca.Person(t, name, changes...)
		return &p
	}
	foreign := stranger.Person(t, "tester")
	for name, try := range map[string]struct {
		cert   *tls.Certificate
		status int
		says   string
	}{
		"none":      {nil, 401, "sent no certificate"},
		"unknown":   {&foreign, 403, "signs anybody in"},
		"nobody's":  {person("eve"), 403, "signs anybody in"},
		"two users": {person("other", certificatetest.Names(t, nil, []string{"tester@example.com"})), 403, "signs anybody in"},
		"expired":   {person("tester", func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Minute) }), 403, "not valid now"},
		"a server's": {person("tester", func(c *x509.Certificate) {
			c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
		}), 403, "signs anybody in"},
		"revoked": {&lost, 403, "has been revoked"},
	} {
		b := c.browser(try.cert)
		a := at(b, offered(b.Get("/login")), nil).Want(t, try.status, try.says, "req_")
		pagetest.Check(t, name, a.Page)
		back := a.One(t, `class="button" href="([^"]+)"`)
		if !strings.HasPrefix(html.UnescapeString(back), c.public+"/login?flow=") {
			t.Errorf("%s: it leads back to %s", name, back)
		}
	}
	if c.sessions() != 0 {
		t.Error("somebody is signed in")
	}
}

// Where browsers are asked for certificates nothing else is to be had.
func TestCertificateListenerDoesNothingElse(t *testing.T) {
	t.Parallel()
	c := newCertified(t)
	cert := c.ca.Person(t, "tester")
	b := c.browser(&cert)
	for _, path := range []string{"/", "/login", "/api/v1/users", "/oauth2/token", "/account", "/login/certificate/x"} {
		a := at(b, c.people+path, nil)
		if a.StatusCode != http.StatusSeeOther || a.Header.Get("Location") != c.public+"/" {
			t.Errorf("%s: %d to %q", path, a.StatusCode, a.Header.Get("Location"))
		}
	}
	at(b, c.people+"/login/certificate?flow=x", nil).Want(t, http.StatusGone)
	at(b, c.people+"/login/certificate?for=x", nil).Want(t, http.StatusGone)
}

// Each connection is proven anew: a session ticket would let in who has taken the card out.
func TestCertificateListenerResumesNothing(t *testing.T) {
	t.Parallel()
	c := newCertified(t)
	cert := c.ca.Person(t, "tester")
	cfg := &tls.Config{InsecureSkipVerify: true, Certificates: []tls.Certificate{cert}, ClientSessionCache: tls.NewLRUClientSessionCache(4)}
	for i := range 2 {
		client := &http.Client{Transport: &http.Transport{TLSClientConfig: cfg}, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
		resp, err := client.Get(c.people + "/")
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.TLS.DidResume || !resp.Close {
			t.Errorf("%d: resumed %v, closed %v", i, resp.TLS.DidResume, resp.Close)
		}
		client.CloseIdleConnections()
	}
}

// TestSignInThroughProxy: a proxy that is trusted passes the certificate on in a header; from
// anybody else the header says nothing.
func TestSignInThroughProxy(t *testing.T) {
	t.Parallel()
	for _, trusted := range []bool{true, false} {
		var cfg Config
		c := &certified{house: newHouse(t, func(given *Config) { cfg = *given })}
		c.trust()
		l := listener(t)
		c.public = "http://" + l.Addr().String()
		c.people, cfg.Certificates = c.public, c.public
		proxies := []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}
		if trusted {
			proxies = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
		}
		door, err := api.New(api.Config{
			PublicURL: c.public, DB: c.db, Rooms: []api.Room{New(cfg)}, Metrics: metrics.New("test", "none"), TrustedProxies: proxies, CertificateHeader: "X-Client-Cert",
		})
		if err != nil {
			t.Fatal(err)
		}
		s := httptest.NewUnstartedServer(door.Public)
		s.Listener.Close()
		s.Listener = l
		s.Start()
		t.Cleanup(s.Close)
		b := pagetest.NewBrowser(t, c.public)
		header := http.Header{"X-Client-Cert": {url.PathEscape(certificatetest.PEM(c.ca.Person(t, "tester").Leaf))}}
		shown := at(b, offered(b.Get("/login")), header)
		if !trusted {
			shown.Want(t, http.StatusUnauthorized, "sent no certificate")
			continue
		}
		form := at(b, shown.Header.Get("Location"), nil).Want(t, http.StatusOK, "CN=tester")
		if b.Post("/login/certificate", url.Values{"flow": form.Hidden("flow")}).Header.Get("Refresh") == "" || c.sessions() != 1 {
			t.Error("not signed in")
		}
	}
}

// A certificate that was added to somebody is asked for after their password.
func TestCertificateAsSecondFactor(t *testing.T) {
	t.Parallel()
	c := newCertified(t)
	cert := c.ca.Person(t, "tester")
	c.update(func(tx *fsm.Tx) error {
		u, err := directory.UserByUsername(tx, identity.DefaultTenant, "tester")
		if err != nil {
			return err
		}
		a, err := certificate.Update(tx, identity.DefaultTenant, c.trusted.ID, 0, func(a *certificate.Authority) error {
			a.Rules = append(a.Rules, certificate.Rule{From: certificate.FromAdded})
			return nil
		})
		if err != nil {
			return err
		}
		names, err := certificate.NamesOf(cert.Leaf)
		if err != nil {
			return err
		}
		_, err = certificate.Bind(tx, a, names, u.ID, certificate.ByFingerprint, "badge")
		return err
	})
	b := c.browser(&cert)
	flow := b.Get("/login").Hidden("flow")
	second := b.Post("/login", url.Values{"flow": flow, "username": {"tester"}, "password": {secret}}).Want(t, http.StatusOK, "put your smart card")
	pagetest.Check(t, "second", second.Page)
	other := c.ca.Person(t, "other")
	stranger := c.browser(&other)
	at(stranger, offered(second), nil).Want(t, http.StatusForbidden, "not yours")
	form := at(b, at(b, offered(second), nil).Header.Get("Location"), nil).Want(t, http.StatusOK, "CN=tester")
	if done := b.Post("/login/certificate", url.Values{"flow": form.Hidden("flow")}); done.Header.Get("Refresh") == "" || c.sessions() != 1 {
		t.Fatalf("not signed in: %s", done.Page)
	}
}

// Without an authority, or an address where browsers are asked, nothing is offered.
func TestCertificateIsOfferedWhereItCanBeUsed(t *testing.T) {
	t.Parallel()
	h := newHouse(t, func(c *Config) { c.Certificates = "https://id.example.com:8443" })
	b := h.someone()
	if link := offered(b.Get("/login")); link != "" {
		t.Errorf("nobody is trusted, and it leads to %s", link)
	}
	(&certified{house: h}).trust()
	if link := offered(b.Get("/login")); !strings.HasPrefix(link, "https://id.example.com:8443/login/certificate?flow=") {
		t.Errorf("it leads to %q", link)
	}
	nowhere := newHouse(t, nil)
	(&certified{house: nowhere}).trust()
	if link := offered(nowhere.someone().Get("/login")); link != "" {
		t.Errorf("browsers are asked nowhere, and it leads to %s", link)
	}
}
