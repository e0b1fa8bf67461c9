package certificate

import (
	"context"
	"crypto/tls"
	"html"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/quis-idp/quis/api"
	"github.com/quis-idp/quis/api/login"
	"github.com/quis-idp/quis/api/metrics"
	"github.com/quis-idp/quis/api/page/pagetest"
	"github.com/quis-idp/quis/api/portal"
	"github.com/quis-idp/quis/federation/oidc/family"
	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/fsm/fsmtest"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/authn"
	"github.com/quis-idp/quis/identity/credential"
	"github.com/quis-idp/quis/identity/credential/certificate"
	"github.com/quis-idp/quis/identity/credential/certificate/certificatetest"
	"github.com/quis-idp/quis/identity/credential/certificate/desk"
	"github.com/quis-idp/quis/identity/credential/passkey"
	"github.com/quis-idp/quis/identity/directory"
	"github.com/quis-idp/quis/identity/event"
	"github.com/quis-idp/quis/identity/session"
	"github.com/quis-idp/quis/identity/settings"
	"github.com/quis-idp/quis/keys/seal"
)

const secret = "correct horse battery"

// A visit is somebody signed in, in front of a proxy that passes certificates on.
type visit struct {
	*pagetest.Browser
	t       *testing.T
	cluster *fsmtest.Cluster
	db      *fsm.DB
	user    string
	ca      *certificatetest.Authority
}

func newVisit(t *testing.T) *visit {
	t.Helper()
	c := fsmtest.NewCluster(t, 1, slices.Concat(seal.Tables, event.Tables, directory.Tables, credential.Tables, session.Tables, authn.Tables,
		family.Tables, settings.Tables, passkey.Tables)...)
	v := &visit{t: t, cluster: c, db: c.DB[0]}
	root := seal.GenerateRootKey()
	v.update(func(tx *fsm.Tx) error { return seal.Init(tx, root) })
	ring, err := seal.OpenRing(t.Context(), v.db, root)
	if err != nil {
		t.Fatal(err)
	}
	pool := credential.NewPool(credential.Config{Params: credential.Params{Memory: 64, Time: 1, Threads: 1}}, nil)
	phc, err := pool.Hash(t.Context(), secret)
	if err != nil {
		t.Fatal(err)
	}
	v.update(func(tx *fsm.Tx) error {
		if err := directory.EnsureDefault(tx); err != nil {
			return err
		}
		u, err := directory.CreateUser(tx, identity.DefaultTenant, directory.User{Username: "ada", Name: "Ada Lovelace"})
		if err != nil {
			return err
		}
		v.user = u.ID
		return credential.SetPassword(tx, identity.DefaultTenant, u.ID, phc)
	})
	sessions := session.NewStore(session.Config{DB: v.db, Ring: ring})
	looking := &desk.Desk{DB: v.db, Ring: ring}
	flows := authn.New(authn.Config{DB: v.db, Ring: ring, Sessions: sessions, Certificates: looking,
		CheckPassword: func(ctx context.Context, tenant, user, password string) error {
			return credential.CheckPassword(ctx, v.db, pool, tenant, user, password)
		}})
	s := httptest.NewUnstartedServer(nil)
	public := "http://" + s.Listener.Addr().String()
	pages := portal.New(portal.Config{DB: v.db, Sessions: sessions, Flows: flows, Pool: pool, SessionCookie: login.SessionCookie},
		New(Config{DB: v.db, Desk: looking, Certificates: public, Modern: func(context.Context) error { return nil }}))
	signIn := login.New(login.Config{DB: v.db, Sessions: sessions, Flows: flows, Pool: pool, Certificates: public, Desk: looking})
	door, err := api.New(api.Config{
		PublicURL: public, DB: v.db, Rooms: []api.Room{signIn, pages}, Metrics: metrics.New("test", "none"),
		TrustedProxies: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}, CertificateHeader: "X-Client-Cert",
	})
	if err != nil {
		t.Fatal(err)
	}
	s.Config.Handler = door.Public
	s.Start()
	t.Cleanup(s.Close)
	v.Browser = pagetest.NewBrowser(t, public)
	v.SignIn(v.Get(path), "", "ada", secret)
	return v
}

func (v *visit) update(f func(tx *fsm.Tx) error) {
	v.t.Helper()
	if err := v.db.Update(v.t.Context(), f); err != nil {
		v.t.Fatal(err)
	}
}

func (v *visit) trust() {
	v.t.Helper()
	v.ca = certificatetest.New(v.t, "Friends", nil)
	v.update(func(tx *fsm.Tx) error {
		_, err := certificate.Add(tx, certificate.Authority{
			Tenant: identity.DefaultTenant, Name: "Friends", Certificate: v.ca.Cert.Raw, Revocation: certificate.RevocationOff,
			Rules: []certificate.Rule{{From: certificate.FromAdded}},
		})
		return err
	})
}

