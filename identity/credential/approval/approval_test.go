package approval_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/fsm/fsmtest"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/assurance"
	"github.com/quis-idp/quis/identity/credential/approval"
	"github.com/quis-idp/quis/identity/credential/device"
	"github.com/quis-idp/quis/identity/directory"
	"github.com/quis-idp/quis/identity/event"
	"github.com/quis-idp/quis/identity/session"
	"github.com/quis-idp/quis/keys/seal"
	"github.com/quis-idp/quis/keys/seal/sealtest"
)

const (
	ten   = "ten_a"
	alice = "usr_alice"
	bob   = "usr_bob"
)

type house struct {
	*fsmtest.Cluster
	rings []*seal.Ring
	own   string // the approver that asks
}

func newHouse(t testing.TB, n int) *house {
	t.Helper()
	h := &house{Cluster: fsmtest.NewCluster(t, n, slices.Concat(approval.Tables, device.Tables, session.Tables, directory.Tables, event.Tables, seal.Tables)...)}
	h.rings = sealtest.Rings(t, h.DB...)
	return h
}

func (h *house) update(t testing.TB, node int, fn func(tx *fsm.Tx) error) {
	t.Helper()
	if err := h.DB[node].Update(t.Context(), fn); err != nil {
		t.Fatal(err)
	}
}

func (h *house) try(t testing.TB, node int, user, session, name string) (a *approval.Approver, cookie string, err error) {
	t.Helper()
	err = h.DB[node].Update(t.Context(), func(tx *fsm.Tx) (err error) {
		a, cookie, err = approval.Allow(tx, h.rings[node], ten, user, session, name)
		return err
	})
	return a, cookie, err
}

func (h *house) allow(t testing.TB, user, session, name string) (*approval.Approver, string) {
	t.Helper()
	a, cookie, err := h.try(t, 0, user, session, name)
	if err != nil {
		t.Fatal(err)
	}
	return a, cookie
}

