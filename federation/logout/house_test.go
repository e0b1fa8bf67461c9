package logout_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/quis-idp/quis/federation"
	"github.com/quis-idp/quis/federation/fetch"
	"github.com/quis-idp/quis/federation/logout"
	"github.com/quis-idp/quis/federation/oidc/family"
	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/fsm/fsmtest"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/directory"
	"github.com/quis-idp/quis/identity/event"
	"github.com/quis-idp/quis/identity/session"
	"github.com/quis-idp/quis/identity/settings"
	"github.com/quis-idp/quis/keys/seal"
	"github.com/quis-idp/quis/keys/seal/sealtest"
)

const ten = identity.DefaultTenant

// A house is a few nodes over one log, with a user and receivers of logout tokens.
type house struct {
	*fsmtest.Cluster
	t     *testing.T
	user  *directory.User
	nodes []*node
}

type node struct {
	db       *fsm.DB
	ring     *seal.Ring
	sessions *session.Store
	families *family.Store
	room     *logout.Room
}

func newHouse(t *testing.T, size int, change ...func(*logout.Config)) *house {
	t.Helper()
	tables := slices.Concat(seal.Tables, event.Tables, directory.Tables, settings.Tables, session.Tables, federation.Tables, family.Tables, logout.Tables)
	h := &house{Cluster: fsmtest.NewCluster(t, size, tables...), t: t}
	rings := sealtest.Rings(t, h.DB...)
	h.update(0, func(tx *fsm.Tx) (err error) {
		if err := directory.EnsureDefault(tx); err != nil {
			return err
		}
		h.user, err = directory.CreateUser(tx, ten, directory.User{Username: "ada", Name: "Ada"})
		return err
	})
	for i, db := range h.DB {
		n := &node{db: db, ring: rings[i]}
		n.sessions = session.NewStore(session.Config{DB: db, Ring: n.ring})
		n.families = family.New(family.Config{DB: db, Ring: n.ring, Sessions: n.sessions})
		cfg := logout.Config{
			DB: db, Logger: slog.New(slog.DiscardHandler), Token: tokenOf, Post: fetch.New(fetch.Config{Loopback: true}).Post,
			Tenant: func(_ *fsm.Tx, id string) (identity.Tenant, error) { return identity.Tenant{ID: id}, nil },
			Pause:  func(int) time.Duration { return time.Millisecond },
		}
		for _, f := range change {
			f(&cfg)
		}
		n.room = logout.New(cfg)
		h.nodes = append(h.nodes, n)
	}
	h.update(0, func(tx *fsm.Tx) error { return event.SkipToEnd(tx, "backchannel logout") })
	return h
}

func (h *house) update(i int, fn func(tx *fsm.Tx) error) {
	h.t.Helper()
	if err := h.DB[i].Update(h.t.Context(), fn); err != nil {
		h.t.Fatal(err)
	}
}

// said is what a logout token of these tests says.
type said struct{ Application, User, Session, JTI string }

// tokenOf stands for the signature, which is the provider's.
func tokenOf(_ context.Context, app *federation.Application, userID, sessionID, jti string) (string, error) {
	b, err := json.Marshal(said{app.ID, userID, sessionID, jti})
	return base64.RawURLEncoding.EncodeToString(b), err
}

// A receiver is an application's back-channel logout endpoint.
type receiver struct {
	*httptest.Server
	app *federation.Application

	mu     sync.Mutex
	got    []said
	answer func(n int) int // status for the nth token; nil: 200
	news   chan struct{}
}

func (h *house) receiver(name string, answer func(n int) int) *receiver {
	h.t.Helper()
	r := &receiver{answer: answer, news: make(chan struct{}, 1000)}
	r.Server = httptest.NewServer(r)
	h.t.Cleanup(r.Close)
	r.app = h.register(name, federation.LogoutSettings{BackchannelURI: r.URL + "/backchannel"})
	return r
}

