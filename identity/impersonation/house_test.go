package impersonation_test

import (
	"context"
	"slices"
	"testing"

	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/fsm/fsmtest"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/directory"
	"github.com/quis-idp/quis/identity/event"
	"github.com/quis-idp/quis/identity/impersonation"
	"github.com/quis-idp/quis/identity/session"
	"github.com/quis-idp/quis/identity/settings"
	"github.com/quis-idp/quis/keys/seal"
	"github.com/quis-idp/quis/keys/seal/sealtest"
)

const ten = identity.DefaultTenant

// A house is a cluster with offers at each node, a user, ann, and an administrator, root.
type house struct {
	*fsmtest.Cluster
	nodes     []*impersonation.Offers
	ann, root *directory.User
}

func newHouse(t testing.TB, n int) *house {
	t.Helper()
	h := &house{Cluster: fsmtest.NewCluster(t, n, slices.Concat(impersonation.Tables, session.Tables, settings.Tables, directory.Tables, event.Tables, seal.Tables)...)}
	rings := sealtest.Rings(t, h.DB...)
	h.update(t, 0, func(tx *fsm.Tx) (err error) {
		if err := directory.EnsureDefault(tx); err != nil {
			return err
		}
		if h.ann, err = directory.CreateUser(tx, ten, directory.User{Username: "ann"}); err != nil {
			return err
		}
		if h.root, err = directory.CreateUser(tx, ten, directory.User{Username: "root", Admin: true}); err != nil {
			return err
		}
		a := settings.Default(ten)
		a.AllowImpersonation = true
		return settings.Put(tx, 0, a)
	})
	for i, db := range h.DB {
		ring := rings[i]
		h.nodes = append(h.nodes, impersonation.New(db, ring, session.NewStore(session.Config{DB: db, Ring: ring})))
	}
	return h
}

func (h *house) update(t testing.TB, node int, fn func(tx *fsm.Tx) error) {
	t.Helper()
	if err := h.DB[node].Update(t.Context(), fn); err != nil {
		t.Fatal(err)
	}
}

// admin is root, and the context of what they do.
func (h *house) admin(t testing.TB) (*directory.User, context.Context) {
	ctx := identity.WithTenant(t.Context(), identity.Tenant{ID: ten})
	return h.root, identity.WithActor(ctx, identity.Actor{Kind: identity.ActorUser, ID: h.root.ID})
}

// events returns the tenant's events of a type, newest first.
func (h *house) events(t testing.TB, typ event.Type) (page []event.Event) {
	t.Helper()
	err := h.DB[0].View(t.Context(), func(tx *fsm.Tx) (err error) {
		page, _, err = event.List(tx, ten, event.Query{Type: string(typ)})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return page
}
