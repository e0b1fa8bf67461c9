package login

import (
	"context"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"sync/atomic"
	"testing"

	"github.com/quis-idp/quis/api"
	"github.com/quis-idp/quis/api/login/memory"
	"github.com/quis-idp/quis/api/metrics"
	"github.com/quis-idp/quis/api/page/pagetest"
	"github.com/quis-idp/quis/federation"
	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/fsm/fsmtest"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/authn"
	"github.com/quis-idp/quis/identity/credential"
	"github.com/quis-idp/quis/identity/credential/certificate/desk"
	"github.com/quis-idp/quis/identity/credential/passkey"
	"github.com/quis-idp/quis/identity/directory"
	"github.com/quis-idp/quis/identity/event"
	"github.com/quis-idp/quis/identity/session"
	"github.com/quis-idp/quis/identity/settings"
	"github.com/quis-idp/quis/keys/seal"
	"github.com/quis-idp/quis/keys/seal/sealtest"
)

const (
	publicURL = "http://localhost:8080"
	secret    = "correct horse battery"
)

// house is a running front door with the real rooms behind it.
type house struct {
	t       *testing.T
	cluster *fsmtest.Cluster
	db      *fsm.DB
	flows   *authn.Flows
	ring    *seal.Ring
	sent    atomic.Pointer[authn.Letter] // the latest letter
	login   *Login
	door    http.Handler
	check   atomic.Pointer[func()] // called before a password is checked
	url     string
	phc     string // of secret
}

func newHouse(t *testing.T, change func(*Config)) *house {
	t.Helper()
	c := fsmtest.NewCluster(t, 1, slices.Concat(seal.Tables, event.Tables, directory.Tables, credential.Tables, session.Tables, authn.Tables, settings.Tables, passkey.Tables, federation.Tables)...)
	h := &house{t: t, cluster: c, db: c.DB[0]}
	ring := sealtest.Ring(t, h.db)
	h.ring = ring
	pool := credential.NewPool(credential.Config{Params: credential.Params{Memory: 64, Time: 1, Threads: 1}}, nil)
	sessions := session.NewStore(session.Config{DB: h.db, Ring: ring})
	h.flows = authn.New(authn.Config{DB: h.db, Ring: ring, Sessions: sessions, SendMail: h.keep, Certificates: &desk.Desk{DB: h.db, Ring: ring}, NewPassword: passwords(h, pool),
		Leaked: func(_ context.Context, _, password string) bool { return password == leaked },
		CheckPassword: func(ctx context.Context, tenant, user, password string) error {
			if before := h.check.Load(); before != nil {
				(*before)()
			}
			return credential.CheckPassword(ctx, h.db, pool, tenant, user, password)
		}})
	phc, err := pool.Hash(t.Context(), secret)
	if err != nil {
		t.Fatal(err)
	}
	h.phc = phc
	h.update(func(tx *fsm.Tx) error {
		if err := directory.EnsureDefault(tx); err != nil {
			return err
		}
		acme, err := directory.CreateTenant(tx, directory.Tenant{Slug: "acme", Name: "Acme"})
		if err != nil {
			return err
		}
		for _, tenant := range []string{identity.DefaultTenant, acme.ID} {
			u, err := directory.CreateUser(tx, tenant, directory.User{Username: "tester", Email: "tester@example.com", Name: "Test User"})
			if err != nil {
				return err
			}
			if err := credential.SetPassword(tx, tenant, u.ID, phc); err != nil {
				return err
			}
		}
		return nil
	})
	cfg := Config{DB: h.db, Sessions: sessions, Flows: h.flows, Pool: pool, Desk: &desk.Desk{DB: h.db, Ring: ring}, Memory: memory.Memory{Ring: ring}}
	if change != nil {
		change(&cfg)
	}
	h.login = New(cfg)
	door, err := api.New(api.Config{PublicURL: publicURL, DB: h.db, Rooms: []api.Room{h.login}, Metrics: metrics.New("test", "none")})
	if err != nil {
		t.Fatal(err)
	}
	h.door = door.Public
	s := httptest.NewServer(h.door)
	t.Cleanup(s.Close)
	h.url = s.URL
	return h
}

func (h *house) update(fn func(tx *fsm.Tx) error) {
	h.t.Helper()
	if err := h.db.Update(h.t.Context(), fn); err != nil {
		h.t.Fatal(err)
	}
}

// begin makes a flow as a protocol does.
func (h *house) begin(need authn.Need) string {
	h.t.Helper()
	if need.Tenant == "" {
		need.Tenant = identity.DefaultTenant
	}
	sealed, err := h.flows.Begin(h.t.Context(), need)
	if err != nil {
		h.t.Fatal(err)
	}
	return sealed
}

func (h *house) sessions() (n int) {
	h.t.Helper()
	err := h.db.View(h.t.Context(), func(tx *fsm.Tx) error {
		u, err := directory.UserByUsername(tx, identity.DefaultTenant, "tester")
		if err != nil {
			return err
		}
		ids, err := session.Excess(tx, identity.DefaultTenant, u.ID, 0)
		n = len(ids)
		return err
	})
	if err != nil {
		h.t.Fatal(err)
	}
	return n
}

// someone is somebody with a browser, without JavaScript.
type someone struct {
	*house
	*pagetest.Browser
}

func (h *house) someone() *someone { return &someone{h, pagetest.NewBrowser(h.t, h.url)} }

// form opens the login form of a flow and returns the hidden token.
func (s *someone) form(path string) string {
	s.t.Helper()
	a := s.Get(path)
	flows := a.Hidden("flow")
	if a.StatusCode != 200 || len(flows) == 0 {
		s.t.Fatalf("no form: %d %s", a.StatusCode, a.Page)
	}
	return flows[0]
}

func (s *someone) try(flow, username, password string) pagetest.Answer {
	s.t.Helper()
	return s.Post("/login", url.Values{"flow": {flow}, "username": {username}, "password": {password}})
}

// signIn goes in through the front page.
func (s *someone) signIn() {
	s.t.Helper()
	if a := s.try(s.form("/login"), "tester", secret); a.StatusCode != 200 || a.Header.Get("Refresh") == "" {
		s.t.Fatalf("sign in: %d %s", a.StatusCode, a.Page)
	}
}
