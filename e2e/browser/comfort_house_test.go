package browser

import (
	"context"
	"net"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/quis-idp/quis/api"
	"github.com/quis-idp/quis/api/login"
	"github.com/quis-idp/quis/api/login/memory"
	"github.com/quis-idp/quis/api/metrics"
	"github.com/quis-idp/quis/api/portal"
	ownpasskeys "github.com/quis-idp/quis/api/portal/passkey"
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
	"github.com/quis-idp/quis/identity/session"
	"github.com/quis-idp/quis/identity/settings"
	"github.com/quis-idp/quis/keys/seal"
	"github.com/quis-idp/quis/keys/seal/sealtest"
)

const comfortSecret = "correct horse battery"

// A comfortHouse is sign-in and a person's own pages on one store whose clock can be set: what
// hours do to a page is seen in a moment.
type comfortHouse struct {
	t       *testing.T
	cluster *fsmtest.Cluster
	db      *fsm.DB
	flows   *authn.Flows
	url     string
}

func newComfortHouse(t *testing.T) *comfortHouse {
	t.Helper()
	l, err := net.Listen("tcp", "localhost:0")
	if err != nil {
		t.Fatal(err)
	}
	_, port, _ := net.SplitHostPort(l.Addr().String())
	c := fsmtest.NewCluster(t, 1, slices.Concat(seal.Tables, event.Tables, directory.Tables, credential.Tables, session.Tables, authn.Tables,
		family.Tables, settings.Tables, passkey.Tables, federation.Tables)...)
	h := &comfortHouse{t: t, cluster: c, db: c.DB[0], url: "http://localhost:" + port}
	ring := sealtest.Ring(t, h.db)
	h.open(l, ring)
	return h
}

// open serves the rooms.
func (h *comfortHouse) open(l net.Listener, ring *seal.Ring) {
	h.t.Helper()
	pool := credential.NewPool(credential.Config{Params: credential.Params{Memory: 64, Time: 1, Threads: 1}}, nil)
	h.populate(pool)
	sessions := session.NewStore(session.Config{DB: h.db, Ring: ring})
	h.flows = authn.New(authn.Config{DB: h.db, Ring: ring, Sessions: sessions,
		CheckPassword: func(ctx context.Context, tenant, user, password string) error {
			return credential.CheckPassword(ctx, h.db, pool, tenant, user, password)
		}})
	remembers := memory.Memory{Ring: ring}
	own := ownpasskeys.New(ownpasskeys.Config{DB: h.db, Ring: ring, Memory: remembers, Modern: func(context.Context) error { return nil }})
	door, err := api.New(api.Config{PublicURL: h.url, DB: h.db, Metrics: metrics.New("test", "none"), Rooms: []api.Room{
		login.New(login.Config{DB: h.db, Sessions: sessions, Flows: h.flows, Pool: pool, Memory: remembers, Offer: own.Offer}),
		portal.New(portal.Config{DB: h.db, Sessions: sessions, Flows: h.flows, Pool: pool, SessionCookie: login.SessionCookie}, own),
	}})
	if err != nil {
		h.t.Fatal(err)
	}
	s := &http.Server{Handler: door.Public, ReadHeaderTimeout: 5 * time.Second}
	go s.Serve(l)
	h.t.Cleanup(func() { s.Close() })
}

// populate adds ada and grace, who have the same password.
func (h *comfortHouse) populate(pool *credential.Pool) {
	h.t.Helper()
	phc, err := pool.Hash(h.t.Context(), comfortSecret)
	if err != nil {
		h.t.Fatal(err)
	}
	h.update(func(tx *fsm.Tx) error {
		if err := directory.EnsureDefault(tx); err != nil {
			return err
		}
		for username, name := range map[string]string{"ada": "Ada Lovelace", "grace": "Grace Hopper"} {
			u, err := directory.CreateUser(tx, identity.DefaultTenant, directory.User{Username: username, Name: name, Email: username + "@example.com"})
			if err != nil {
				return err
			}
			if err := credential.SetPassword(tx, identity.DefaultTenant, u.ID, phc); err != nil {
				return err
			}
		}
		return nil
	})
}

func (h *comfortHouse) update(fn func(tx *fsm.Tx) error) {
	h.t.Helper()
	if err := h.db.Update(h.t.Context(), fn); err != nil {
		h.t.Fatal(err)
	}
}

// pass lets time go by.
func (h *comfortHouse) pass(d time.Duration) {
	h.t.Helper()
	h.cluster.Advance(d)
	h.update(func(tx *fsm.Tx) error { return event.Append(tx, event.Event{Type: event.KeyRetired}) })
}

// begin makes a flow as a protocol does, and returns where it sends the browser.
func (h *comfortHouse) begin(need authn.Need) string {
	h.t.Helper()
	need.Tenant = identity.DefaultTenant
	flow, err := h.flows.Begin(h.t.Context(), need)
	if err != nil {
		h.t.Fatal(err)
	}
	return h.url + "/login?flow=" + flow
}
