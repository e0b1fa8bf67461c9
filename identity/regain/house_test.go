package regain_test

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/fsm/fsmtest"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/credential"
	"github.com/quis-idp/quis/identity/credential/passkey"
	"github.com/quis-idp/quis/identity/credential/totp/totptest"
	"github.com/quis-idp/quis/identity/directory"
	"github.com/quis-idp/quis/identity/event"
	"github.com/quis-idp/quis/identity/regain"
	"github.com/quis-idp/quis/identity/session"
	"github.com/quis-idp/quis/identity/settings"
	"github.com/quis-idp/quis/keys/seal"
	"github.com/quis-idp/quis/keys/seal/sealtest"
)

const ten = identity.DefaultTenant

// races is how often each race is run.
const races = 1000

type house struct {
	*fsmtest.Cluster
	t    *testing.T
	ring *seal.Ring
	ann  string

	admins map[string]string // IDs, by the names that tests give them
}

func newHouse(t *testing.T, nodes int) *house {
	t.Helper()
	h := &house{t: t, admins: map[string]string{}}
	h.Cluster = fsmtest.NewCluster(t, nodes, slices.Concat(seal.Tables, event.Tables, directory.Tables, settings.Tables, credential.Tables, passkey.Tables, session.Tables, regain.Tables)...)
	h.ring = sealtest.Ring(t, h.DB[0])
	h.do(func(tx *fsm.Tx) error {
		if err := directory.EnsureDefault(tx); err != nil {
			return err
		}
		for _, name := range []string{"usr_root", "usr_other", "usr_third", "usr_a", "usr_b"} {
			u, err := directory.CreateUser(tx, ten, directory.User{Username: name, Admin: true})
			if err != nil {
				return err
			}
			h.admins[name] = u.ID
		}
		u, err := directory.CreateUser(tx, ten, directory.User{Username: "ann", Email: "ann@example.com", EmailVerified: true})
		if err == nil {
			h.ann = u.ID
		}
		return err
	})
	return h
}

// as is a context of what somebody does.
func (h *house) as(kind identity.ActorKind, id string) context.Context {
	return identity.WithActor(h.t.Context(), identity.Actor{Kind: kind, ID: id})
}

func (h *house) admin(id string) context.Context {
	return h.as(identity.ActorUser, cmp.Or(h.admins[id], id))
}

func (h *house) do(fn func(tx *fsm.Tx) error) {
	h.t.Helper()
	if err := h.try(h.t.Context(), fn); err != nil {
		h.t.Fatal(err)
	}
}

// try returns what fn reports.
func (h *house) try(ctx context.Context, fn func(tx *fsm.Tx) error) error {
	return h.DB[0].Update(ctx, fn)
}

func (h *house) decide(change func(*settings.Recovery)) {
	h.t.Helper()
	h.do(func(tx *fsm.Tx) error {
		a, rev, err := settings.Get(tx, ten)
		if err != nil {
			return err
		}
		change(&a.Recovery)
		return settings.Put(tx, rev, *a)
	})
}

func (h *house) begin() (r *regain.Recovery) {
	h.t.Helper()
	h.do(func(tx *fsm.Tx) (err error) {
		r, err = regain.Begin(tx, ten, h.ann)
		return err
	})
	return r
}

func (h *house) link(ctx context.Context) (r *regain.Recovery, secret string) {
	h.t.Helper()
	err := h.try(ctx, func(tx *fsm.Tx) (err error) {
		r, secret, err = regain.NewLink(tx, ten, h.ann, time.Hour)
		return err
	})
	if err != nil {
		h.t.Fatal(err)
	}
	return r, secret
}

func (h *house) finish(id string) func(tx *fsm.Tx) error {
	return func(tx *fsm.Tx) error { return regain.Finish(tx, ten, h.ann, id) }
}

func (h *house) waiting() (r *regain.Recovery) {
	h.t.Helper()
	h.do(func(tx *fsm.Tx) (err error) {
		r, err = regain.Waiting(tx, ten, h.ann)
		return err
	})
	return r
}

// app gives ann an authenticator app.
func (h *house) app() {
	h.t.Helper()
	h.do(func(tx *fsm.Tx) error {
		_, _, err := totptest.Add(tx, h.ring, ten, h.ann, "telephone")
		return err
	})
}

// events counts those of a type.
func (h *house) events(what event.Type) (found []event.Event) {
	h.t.Helper()
	h.do(func(tx *fsm.Tx) (err error) {
		found, _, err = event.List(tx, ten, event.Query{Type: string(what), Limit: 500})
		return err
	})
	return found
}

// race runs each function at a node of its own, all at once, and returns what they report.
func (h *house) race(all ...func(tx *fsm.Tx) error) []error {
	var wg sync.WaitGroup
	errs := make([]error, len(all))
	for i, fn := range all {
		wg.Go(func() { errs[i] = h.DB[i].Update(h.t.Context(), fn) })
	}
	wg.Wait()
	return errs
}
