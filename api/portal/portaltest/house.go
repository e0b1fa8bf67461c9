// Package portaltest is the house in which sections of the portal are tested: a store of one
// node, people, and a front door with what the test puts behind it. A section knows its own
// pages; how somebody comes to stand before them is the same for all, and written here.
package portaltest

import (
	"context"
	"net/http/httptest"
	"slices"
	"testing"
	"time"

	"github.com/quis-idp/quis/api"
	"github.com/quis-idp/quis/api/login"
	"github.com/quis-idp/quis/api/metrics"
	"github.com/quis-idp/quis/api/portal"
	"github.com/quis-idp/quis/federation/oidc/family"
	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/fsm/fsmtest"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/alarm"
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

const (
	// PublicURL is what the house is called unless Open is told otherwise.
	PublicURL = "http://localhost:8080"

	// Password is everybody's who has one.
	Password = "correct horse battery"
)

// House is what a test finds. Flows and the rooms behind the door are made by it.
type House struct {
	T        *testing.T
	Cluster  *fsmtest.Cluster
	DB       *fsm.DB
	Ring     *seal.Ring
	Pool     *credential.Pool // a cheap one
	Sessions *session.Store
	Flows    *authn.Flows
	Users    map[string]string // username to ID, in the default tenant
	URL      string            // of the front door

	// Mails says whether mail is sent from here, to the portal that is made next; nil: none is.
	Mails func(tx *fsm.Tx, tenant string) (bool, error)

	hash string // of Password
}

// New returns a house with the tables of the portal and more, nobody in it, and no door.
func New(t *testing.T, more ...fsm.Definition) *House {
	t.Helper()
	return NewOver(t, 1, more...)[0]
}

// NewOver is New for a cluster: the house as it stands at each of the nodes.
func NewOver(t *testing.T, nodes int, more ...fsm.Definition) (all []*House) {
	t.Helper()
	c := fsmtest.NewCluster(t, nodes, slices.Concat(seal.Tables, event.Tables, directory.Tables, credential.Tables, session.Tables, authn.Tables,
		family.Tables, settings.Tables, passkey.Tables, alarm.Tables, more)...)
	users := map[string]string{}
	pool := credential.NewPool(credential.Config{Params: credential.Params{Memory: 64, Time: 1, Threads: 1}}, nil)
	hash, err := pool.Hash(t.Context(), Password)
	if err != nil {
		t.Fatal(err)
	}
	for i, ring := range sealtest.Rings(t, c.DB...) {
		h := &House{T: t, Cluster: c, DB: c.DB[i], Ring: ring, Pool: pool, Users: users, hash: hash}
		h.Sessions = session.NewStore(session.Config{DB: h.DB, Ring: h.Ring})
		h.SignIn(authn.Config{})
		all = append(all, h)
	}
	all[0].Update(directory.EnsureDefault)
	return all
}

// SignIn makes Flows of cfg, in which the house fills in its own.
func (h *House) SignIn(cfg authn.Config) {
	cfg.DB, cfg.Ring, cfg.Sessions = h.DB, h.Ring, h.Sessions
	cfg.CheckPassword = func(ctx context.Context, tenant, user, password string) error {
		return credential.CheckPassword(ctx, h.DB, h.Pool, tenant, user, password)
	}
	cfg.NewPassword = func(ctx context.Context, who credential.Person, password string) (string, error) {
		return credential.Prepare(ctx, h.DB, h.Pool, credential.Checks{}, who, password)
	}
	h.Flows = authn.New(cfg)
}

// Person makes a user of the default tenant, who has the password only if told so.
func (h *House) Person(u directory.User, password bool) {
	h.T.Helper()
	h.Users[u.Username] = h.PersonOf(identity.DefaultTenant, u, password)
}

// PersonOf is Person for a tenant, and returns the ID.
func (h *House) PersonOf(tenant string, u directory.User, password bool) (id string) {
	h.T.Helper()
	h.Update(func(tx *fsm.Tx) error {
		made, err := directory.CreateUser(tx, tenant, u)
		if err != nil {
			return err
		}
		if id = made.ID; !password {
			return nil
		}
		return credential.SetPassword(tx, tenant, id, h.hash)
	})
	return id
}

// Login is the room of sign-in, of cfg, in which the house fills in its own.
func (h *House) Login(cfg login.Config) api.Room {
	cfg.DB, cfg.Sessions, cfg.Flows, cfg.Pool = h.DB, h.Sessions, h.Flows, h.Pool
	return login.New(cfg)
}

// Portal is the portal with sections.
func (h *House) Portal(sections ...portal.Section) api.Room {
	return portal.New(portal.Config{DB: h.DB, Sessions: h.Sessions, Flows: h.Flows, Pool: h.Pool, SessionCookie: login.SessionCookie, Mails: h.Mails}, sections...)
}

// Open opens the door to rooms.
func (h *House) Open(rooms ...api.Room) {
	h.T.Helper()
	h.OpenAs(httptest.NewUnstartedServer(nil), api.Config{PublicURL: PublicURL, Rooms: rooms})
}

// OpenAs is Open for a server and a configuration of the test's own.
func (h *House) OpenAs(s *httptest.Server, cfg api.Config) {
	h.T.Helper()
	cfg.DB, cfg.Metrics = h.DB, metrics.New("test", "none")
	door, err := api.New(cfg)
	if err != nil {
		h.T.Fatal(err)
	}
	s.Config.Handler = door.Public
	s.Start()
	h.T.Cleanup(s.Close)
	h.URL = s.URL
}

// Update changes the state.
func (h *House) Update(fn func(tx *fsm.Tx) error) {
	h.T.Helper()
	if err := h.DB.Update(h.T.Context(), fn); err != nil {
		h.T.Fatal(err)
	}
}

// Pass lets time go by: any write brings it.
func (h *House) Pass(d time.Duration) {
	h.T.Helper()
	h.Cluster.Advance(d)
	h.Update(func(tx *fsm.Tx) error { return event.Append(tx, event.Event{Type: event.KeyRetired}) })
}
