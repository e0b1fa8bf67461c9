package certificate

import (
	"context"
	"crypto/tls"
	"html"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/quis-idp/quis/api"
	"github.com/quis-idp/quis/api/login"
	"github.com/quis-idp/quis/api/page/pagetest"
	"github.com/quis-idp/quis/api/portal/portaltest"
	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/authn"
	"github.com/quis-idp/quis/identity/credential"
	"github.com/quis-idp/quis/identity/credential/certificate"
	"github.com/quis-idp/quis/identity/credential/certificate/certificatetest"
	"github.com/quis-idp/quis/identity/credential/certificate/desk"
	"github.com/quis-idp/quis/identity/directory"
	"github.com/quis-idp/quis/identity/event"
	"github.com/quis-idp/quis/identity/settings"
)

// A visit is somebody signed in, in front of a proxy that passes certificates on.
type visit struct {
	*portaltest.House
	*pagetest.Browser
	user string
	ca   *certificatetest.Authority
}

func newVisit(t *testing.T) *visit {
	t.Helper()
	v := &visit{House: portaltest.New(t)}
	v.Person(directory.User{Username: "ada", Name: "Ada Lovelace"}, true)
	v.user = v.Users["ada"]
	looking := &desk.Desk{DB: v.DB, Ring: v.Ring}
	v.House.SignIn(authn.Config{Certificates: looking})
	s := httptest.NewUnstartedServer(nil)
	public := "http://" + s.Listener.Addr().String()
	v.OpenAs(s, api.Config{
		PublicURL: public, Rooms: []api.Room{
			v.Login(login.Config{Certificates: public, Desk: looking}),
			v.Portal(New(Config{DB: v.DB, Desk: looking, Certificates: public, Modern: func(context.Context) error { return nil }})),
		},
		TrustedProxies: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}, CertificateHeader: "X-Client-Cert",
	})
	v.Browser = pagetest.NewBrowser(t, public)
	v.Browser.SignIn(v.Get(path), "", "ada", portaltest.Password)
	return v
}

func (v *visit) trust() {
	v.House.T.Helper()
	v.ca = certificatetest.New(v.House.T, "Friends", nil)
	v.Update(func(tx *fsm.Tx) error {
		_, err := certificate.Add(tx, certificate.Authority{
			Tenant: identity.DefaultTenant, Name: "Friends", Certificate: v.ca.Cert.Raw, Revocation: certificate.RevocationOff,
			Rules: []certificate.Rule{{From: certificate.FromAdded}},
		})
		return err
	})
}

// show goes to where the browser is asked for a certificate, which it sends, and returns where that leads.
func (v *visit) show(cert tls.Certificate) pagetest.Answer {
	v.House.T.Helper()
	to := v.Get(path)
	ask, ok := strings.CutPrefix(to.Header.Get("Location"), v.Browser.URL)
	if to.StatusCode != http.StatusSeeOther || !ok {
		v.House.T.Fatalf("%d to %s", to.StatusCode, to.Header.Get("Location"))
	}
	return v.Send(http.MethodGet, ask, nil, http.Header{"X-Client-Cert": {url.PathEscape(certificatetest.PEM(cert.Leaf))}})
}

// prove sends a form that wants a fresh proof, follows to where it is given, and gives it with the
// certificate.
func (v *visit) prove(at string, form url.Values, cert tls.Certificate) {
	v.House.T.Helper()
	v.Cluster.Advance(2 * time.Second) // a flow older than the session would lead back at once
	v.Update(func(tx *fsm.Tx) error { return event.Append(tx, event.Event{Type: event.KeyRetired}) })
	a := v.Post(at, form)
	a.Leads(v.House.T, "/login?flow=")
	step := v.Get(a.Header.Get("Location")).Want(v.House.T, http.StatusOK)
	link := strings.TrimPrefix(html.UnescapeString(step.One(v.House.T, `href="([^"]+/login/certificate\?flow=[^"]+)"`)), v.Browser.URL)
	shown := v.Send(http.MethodGet, link, nil, http.Header{"X-Client-Cert": {url.PathEscape(certificatetest.PEM(cert.Leaf))}})
	confirm := v.Get(strings.TrimPrefix(shown.Header.Get("Location"), v.Browser.URL)).Want(v.House.T, http.StatusOK)
	done := v.Post("/login/certificate", url.Values{"flow": confirm.Hidden("flow")}).Want(v.House.T, http.StatusOK)
	if done.Header.Get("Refresh") == "" {
		v.House.T.Fatalf("leads nowhere: %s", done.Page)
	}
}