func (h *house) list(t testing.TB, node int, user string) (all []approval.Approver) {
	t.Helper()
	err := h.DB[node].View(t.Context(), func(tx *fsm.Tx) (err error) {
		all, err = approval.List(tx, ten, user)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func (h *house) events(t testing.TB, user string) (types []event.Type) {
	t.Helper()
	err := h.DB[0].View(t.Context(), func(tx *fsm.Tx) error {
		page, _, err := event.About(tx, ten, user, "", 100)
		for _, e := range page {
			types = append(types, e.Type)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	slices.Reverse(types)
	return types
}

func TestAllowingRenamingRemoving(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 2)
	a, cookie := h.allow(t, alice, "ses_1", " Firefox\x00 on Linux ")
	if a.Name != "Firefox  on Linux" || len(cookie) > 512 || !identity.ValidID(identity.PrefixApprover, a.ID) {
		t.Errorf("%+v, cookie of %d bytes", a, len(cookie))
	}
	if again, _, err := h.try(t, 1, alice, "ses_1", "clicked twice"); err != nil || again.ID != a.ID || len(h.list(t, 1, alice)) != 1 {
		t.Errorf("a second time: %+v, %v", again, err)
	}
	for _, bad := range []struct{ user, session, name string }{{alice, "ses_2", " "}, {"", "ses_2", "x"}, {alice, "", "x"}} {
		if _, _, err := h.try(t, 0, bad.user, bad.session, bad.name); !errors.Is(err, identity.ErrInvalid) {
			t.Errorf("%+v: %v", bad, err)
		}
	}
	for i := range 4 {
		h.allow(t, alice, fmt.Sprint("ses_more", i), "more")
	}
	if _, _, err := h.try(t, 0, alice, "ses_6", "too many"); !errors.Is(err, identity.ErrInvalid) {
		t.Errorf("the sixth: %v", err)
	}
	h.allow(t, bob, "ses_b", "bob's")
	h.update(t, 0, func(tx *fsm.Tx) error {
		_, _, err := device.Trust(tx, h.rings[0], ten, alice, "trusted", time.Hour)
		return err
	})
	h.update(t, 1, func(tx *fsm.Tx) error { return approval.Rename(tx, ten, alice, a.ID, "Laptop") })
	if got := h.list(t, 0, alice)[0].Name; got != "Laptop" {
		t.Errorf("renamed: %q", got)
	}
	h.update(t, 1, func(tx *fsm.Tx) error { return approval.Remove(tx, ten, alice, a.ID) })
	for what, fn := range map[string]func(tx *fsm.Tx) error{
		"rename what is gone":  func(tx *fsm.Tx) error { return approval.Rename(tx, ten, alice, a.ID, "x") },
		"remove what is gone":  func(tx *fsm.Tx) error { return approval.Remove(tx, ten, alice, a.ID) },
		"remove another's own": func(tx *fsm.Tx) error { return approval.Remove(tx, ten, alice, h.list(t, 0, bob)[0].ID) },
	} {
		if err := h.DB[0].Update(t.Context(), fn); !errors.Is(err, fsm.ErrNotFound) {
			t.Errorf("%s: %v", what, err)
		}
	}
	h.update(t, 0, func(tx *fsm.Tx) error {
		trusted, err := device.List(tx, ten, alice)
		if len(trusted) != 0 {
			t.Error("a removed factor leaves devices trusted")
		}
		return err
	})
	want := []event.Type{
		event.FactorAdded, event.FactorAdded, event.FactorAdded, event.FactorAdded, event.FactorAdded,
		event.TrustedDeviceAdded, event.FactorRenamed, event.FactorRemoved, event.TrustedDeviceRevoked,
	}
	if d := cmp.Diff(want, h.events(t, alice)); d != "" {
		t.Error(d)
	}
	h.update(t, 0, func(tx *fsm.Tx) error { return approval.RemoveAll(tx, ten, alice, "this wasn't me") })
	if len(h.list(t, 1, alice)) != 0 || len(h.list(t, 1, bob)) != 1 {
		t.Error("removing all: hers stayed, or his went")
	}
	h.update(t, 0, func(tx *fsm.Tx) error { return approval.DeleteTenant(tx, ten) })
	if len(h.list(t, 1, bob)) != 0 {
		t.Error("approvers outlive their tenant")
	}
}

// A browser stays an approver in its next session, by its cookie, which is of use to nobody else.
func TestApproverIsFoundAgain(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 2)
	a, cookie := h.allow(t, alice, "ses_1", "Laptop")
	other, _ := h.allow(t, alice, "ses_2", "Phone")
	at := func(session string) (id string) {
		t.Helper()
		err := h.DB[1].View(t.Context(), func(tx *fsm.Tx) error {
			b, err := approval.At(tx, ten, alice, session)
			if b != nil {
				id = b.ID
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		return id
	}
	signIn := func(tenant, user, cookie, session string) {
		t.Helper()
		h.update(t, 1, func(tx *fsm.Tx) error { return approval.SignedIn(tx, h.rings[1], tenant, user, cookie, session) })
	}
	before := h.Entries()
	for _, c := range []struct{ tenant, user, cookie string }{
		{ten, bob, cookie}, {"ten_b", alice, cookie}, {ten, "", cookie}, {ten, alice, ""}, {ten, alice, a.ID},
		{ten, alice, cookie + "A"}, {ten, alice, cookie[1:]}, {ten, alice, strings.Repeat("A", 1<<16)},
	} {
		signIn(c.tenant, c.user, c.cookie, "ses_evil")
	}
	signIn(ten, alice, cookie, "ses_1") // renewed: the same session
	if h.Entries() != before || at("ses_evil") != "" || at("") != "" {
		t.Errorf("%d entries, approver %q", h.Entries()-before, at("ses_evil"))
	}
	signIn(ten, alice, cookie, "ses_3")
	if at("ses_3") != a.ID || at("ses_1") != "" || at("ses_2") != other.ID {
		t.Errorf("after signing in again: %q %q %q", at("ses_3"), at("ses_1"), at("ses_2"))
	}
	h.update(t, 0, func(tx *fsm.Tx) error { return approval.Remove(tx, ten, alice, a.ID) })
	signIn(ten, alice, cookie, "ses_4")
	if at("ses_3") != "" || at("ses_4") != "" {
		t.Error("an approver that was removed came back")
	}
}

func TestStrong(t *testing.T) {
	t.Parallel()
	pwd, totp := assurance.Factor{Method: assurance.Password}, assurance.Factor{Method: assurance.TOTP}
	given, key := assurance.Factor{Method: assurance.Approval}, assurance.Factor{Method: assurance.Passkey, Verified: true}
	for _, c := range []struct {
		factors []assurance.Factor
		want    bool
	}{
		{nil, false},
		{[]assurance.Factor{pwd}, false},
		{[]assurance.Factor{pwd, given}, false},
		{[]assurance.Factor{pwd, totp}, true},
		{[]assurance.Factor{pwd, given, totp}, true},
		{[]assurance.Factor{key}, true},
		{[]assurance.Factor{given}, false},
	} {
		if got := approval.Strong(c.factors); got != c.want {
			t.Errorf("%v: %v", c.factors, got)
		}
	}
}
