package passkey_test

import (
	"errors"
	"slices"
	"testing"

	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/fsm/fsmtest"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/credential/device"
	"github.com/quis-idp/quis/identity/credential/passkey"
	"github.com/quis-idp/quis/identity/credential/passkey/passkeytest"
	"github.com/quis-idp/quis/identity/directory"
	"github.com/quis-idp/quis/identity/event"
	"github.com/quis-idp/quis/identity/session"
	"github.com/quis-idp/quis/identity/settings"
)

const origin = "https://id.example.com"

var (
	home  = identity.Tenant{ID: "ten_a", Issuer: origin}
	other = identity.Tenant{ID: "ten_b", Slug: "b", Issuer: origin + "/t/b"}
	alice = &directory.User{ID: "usr_alice", Username: "alice", Name: "Alice Adams"}
	bob   = &directory.User{ID: "usr_bob", Username: "bob"}
)

// A house is a few replicas and what the ceremonies of a test have in common.
type house struct {
	*fsmtest.Cluster
	t      testing.TB
	policy settings.Passkey
	known  bool // who signs in has proven a password
	bound  bool // a passkey that may leave its device would not do
}

func newHouse(t testing.TB, nodes int) *house {
	t.Helper()
	return &house{Cluster: fsmtest.NewCluster(t, nodes, slices.Concat(passkey.Tables, settings.Tables, device.Tables, session.Tables, event.Tables)...), t: t}
}

func (h *house) update(f func(tx *fsm.Tx) error) error { return h.DB[0].Update(h.t.Context(), f) }

// decide has a tenant decide p about passkeys.
func (h *house) decide(t identity.Tenant, p settings.Passkey) {
	h.t.Helper()
	a := settings.Default(t.ID)
	a.Passkey = p
	if err := h.update(func(tx *fsm.Tx) error { return settings.Put(tx, 0, a) }); err != nil {
		h.t.Fatal(err)
	}
}

func (h *house) view(f func(tx *fsm.Tx) error) {
	h.t.Helper()
	if err := h.DB[0].View(h.t.Context(), f); err != nil {
		h.t.Fatal(err)
	}
}

func phone() *passkeytest.Authenticator {
	return &passkeytest.Authenticator{Origin: origin, UV: true, Counts: true}
}

// begun is a registration's first half, answered.
func (h *house) begun(t identity.Tenant, u *directory.User, a *passkeytest.Authenticator) (session, response []byte) {
	h.t.Helper()
	var options []byte
	h.view(func(tx *fsm.Tx) (err error) {
		options, session, err = passkey.BeginRegistration(tx, t, "A house", h.policy, u, !a.NoHandle)
		return err
	})
	response, err := a.Create(options)
	if err != nil {
		h.t.Fatal(err)
	}
	return session, response
}

func (h *house) finishRegistration(t identity.Tenant, user string, session, response []byte, name string) (k *passkey.Passkey, err error) {
	err = h.update(func(tx *fsm.Tx) (err error) {
		k, err = passkey.Register(tx, t, h.policy, user, session, response, name)
		return err
	})
	return k, err
}

func (h *house) tryRegister(t identity.Tenant, u *directory.User, a *passkeytest.Authenticator) (*passkey.Passkey, error) {
	h.t.Helper()
	session, response := h.begun(t, u, a)
	return h.finishRegistration(t, u.ID, session, response, "")
}

func (h *house) register(t identity.Tenant, u *directory.User, a *passkeytest.Authenticator) *passkey.Passkey {
	h.t.Helper()
	k, err := h.tryRegister(t, u, a)
	if err != nil {
		h.t.Fatal(err)
	}
	return k
}

func (h *house) options(t identity.Tenant, user string) (options, session []byte) {
	h.t.Helper()
	h.view(func(tx *fsm.Tx) (err error) {
		options, session, err = passkey.Begin(tx, t, h.policy, user, passkey.Wanted{Second: h.known, Bound: h.bound})
		return err
	})
	return options, session
}

// assert is a sign-in up to what a passkey has proven, on one node.
func (h *house) assert(node int, t identity.Tenant, user string, a *passkeytest.Authenticator) (passkey.Assertion, error) {
	h.t.Helper()
	options, session := h.options(t, user)
	response, err := a.Get(options)
	if err != nil {
		h.t.Fatal(err)
	}
	return passkey.Finish(h.t.Context(), h.DB[node], t.ID, session, response, user)
}

func (h *house) accept(node int, a passkey.Assertion) error {
	return h.DB[node].Update(h.t.Context(), func(tx *fsm.Tx) error { return passkey.Accept(tx, a) })
}

// signIn is a whole sign-in.
func (h *house) signIn(t identity.Tenant, user string, a *passkeytest.Authenticator) (passkey.Assertion, error) {
	h.t.Helper()
	got, err := h.assert(0, t, user, a)
	if err == nil {
		err = h.accept(0, got)
	}
	return got, err
}

func (h *house) stored(k *passkey.Passkey) (p *passkey.Passkey) {
	h.t.Helper()
	h.view(func(tx *fsm.Tx) (err error) {
		p, err = passkey.Get(tx, k.Tenant, k.UserID, k.ID)
		return err
	})
	return p
}

// news lists the types of all events of a tenant.
func (h *house) news(tenant string) (types []string) {
	h.t.Helper()
	h.view(func(tx *fsm.Tx) error {
		page, _, err := event.List(tx, tenant, event.Query{Oldest: true})
		for _, e := range page {
			types = append(types, string(e.Type))
		}
		return err
	})
	return types
}

// expect checks the kind of an error and that it has a sentence for the person.
func expect(t testing.TB, what string, err, kind error) {
	t.Helper()
	told := identity.Errors(err)
	if !errors.Is(err, kind) || len(told) != 1 || told[0].Detail == "" {
		t.Errorf("%s: got %v, want %v with a sentence", what, err, kind)
	}
}