func (r *receiver) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	var s said
	raw, err := base64.RawURLEncoding.DecodeString(req.FormValue("logout_token"))
	if err == nil {
		err = json.Unmarshal(raw, &s)
	}
	if err != nil || req.Method != http.MethodPost {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	r.mu.Lock()
	r.got = append(r.got, s)
	n := len(r.got)
	r.mu.Unlock()
	r.news <- struct{}{}
	if r.answer != nil {
		w.WriteHeader(r.answer(n))
	}
}

func (r *receiver) received() []said {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.got)
}

// wait returns what came, once there are n.
func (r *receiver) wait(t *testing.T, n int) []said {
	t.Helper()
	for len(r.received()) < n {
		select {
		case <-r.news:
		case <-time.After(10 * time.Second):
			t.Fatalf("%s got %d logout tokens, want %d", r.app.Name, len(r.received()), n)
		}
	}
	return r.received()
}

func (h *house) register(name string, s federation.LogoutSettings) *federation.Application {
	h.t.Helper()
	a := &federation.Application{
		Tenant: ten, ClientID: name, Name: name, RedirectURIs: []string{"https://app.example.com/cb"},
		AllowedScopes: []string{"openid", "offline_access"}, Logout: s,
	}
	if u, err := url.Parse(s.FrontchannelURI); err == nil && u.Host != "" {
		a.RedirectURIs = append(a.RedirectURIs, u.Scheme+"://"+u.Host+"/cb")
	}
	h.update(0, func(tx *fsm.Tx) error {
		_, err := federation.Create(tx, h.nodes[0].ring, a, "")
		return err
	})
	return a
}

func (h *house) signIn() string {
	h.t.Helper()
	var started *session.Started
	h.update(0, func(tx *fsm.Tx) (err error) {
		started, err = h.nodes[0].sessions.Start(tx, session.Session{Tenant: ten, UserID: h.user.ID, AMR: []string{"pwd"}})
		return err
	})
	return started.Session.ID
}

// use gives an application tokens in a session.
func (h *house) use(app *federation.Application, sessionID string, scope ...string) {
	h.t.Helper()
	n := h.nodes[0]
	_, err := n.families.Begin(h.t.Context(), app, family.Start{
		Grant: family.Grant{
			Family: family.NewID(), Scope: append(scope, "openid"), UserID: h.user.ID, SessionID: sessionID, Index: n.db.Position().Index,
		},
		By: federation.GrantCode, What: "code", Arrived: n.db.Now(),
	})
	if err != nil {
		h.t.Fatal(err)
	}
}

// lead runs the duties on node i until the test ends or stop is called.
func (h *house) lead(i int) (stop func()) {
	ctx, cancel := context.WithCancel(fsm.FencedBy(h.t.Context(), h.Term()))
	var all sync.WaitGroup
	for _, duty := range []func(context.Context) error{h.nodes[i].room.Read, h.nodes[i].room.Send} {
		all.Go(func() {
			for ctx.Err() == nil {
				if err := duty(ctx); err != nil && ctx.Err() == nil {
					h.t.Log(fmt.Sprint("duty: ", err))
				}
			}
		})
	}
	stop = sync.OnceFunc(func() { cancel(); all.Wait() })
	h.t.Cleanup(stop)
	return stop
}

// settled waits until the deliveries to an application are in the given states, newest first.
func (h *house) settled(app *federation.Application, states ...string) []logout.Delivery {
	h.t.Helper()
	deadline := time.After(10 * time.Second)
	for {
		changed := h.DB[0].Changed()
		var page []logout.Delivery
		err := h.DB[0].View(h.t.Context(), func(tx *fsm.Tx) (err error) {
			page, _, err = logout.List(tx, ten, app.ID, "", 0)
			return err
		})
		if err != nil {
			h.t.Fatal(err)
		}
		var have []string
		for _, d := range page {
			have = append(have, d.State)
		}
		if slices.Equal(have, states) {
			return page
		}
		select {
		case <-changed:
		case <-deadline:
			h.t.Fatalf("deliveries %+v, want %v", page, states)
		}
	}
}

func (h *house) end(sessionID string) {
	h.t.Helper()
	h.update(0, func(tx *fsm.Tx) error { return session.End(tx, ten, sessionID) })
}
