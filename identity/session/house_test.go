package session_test

import (
	"errors"
	"slices"
	"testing"

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

// A house is a cluster with a Store at each node and one user.
type house struct {
	*fsmtest.Cluster
	stores []*session.Store
	rings  []*seal.Ring
	user   *directory.User
}

func newHouse(t testing.TB, n int, cfg session.Config) *house {
	t.Helper()
	schema := slices.Concat(session.Tables, settings.Tables, directory.Tables, event.Tables, seal.Tables)
	h := &house{Cluster: fsmtest.NewCluster(t, n, schema...)}
	h.rings = sealtest.Rings(t, h.DB...)
	h.update(t, 0, directory.EnsureDefault)
	h.user = h.newUser(t, "ann")
	for i, db := range h.DB {
		cfg.DB, cfg.Ring = db, h.rings[i]
		h.stores = append(h.stores, session.NewStore(cfg))
	}
	return h
}

func (h *house) newUser(t testing.TB, name string) (u *directory.User) {
	t.Helper()
	h.update(t, 0, func(tx *fsm.Tx) (err error) {
		u, err = directory.CreateUser(tx, ten, directory.User{Username: name})
		return err
	})
	return u
}

func (h *house) update(t testing.TB, node int, fn func(tx *fsm.Tx) error) {
	t.Helper()
	if err := h.DB[node].Update(t.Context(), fn); err != nil {
		t.Fatal(err)
	}
}

// decide changes how long sessions last.
func (h *house) decide(t testing.TB, node int, change func(s *settings.Session)) {
	t.Helper()
	h.update(t, node, func(tx *fsm.Tx) error {
		a, _, err := settings.Get(tx, ten)
		if err != nil {
			return err
		}
		change(&a.Session)
		return settings.Put(tx, 0, *a)
	})
}

func (h *house) start(t testing.TB, node int, user string) (session.Session, string) {
	t.Helper()
	var s *session.Started
	h.update(t, node, func(tx *fsm.Tx) (err error) {
		s, err = h.stores[node].Start(tx, session.Session{Tenant: ten, UserID: user, AMR: []string{"pwd"}})
		return err
	})
	cookie, err := h.stores[node].Cookie(s)
	if err != nil {
		t.Fatal(err)
	}
	return s.Session, cookie
}

func (h *house) find(t testing.TB, node int, cookie string, want error) *session.Session {
	t.Helper()
	s, err := h.stores[node].Find(t.Context(), ten, cookie)
	if !errors.Is(err, want) {
		t.Errorf("find at node %d: got %v, want %v", node, err, want)
	}
	return s
}
