package consent

import (
	"context"
	"net/http/httptest"
	"slices"
	"testing"
	"time"

	"github.com/quis-idp/quis/api"
	"github.com/quis-idp/quis/api/login"
	"github.com/quis-idp/quis/api/metrics"
	"github.com/quis-idp/quis/api/page/pagetest"
	"github.com/quis-idp/quis/federation"
	"github.com/quis-idp/quis/federation/ciba"
	given "github.com/quis-idp/quis/federation/consent"
	"github.com/quis-idp/quis/federation/device"
	"github.com/quis-idp/quis/federation/oidc/family"
	"github.com/quis-idp/quis/federation/poll"
	"github.com/quis-idp/quis/federation/resource"
	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/fsm/fsmtest"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/authn"
	"github.com/quis-idp/quis/identity/credential"
	"github.com/quis-idp/quis/identity/credential/passkey"
	"github.com/quis-idp/quis/identity/directory"
	"github.com/quis-idp/quis/identity/event"
	"github.com/quis-idp/quis/identity/session"
	"github.com/quis-idp/quis/identity/settings"
	"github.com/quis-idp/quis/keys/seal"
	"github.com/quis-idp/quis/keys/seal/sealtest"
)

const publicURL = "http://localhost:8080"

// house is a running front door with these pages and those of sign-in behind it.
type house struct {
	t       *testing.T
	cluster *fsmtest.Cluster
	db      *fsm.DB
	users   map[string]string // name to ID
	apps    map[string]*federation.Application
	url     string
	pages   *Pages

	sessions *session.Store
	ring     *seal.Ring
}

func newHouse(t *testing.T) *house {
	t.Helper()
	c := fsmtest.NewCluster(t, 1, slices.Concat(seal.Tables, event.Tables, directory.Tables, credential.Tables, session.Tables,
		authn.Tables, settings.Tables, passkey.Tables, federation.Tables, resource.Tables, family.Tables, given.Tables, poll.Tables, device.Tables, ciba.Tables)...)
	h := &house{t: t, cluster: c, db: c.DB[0], users: map[string]string{}, apps: map[string]*federation.Application{}}
	ring := sealtest.Ring(t, h.db)
	sessions := session.NewStore(session.Config{DB: h.db, Ring: ring})
	flows := authn.New(authn.Config{DB: h.db, Ring: ring, Sessions: sessions,
		CheckPassword: func(_ context.Context, _, user, password string) error {
			if user == "" || password != "right" {
				return identity.Unauthenticated("no")
			}
			return nil
		}})
	h.update(h.populate)
	pool := credential.NewPool(credential.Config{Params: credential.Params{Memory: 64, Time: 1, Threads: 1}}, nil)
	signIn := login.New(login.Config{DB: h.db, Sessions: sessions, Flows: flows, Pool: pool})
	pages := New(Config{DB: h.db, Ring: ring, Sessions: sessions, Flows: flows, SessionCookie: login.SessionCookie})
	h.pages, h.sessions, h.ring = pages, sessions, ring
	door, err := api.New(api.Config{PublicURL: publicURL, DB: h.db, Rooms: []api.Room{signIn, pages, asking{h, pages, given.NewDesk(h.db, ring)}}, Metrics: metrics.New("test", "none")})
	if err != nil {
		t.Fatal(err)
	}
	s := httptest.NewServer(door.Public)
	t.Cleanup(s.Close)
	h.url = s.URL
	return h
}

func (h *house) populate(tx *fsm.Tx) error {
	if err := directory.EnsureDefault(tx); err != nil {
		return err
	}
	acme, err := directory.CreateTenant(tx, directory.Tenant{Slug: "acme", Name: "Acme"})
	if err != nil {
		return err
	}
	for _, tenant := range []string{identity.DefaultTenant, acme.ID} {
		for _, name := range []string{"ada", "grace"} {
			u, err := directory.CreateUser(tx, tenant, directory.User{Username: name, Name: name})
			if err != nil {
				return err
			}
			h.users[tenant+" "+name] = u.ID
		}
		app := &federation.Application{Tenant: tenant, ClientID: "tv", Name: "Television", IsPublic: true, RedirectURIs: []string{"https://tv.example/cb"}}
		if _, err := federation.Create(tx, nil, app, ""); err != nil {
			return err
		}
		h.apps[tenant] = app
	}
	h.apps["acme"] = h.apps[acme.ID]
	return nil
}

func (h *house) update(fn func(tx *fsm.Tx) error) {
	h.t.Helper()
	if err := h.db.Update(h.t.Context(), fn); err != nil {
		h.t.Fatal(err)
	}
}

// device has a device of the application ask, from an address that is not the browser's.
func (h *house) device(app *federation.Application) *device.Authorization {
	h.t.Helper()
	a := &device.Authorization{
		Grant:  family.Grant{Scope: []string{"openid", "profile", "offline_access", "lights:switch"}},
		Tenant: app.Tenant, Application: app.ID, ClientID: app.ClientID,
	}
	ctx := identity.WithRequest(h.t.Context(), identity.Request{IP: "203.0.113.7", UserAgent: "tv/1 <b>"})
	if err := h.db.Update(ctx, func(tx *fsm.Tx) error { return device.Start(tx, a) }); err != nil {
		h.t.Fatal(err)
	}
	return a
}

func (h *house) state(a *device.Authorization) (s device.State) {
	h.t.Helper()
	err := h.db.View(h.t.Context(), func(tx *fsm.Tx) error {
		now, err := device.Get(tx, a.Tenant, a.Family)
		if err == nil {
			s = now.State
		}
		return err
	})
	if err != nil {
		h.t.Fatal(err)
	}
	return s
}

// ask has the application ask a user.
func (h *house) ask(name, message string) *ciba.Request {
	h.t.Helper()
	app := h.apps[identity.DefaultTenant]
	r := &ciba.Request{
		Grant:  family.Grant{Family: ciba.NewID(), UserID: h.users[app.Tenant+" "+name], Scope: []string{"openid"}},
		Tenant: app.Tenant, Application: app.ID, ClientID: app.ClientID, Message: message,
	}
	h.update(func(tx *fsm.Tx) error { return ciba.Start(tx, r, 0) })
	return r
}

// pass lets time go by.
func (h *house) pass(d time.Duration) {
	h.cluster.Advance(d)
	h.update(func(tx *fsm.Tx) error { return device.Limit.Note(tx, poll.Starter{Tenant: identity.DefaultTenant}) })
}

// someone has a browser, without JavaScript.
type someone struct {
	*house
	*pagetest.Browser
}

func (h *house) someone() *someone { return &someone{h, pagetest.NewBrowser(h.t, h.url)} }
