package authn_test

import (
	"context"
	"slices"
	"sync/atomic"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

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
	ten  = identity.DefaultTenant
	good = "correct horse battery"
)

// A house is a cluster with sign-in at every node, and one user, ann.
type house struct {
	*fsmtest.Cluster
	nodes []*node
	pool  *credential.Pool
	ring  *seal.Ring // of the first node
	ann   *directory.User
}

type node struct {
	*authn.Flows
	db       *fsm.DB
	desk     *desk.Desk
	sessions *session.Store
	reg      *prometheus.Registry
	checks   atomic.Int64
	asked    atomic.Pointer[string] // user ID of the latest check
	checked  func()                 // after a check
	leaked   atomic.Pointer[string] // a password that is known from leaks
	standIn  atomic.Pointer[string] // user ID of the latest check that could only fail
	sent     atomic.Pointer[authn.Letter]
	warned   atomic.Pointer[string] // "user flow"
}

func newHouse(t testing.TB, n int) *house {
	t.Helper()
	schema := slices.Concat(authn.Tables, session.Tables, credential.Tables, passkey.Tables, settings.Tables, directory.Tables, event.Tables, seal.Tables)
	h := &house{
		Cluster: fsmtest.NewCluster(t, n, schema...),
		pool:    credential.NewPool(credential.Config{Params: credential.Params{Memory: 64, Time: 1, Threads: 1}}, nil),
	}
	rings := sealtest.Rings(t, h.DB...)
	h.ring = rings[0]
	h.update(t, 0, directory.EnsureDefault)
	h.ann = h.user(t, directory.User{Username: "ann", Email: "ann@example.com"}, good)
	for i, db := range h.DB {
		ring := rings[i]
		nd := &node{db: db, sessions: session.NewStore(session.Config{DB: db, Ring: ring}), reg: prometheus.NewRegistry(), desk: &desk.Desk{DB: db, Ring: ring}}
		nd.Flows = authn.New(authn.Config{
			DB: db, Ring: ring, Sessions: nd.sessions, Registerer: nd.reg, Strangers: 8, Certificates: nd.desk,
			SendMail: func(_ context.Context, l authn.Letter) { nd.sent.Store(&l) },
			Warn:     func(_, user, flow string) { said := user + " " + flow; nd.warned.Store(&said) },
			NewPassword: func(ctx context.Context, who credential.Person, password string) (string, error) {
				return credential.Prepare(ctx, db, h.pool, credential.Checks{}, who, password)
			},
			CheckPassword: func(ctx context.Context, tenant, user, password string) error {
				nd.checks.Add(1)
				nd.asked.Store(&user)
				err := credential.CheckPassword(ctx, db, h.pool, tenant, user, password)
				if nd.checked != nil {
					nd.checked()
				}
				return err
			},
			Leaked: func(_ context.Context, _, password string) bool {
				known := nd.leaked.Load()
				return known != nil && *known == password
			},
			FailPassword: func(ctx context.Context, tenant, user, password string) error {
				nd.checks.Add(1)
				nd.asked.Store(new(string))
				nd.standIn.Store(&user)
				err := credential.FailPassword(ctx, db, h.pool, tenant, user, password)
				if nd.checked != nil {
					nd.checked()
				}
				return err
			},
		})
		h.nodes = append(h.nodes, nd)
	}
	return h
}

func (h *house) update(t testing.TB, node int, fn func(tx *fsm.Tx) error) {
	t.Helper()
	if err := h.DB[node].Update(t.Context(), fn); err != nil {
		t.Fatal(err)
	}
}

func (h *house) user(t testing.TB, u directory.User, password string) (made *directory.User) {
	t.Helper()
	phc := h.hash(t, password)
	h.update(t, 0, func(tx *fsm.Tx) (err error) {
		if made, err = directory.CreateUser(tx, ten, u); err != nil {
			return err
		}
		return credential.SetPassword(tx, ten, made.ID, phc)
	})
	return made
}

func (h *house) hash(t testing.TB, password string) string {
	t.Helper()
	phc, err := h.pool.Hash(t.Context(), password)
	if err != nil {
		t.Fatal(err)
	}
	return phc
}

// events returns the tenant's events of a type, newest first.
func (h *house) events(t testing.TB, typ event.Type) (page []event.Event) {
	t.Helper()
	err := h.DB[0].View(t.Context(), func(tx *fsm.Tx) (err error) {
		page, _, err = event.List(tx, ten, event.Query{Type: string(typ), Limit: 500})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return page
}

// from is the context of a request from an address.
func from(t testing.TB, ip string) context.Context {
	ctx := identity.WithTenant(t.Context(), identity.Tenant{ID: ten})
	return identity.WithRequest(ctx, identity.Request{ID: "req", IP: ip, UserAgent: "test"})
}

// begin returns a sealed flow that is bound, and the browser's binding value.
func (n *node) begin(t testing.TB, ctx context.Context) (sealed, binding string) {
	t.Helper()
	open, err := n.Begin(ctx, authn.Need{ReturnTo: "/oauth2/authorize?client_id=web"})
	if err != nil {
		t.Fatal(err)
	}
	f := n.load(t, ctx, open, "")
	binding, err = n.Bind(f, "")
	if err != nil {
		t.Fatal(err)
	}
	return f.Sealed(), binding
}

func (n *node) load(t testing.TB, ctx context.Context, sealed, binding string) *authn.Flow {
	t.Helper()
	f, err := n.Load(ctx, sealed, binding)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// try signs in with a fresh flow, all at one node.
func (n *node) try(t testing.TB, ctx context.Context, b authn.Browser, name, password string) (authn.Result, error) {
	t.Helper()
	f := n.fresh(t, ctx)
	f.Browser = b
	return n.Password(ctx, f, name, password)
}

func (n *node) fresh(t testing.TB, ctx context.Context) *authn.Flow {
	t.Helper()
	sealed, binding := n.begin(t, ctx)
	return n.load(t, ctx, sealed, binding)
}
