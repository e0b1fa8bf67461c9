package portal

import (
	"context"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"testing"
	"time"

	"github.com/quis-idp/quis/api"
	"github.com/quis-idp/quis/api/login"
	"github.com/quis-idp/quis/api/metrics"
	"github.com/quis-idp/quis/api/page/pagetest"
	"github.com/quis-idp/quis/federation"
	"github.com/quis-idp/quis/federation/oidc/family"
	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/fsm/fsmtest"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/authn"
	"github.com/quis-idp/quis/identity/credential"
	"github.com/quis-idp/quis/identity/credential/passkey"
	"github.com/quis-idp/quis/identity/directory"
	"github.com/quis-idp/quis/identity/event"
	"github.com/quis-idp/quis/identity/impersonation"
	"github.com/quis-idp/quis/identity/pending"
	"github.com/quis-idp/quis/identity/session"
	"github.com/quis-idp/quis/identity/settings"
	"github.com/quis-idp/quis/keys/seal"
	"github.com/quis-idp/quis/keys/seal/sealtest"
)

const (
	publicURL = "http://localhost:8080"
	secret    = "correct horse battery"
	firefox   = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
)

// house is a running front door with these pages and those of sign-in behind it.
type house struct {
	t        *testing.T
	cluster  *fsmtest.Cluster
	db       *fsm.DB
	sessions *session.Store
	offers   *impersonation.Offers
	users    map[string]string // name to ID, in the default tenant
	url      string
}

func newHouse(t *testing.T, sections ...Section) *house {
	t.Helper()
	c := fsmtest.NewCluster(t, 1, slices.Concat(seal.Tables, event.Tables, directory.Tables, credential.Tables, session.Tables, impersonation.Tables, authn.Tables, family.Tables, settings.Tables, passkey.Tables, pending.Tables, federation.Tables)...)
	h := &house{t: t, cluster: c, db: c.DB[0], users: map[string]string{}}
	ring := sealtest.Ring(t, h.db)
	pool := credential.NewPool(credential.Config{Params: credential.Params{Memory: 64, Time: 1, Threads: 1}}, nil)
	h.sessions = session.NewStore(session.Config{DB: h.db, Ring: ring})
	h.offers = impersonation.New(h.db, ring, h.sessions)
	flows := authn.New(authn.Config{DB: h.db, Ring: ring, Sessions: h.sessions,
		CheckPassword: func(ctx context.Context, tenant, user, password string) error {
			return credential.CheckPassword(ctx, h.db, pool, tenant, user, password)
		}})
	h.populate(pool)
	signIn := login.New(login.Config{DB: h.db, Sessions: h.sessions, Flows: flows, Offers: h.offers, Pool: pool})
	pages := New(Config{DB: h.db, Sessions: h.sessions, Flows: flows, Pool: pool, SessionCookie: login.SessionCookie}, sections...)
	door, err := api.New(api.Config{PublicURL: publicURL, DB: h.db, Rooms: []api.Room{signIn, pages}, Metrics: metrics.New("test", "none")})
	if err != nil {
		t.Fatal(err)
	}
	s := httptest.NewServer(door.Public)
	t.Cleanup(s.Close)
	h.url = s.URL
	return h
}

func (h *house) populate(pool *credential.Pool) {
	h.t.Helper()
	phc, err := pool.Hash(h.t.Context(), secret)
	if err != nil {
		h.t.Fatal(err)
	}
	h.update(func(tx *fsm.Tx) error {
		if err := directory.EnsureDefault(tx); err != nil {
			return err
		}
		acme, err := directory.CreateTenant(tx, directory.Tenant{Slug: "acme", Name: "Acme"})
		if err != nil {
			return err
		}
		for _, tenant := range []string{acme.ID, identity.DefaultTenant} {
			for _, name := range []string{"ada", "grace"} {
				u, err := directory.CreateUser(tx, tenant, directory.User{Username: name, Name: name, Email: name + "@example.com"})
				if err != nil {
					return err
				}
				h.users[name] = u.ID
				if err := credential.SetPassword(tx, tenant, u.ID, phc); err != nil {
					return err
				}
			}
		}
		return nil
	})
}

func (h *house) update(fn func(tx *fsm.Tx) error) {
	h.t.Helper()
	if err := h.db.Update(h.t.Context(), fn); err != nil {
		h.t.Fatal(err)
	}
}

func (h *house) view(fn func(tx *fsm.Tx) error) {
	h.t.Helper()
	if err := h.db.View(h.t.Context(), fn); err != nil {
		h.t.Fatal(err)
	}
}

// pass lets time go by.
func (h *house) pass(d time.Duration) {
	h.cluster.Advance(d)
	h.update(func(tx *fsm.Tx) error { return event.Append(tx, event.Event{Type: event.KeyRetired}) })
}

// count is how many sessions a user has.
func (h *house) count(name string) (n int) {
	h.t.Helper()
	h.view(func(tx *fsm.Tx) error {
		all, err := h.sessions.ListOf(tx, identity.DefaultTenant, h.users[name])
		n = len(all)
		return err
	})
	return n
}

// someone has a browser, without JavaScript.
type someone struct {
	*house
	*pagetest.Browser
}

func (h *house) someone() *someone {
	s := &someone{h, pagetest.NewBrowser(h.t, h.url)}
	s.Agent = firefox
	return s
}

// enter signs a browser in as a user of the default tenant.
func (h *house) enter(name string) *someone {
	h.t.Helper()
	s := h.someone()
	s.SignIn(s.Get("/account"), "", name, secret)
	return s
}

// done posts a form that is taken, and returns the page that it leads to.
func (s *someone) done(path string, form url.Values) pagetest.Answer {
	s.t.Helper()
	return s.Get(s.Post(path, form).Want(s.t, http.StatusSeeOther).Header.Get("Location"))
}
