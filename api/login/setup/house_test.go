package setup

import (
	"context"
	"net/http/httptest"
	"slices"
	"testing"
	"time"

	"github.com/quis-idp/quis/api"
	"github.com/quis-idp/quis/api/limit"
	"github.com/quis-idp/quis/api/login"
	"github.com/quis-idp/quis/api/login/memory"
	"github.com/quis-idp/quis/api/metrics"
	"github.com/quis-idp/quis/api/page/pagetest"
	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/fsm/fsmtest"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/authn"
	"github.com/quis-idp/quis/identity/credential"
	"github.com/quis-idp/quis/identity/directory"
	"github.com/quis-idp/quis/identity/event"
	"github.com/quis-idp/quis/identity/session"
	"github.com/quis-idp/quis/identity/settings"
	"github.com/quis-idp/quis/keys/seal"
	"github.com/quis-idp/quis/keys/seal/sealtest"
)

const (
	secret = "correct horse battery"
	tries  = 5 // of an address with links that do not work
)

var operator = identity.Actor{Kind: identity.ActorOperator}

// house is a running front door with these pages and those of sign-in, and a user who is no
// administrator.
type house struct {
	t   *testing.T
	db  *fsm.DB
	url string
}

func newHouse(t *testing.T) *house {
	t.Helper()
	c := fsmtest.NewCluster(t, 1, slices.Concat(seal.Tables, event.Tables, directory.Tables, credential.Tables, session.Tables, authn.Tables, settings.Tables)...)
	h := &house{t: t, db: c.DB[0]}
	ring := sealtest.Ring(t, h.db)
	h.update(func(tx *fsm.Tx) error {
		if err := directory.EnsureDefault(tx); err != nil {
			return err
		}
		if _, err := directory.CreateTenant(tx, directory.Tenant{Slug: "acme", Name: "Acme"}); err != nil {
			return err
		}
		_, err := directory.CreateUser(tx, identity.DefaultTenant, directory.User{Username: "tester", Email: "tester@example.com"})
		return err
	})
	pool := credential.NewPool(credential.Config{Params: credential.Params{Memory: 64, Time: 1, Threads: 1}}, nil)
	sessions := session.NewStore(session.Config{DB: h.db, Ring: ring})
	flows := authn.New(authn.Config{DB: h.db, Ring: ring, Sessions: sessions, SendMail: func(context.Context, authn.Letter) {},
		CheckPassword: func(ctx context.Context, tenant, user, password string) error {
			return credential.CheckPassword(ctx, h.db, pool, tenant, user, password)
		}})
	signIn := login.New(login.Config{
		DB: h.db, Sessions: sessions, Flows: flows, Pool: pool, Memory: memory.Memory{Ring: ring},
		PerAddress: limit.Rate{Burst: tries, Every: time.Hour},
	})
	pages := New(Config{DB: h.db, Sessions: sessions, SignIn: signIn, Pool: pool})
	door, err := api.New(api.Config{PublicURL: "http://localhost:8080", DB: h.db, Rooms: []api.Room{signIn, pages}, Metrics: metrics.New("test", "none")})
	if err != nil {
		t.Fatal(err)
	}
	s := httptest.NewServer(door.Public)
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

func (h *house) someone() *pagetest.Browser { return pagetest.NewBrowser(h.t, h.url) }

// link returns the path of a new setup link, which by has made.
func (h *house) link(by identity.Actor) string {
	h.t.Helper()
	var token string
	err := h.db.Update(identity.WithActor(h.t.Context(), by), func(tx *fsm.Tx) (err error) {
		token, _, err = credential.CreateSetup(tx)
		return err
	})
	if err != nil {
		h.t.Fatal(err)
	}
	return "/setup/" + token
}