func TestAPersonsCertificates(t *testing.T) {
	t.Parallel()
	v := newVisit(t)
	if a := v.Get(security); strings.Contains(a.Page, "smart card") {
		t.Error("there is a card although nobody is trusted")
	}
	v.trust()
	other := pagetest.NewBrowser(t, v.Browser.URL)
	other.SignIn(other.Get(path), "", "ada", portaltest.Password)
	v.Get(security).Want(t, http.StatusOK, "Certificates and smart cards", "Add the certificate of this browser")
	cert := v.ca.Person(t, "Ada's laptop")
	shown := v.show(cert)
	next, ok := strings.CutPrefix(shown.Header.Get("Location"), v.Browser.URL)
	if !ok || !strings.HasPrefix(next, newPath+"?shown=") {
		t.Fatalf("%d to %s", shown.StatusCode, shown.Header.Get("Location"))
	}
	form := v.Get(next).Want(t, http.StatusOK, "Ada&#39;s laptop")
	pagetest.Check(t, "new", form.Page)
	v.Post(newPath, url.Values{"shown": form.Hidden("shown"), "name": {"Laptop"}}).Leads(t, security+"?done=certificate-added")
	list := v.Get(security+"?done=certificate-added").Want(t, http.StatusOK, "Your certificate is added.", "Laptop", "Not used yet", "Valid until")
	pagetest.Check(t, "security", list.Page)

	// From now on what matters wants it as well as the password.
	v.prove(newPath, url.Values{"shown": form.Hidden("shown")}, cert)
	v.Post(newPath, url.Values{"shown": form.Hidden("shown")}).Want(t, http.StatusUnprocessableEntity, "cannot be added")
	v.Post(newPath, url.Values{"shown": {"x"}}).Leads(t, security+"?done=certificate-refused")

	// Another browser of hers has another session, to which nothing was shown.
	other.Get(next).Leads(t, security+"?done=certificate-refused")

	stranger := certificatetest.New(t, "Strangers", nil).Person(t, "x")
	v.show(stranger).Want(t, http.StatusForbidden, "signs anybody in")

	id := html.UnescapeString(list.One(t, `name="certificate" value="([^"]+)"`))
	naming := v.Get(path+"/"+id).Want(t, http.StatusOK, "Change Laptop", `value="Laptop"`, "such as Badge")
	pagetest.Check(t, "naming", naming.Page)
	v.Post(path+"/"+id, url.Values{"name": {" \x00 "}}).Want(t, http.StatusUnprocessableEntity, "Something needs another look.", `value="Laptop"`)
	v.Post(path+"/"+id, url.Values{"name": {" Badge "}}).Leads(t, security+"?done=certificate-renamed")
	v.Get(security+"?done=certificate-renamed").Want(t, http.StatusOK, "The new name is saved.", ">Badge<", "Ada&#39;s laptop")
	v.Get(path+"/crt_none").Want(t, http.StatusNotFound)
	v.Post(path+"/crt_none", url.Values{"name": {"x"}}).Want(t, http.StatusNotFound)

	v.Post(path, url.Values{"certificate": {id}}).Leads(t, security+"?done=certificate-removed")
	if a := v.Get(security+"?done=certificate-removed").Want(t, http.StatusOK, "The certificate is removed."); strings.Contains(a.Page, "Badge") {
		t.Error("it is still there")
	}
	v.Post(path, url.Values{"certificate": {id}}).Leads(t, security+"?done=certificate-removed")
}

// The last way to sign in stays, where the tenant lets nobody in with what else there is, too.
func TestTheOnlyCertificateStays(t *testing.T) {
	t.Parallel()
	for name, lose := range map[string]func(tx *fsm.Tx, user string) error{
		"no password": func(tx *fsm.Tx, user string) error { return credential.DeleteAllOf(tx, identity.DefaultTenant, user) },
		"a password that signs nobody in": func(tx *fsm.Tx, _ string) error {
			a, rev, err := settings.Get(tx, identity.DefaultTenant)
			if err != nil {
				return err
			}
			a.PasswordLogin, a.ForgotPassword = false, false
			return settings.Put(tx, rev, *a)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			v := newVisit(t)
			v.trust()
			v.Update(func(tx *fsm.Tx) error { return lose(tx, v.user) })
			old, cert := v.ca.Person(t, "Old"), v.ca.Person(t, "Ada")
			outlived := v.bind(old, time.Now().Add(-time.Hour))
			remove := url.Values{"certificate": {v.bind(cert, cert.Leaf.NotAfter)}}
			v.prove(path, remove, cert)
			v.Post(path, remove).Leads(t, security+"?done=certificate-last")
			v.Get(security+"?done=certificate-last").Want(t, http.StatusOK, `class="alert"`, "only way to sign in", "CN=Ada")
			v.Post(path, url.Values{"certificate": {outlived}}).Leads(t, security+"?done=certificate-removed")
		})
	}
}

// bind gives ada a certificate that is good until then, and returns its ID.
func (v *visit) bind(cert tls.Certificate, until time.Time) (id string) {
	v.House.T.Helper()
	v.Update(func(tx *fsm.Tx) error {
		all, err := certificate.List(tx, identity.DefaultTenant)
		if err != nil {
			return err
		}
		names, err := certificate.NamesOf(cert.Leaf)
		if err != nil {
			return err
		}
		names.NotAfter = until
		c, err := certificate.Bind(tx, &all[0], names, v.user, certificate.ByFingerprint, "")
		if err == nil {
			id = c.ID
		}
		return err
	})
	return id
}

func TestTextsAreTranslated(t *testing.T) {
	t.Parallel()
	pagetest.Translated(t, site)
}

func TestEveryTextIsUsed(t *testing.T) {
	t.Parallel()
	pagetest.EveryTextIsUsed(t, english, func(string, string) bool { return false }, newPage.Keys())
}