// show goes to where the browser is asked for a certificate, which it sends, and returns where that leads.
func (v *visit) show(cert tls.Certificate) pagetest.Answer {
	v.t.Helper()
	to := v.Get(path)
	ask, ok := strings.CutPrefix(to.Header.Get("Location"), v.URL)
	if to.StatusCode != http.StatusSeeOther || !ok {
		v.t.Fatalf("%d to %s", to.StatusCode, to.Header.Get("Location"))
	}
	return v.Send(http.MethodGet, ask, nil, http.Header{"X-Client-Cert": {url.PathEscape(certificatetest.PEM(cert.Leaf))}})
}

// prove sends a form that wants a fresh proof, follows to where it is given, and gives it with the
// certificate.
func (v *visit) prove(at string, form url.Values, cert tls.Certificate) {
	v.t.Helper()
	v.cluster.Advance(2 * time.Second) // a flow older than the session would lead back at once
	v.update(func(tx *fsm.Tx) error { return event.Append(tx, event.Event{Type: event.KeyRetired}) })
	a := v.Post(at, form)
	a.Leads(v.t, "/login?flow=")
	step := v.Get(a.Header.Get("Location")).Want(v.t, http.StatusOK)
	link := strings.TrimPrefix(html.UnescapeString(step.One(v.t, `href="([^"]+/login/certificate\?flow=[^"]+)"`)), v.URL)
	shown := v.Send(http.MethodGet, link, nil, http.Header{"X-Client-Cert": {url.PathEscape(certificatetest.PEM(cert.Leaf))}})
	confirm := v.Get(strings.TrimPrefix(shown.Header.Get("Location"), v.URL)).Want(v.t, http.StatusOK)
	done := v.Post("/login/certificate", url.Values{"flow": confirm.Hidden("flow")}).Want(v.t, http.StatusOK)
	if done.Header.Get("Refresh") == "" {
		v.t.Fatalf("leads nowhere: %s", done.Page)
	}
}

func TestAPersonsCertificates(t *testing.T) {
	t.Parallel()
	v := newVisit(t)
	if a := v.Get(security); strings.Contains(a.Page, "smart card") {
		t.Error("there is a card although nobody is trusted")
	}
	v.trust()
	other := pagetest.NewBrowser(t, v.URL)
	other.SignIn(other.Get(path), "", "ada", secret)
	v.Get(security).Want(t, http.StatusOK, "Certificates and smart cards", "Add the certificate of this browser")
	cert := v.ca.Person(t, "Ada's laptop")
	shown := v.show(cert)
	next, ok := strings.CutPrefix(shown.Header.Get("Location"), v.URL)
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
	v.Post(path, url.Values{"certificate": {id}}).Leads(t, security+"?done=certificate-removed")
	if a := v.Get(security+"?done=certificate-removed").Want(t, http.StatusOK, "The certificate is removed."); strings.Contains(a.Page, "Laptop") {
		t.Error("it is still there")
	}
	v.Post(path, url.Values{"certificate": {id}}).Leads(t, security+"?done=certificate-removed")
}

// The last way to sign in stays.
func TestTheOnlyCertificateStays(t *testing.T) {
	t.Parallel()
	v := newVisit(t)
	v.trust()
	cert := v.ca.Person(t, "Ada")
	var id string
	v.update(func(tx *fsm.Tx) error {
		all, err := certificate.List(tx, identity.DefaultTenant)
		if err != nil {
			return err
		}
		if err := credential.DeleteAllOf(tx, identity.DefaultTenant, v.user); err != nil {
			return err
		}
		names, err := certificate.NamesOf(cert.Leaf)
		if err != nil {
			return err
		}
		c, err := certificate.Bind(tx, &all[0], names, v.user, certificate.ByFingerprint, "")
		if err == nil {
			id = c.ID
		}
		return err
	})
	remove := url.Values{"certificate": {id}}
	v.prove(path, remove, cert)
	v.Post(path, remove).Leads(t, security+"?done=certificate-last")
	v.Get(security+"?done=certificate-last").Want(t, http.StatusOK, "only way to sign in", "CN=Ada")
}

func TestTextsAreTranslated(t *testing.T) {
	t.Parallel()
	pagetest.Translated(t, site)
}

func TestEveryTextIsUsed(t *testing.T) {
	t.Parallel()
	pagetest.EveryTextIsUsed(t, english, func(string, string) bool { return false }, newPage.Keys())
}
