package device_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/fsm/fsmtest"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/credential/device"
	"github.com/quis-idp/quis/identity/event"
	"github.com/quis-idp/quis/keys/seal"
	"github.com/quis-idp/quis/keys/seal/sealtest"
)

const (
	ten   = "ten_a"
	alice = "usr_alice"
	bob   = "usr_bob"
	day   = 24 * time.Hour
)

type house struct {
	*fsmtest.Cluster
	rings []*seal.Ring
}

func newHouse(t testing.TB, n int) *house {
	t.Helper()
	h := &house{Cluster: fsmtest.NewCluster(t, n, slices.Concat(device.Tables, event.Tables, seal.Tables)...)}
	h.rings = sealtest.Rings(t, h.DB...)
	return h
}

func (h *house) update(t testing.TB, node int, fn func(tx *fsm.Tx) error) {
	t.Helper()
	if err := h.DB[node].Update(t.Context(), fn); err != nil {
		t.Fatal(err)
	}
}

func (h *house) trust(t testing.TB, user, name string, life time.Duration) (d *device.Device, cookie string) {
	t.Helper()
	h.update(t, 0, func(tx *fsm.Tx) (err error) {
		d, cookie, err = device.Trust(tx, h.rings[0], ten, user, name, life)
		return err
	})
	return d, cookie
}

// trusted asks every node.
func (h *house) trusted(t testing.TB, tenant, user, cookie string) (id string) {
	t.Helper()
	for i, db := range h.DB {
		got := ""
		err := db.View(t.Context(), func(tx *fsm.Tx) error {
			d, err := device.Trusted(tx, h.rings[i], tenant, user, cookie)
			if d != nil {
				got = d.ID
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		if i > 0 && got != id {
			t.Errorf("node %d says %q, others %q", i, got, id)
		}
		id = got
	}
	return id
}

func TestACookieServesItsUserUntilTrustEnds(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 2)
	d, cookie := h.trust(t, alice, "Firefox\x00 on "+strings.Repeat("Linux", 100), 30*day)
	if len(cookie) > 512 || len(d.Name) > 100 || strings.ContainsRune(d.Name, 0) {
		t.Errorf("cookie of %d bytes, name %q", len(cookie), d.Name)
	}
	before := h.Entries()
	if got := h.trusted(t, ten, alice, cookie); got != d.ID {
		t.Errorf("trusted: %q, want %q", got, d.ID)
	}
	for _, c := range []struct{ tenant, user, cookie string }{
		{ten, bob, cookie}, {"ten_b", alice, cookie}, {ten, "", cookie}, {ten, alice, ""}, {ten, alice, d.ID},
		{ten, alice, cookie + "A"}, {ten, alice, cookie[1:]}, {ten, alice, strings.Repeat("A", 1<<16)},
	} {
		if got := h.trusted(t, c.tenant, c.user, c.cookie); got != "" {
			t.Errorf("%s %s %.20q: trusted", c.tenant, c.user, c.cookie)
		}
	}
	if h.Entries() != before {
		t.Error("looking at cookies wrote to the log")
	}
	h.update(t, 1, func(tx *fsm.Tx) error { return device.Accept(tx, ten, alice, d.ID) })
	h.update(t, 0, func(tx *fsm.Tx) error {
		all, err := device.List(tx, ten, alice)
		if len(all) != 1 || all[0].LastUsed.IsZero() {
			t.Errorf("listed: %+v", all)
		}
		return err
	})
	h.Advance(31 * day)
	h.trust(t, bob, "any write brings the new time", day)
	if h.trusted(t, ten, alice, cookie) != "" {
		t.Error("trusted after its end")
	}
	err := h.DB[1].Update(t.Context(), func(tx *fsm.Tx) error { return device.Accept(tx, ten, alice, d.ID) })
	if !errors.Is(err, identity.ErrUnauthenticated) {
		t.Errorf("accepted after its end: %v", err)
	}
}

func TestRevoking(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 2)
	one, first := h.trust(t, alice, "one", day)
	_, second := h.trust(t, alice, "two", day)
	_, others := h.trust(t, bob, "bob's", day)
	h.update(t, 1, func(tx *fsm.Tx) error { return device.Revoke(tx, ten, alice, one.ID) })
	if h.trusted(t, ten, alice, first) != "" || h.trusted(t, ten, alice, second) == "" {
		t.Error("revoking one ended none, or another")
	}
	for _, user := range []string{bob, alice} {
		err := h.DB[0].Update(t.Context(), func(tx *fsm.Tx) error { return device.Revoke(tx, ten, user, one.ID) })
		if !errors.Is(err, fsm.ErrNotFound) {
			t.Errorf("revoke what %s has not: %v", user, err)
		}
	}
	h.update(t, 0, func(tx *fsm.Tx) error {
		n, err := device.RevokeAll(tx, ten, alice, "password changed")
		if n != 1 {
			t.Errorf("revoked %d, want 1", n)
		}
		return err
	})
	if h.trusted(t, ten, alice, second) != "" || h.trusted(t, ten, bob, others) == "" {
		t.Error("revoking all of one user: theirs stayed, or another's went")
	}
	h.update(t, 0, func(tx *fsm.Tx) error {
		page, _, err := event.List(tx, ten, event.Query{Limit: 1})
		if len(page) != 1 || page[0].Type != event.TrustedDeviceRevoked || page[0].Data["reason"] != "password changed" {
			t.Errorf("latest event: %+v", page)
		}
		return err
	})
	h.update(t, 0, func(tx *fsm.Tx) error { return device.DeleteAllOf(tx, ten, bob) })
	if h.trusted(t, ten, bob, others) != "" {
		t.Error("trust outlives its user")
	}
}

func TestADeviceIsCalledWhatItsUserSays(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 2)
	d, cookie := h.trust(t, alice, "Firefox on Linux", day)
	for name, want := range map[string]error{" ": identity.ErrInvalid, "\x00": identity.ErrInvalid, "Firefox on Linux": nil} {
		err := h.DB[1].Update(t.Context(), func(tx *fsm.Tx) error { return device.Rename(tx, ten, alice, d.ID, name) })
		if !errors.Is(err, want) {
			t.Errorf("%q: %v", name, err)
		}
	}
	err := h.DB[0].Update(t.Context(), func(tx *fsm.Tx) error { return device.Rename(tx, ten, bob, d.ID, "Mine") })
	if !errors.Is(err, fsm.ErrNotFound) {
		t.Errorf("another's: %v", err)
	}
	h.update(t, 1, func(tx *fsm.Tx) error {
		return device.Rename(tx, ten, alice, d.ID, " Laptop "+strings.Repeat("x", 200))
	})
	h.update(t, 0, func(tx *fsm.Tx) error {
		got, err := device.Get(tx, ten, alice, d.ID)
		if err != nil {
			return err
		}
		if !strings.HasPrefix(got.Name, "Laptop x") || len(got.Name) > 100 {
			t.Errorf("called %q", got.Name)
		}
		page, _, err := event.List(tx, ten, event.Query{Limit: 9})
		if len(page) != 2 || page[0].Type != event.TrustedDeviceRenamed || page[0].Changes[0].Before != "Firefox on Linux" || page[0].Changes[0].After != got.Name {
			t.Errorf("events: %+v", page)
		}
		return err
	})
	if h.trusted(t, ten, alice, cookie) != d.ID {
		t.Error("a new name has ended the trust")
	}
}

func TestBounds(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 1)
	for _, life := range []time.Duration{0, -day, device.MaxLifetime + 1} {
		err := h.DB[0].Update(t.Context(), func(tx *fsm.Tx) error {
			_, _, err := device.Trust(tx, h.rings[0], ten, alice, "x", life)
			return err
		})
		if !errors.Is(err, identity.ErrInvalid) {
			t.Errorf("%v: %v", life, err)
		}
	}
	_, oldest := h.trust(t, alice, "oldest", day)
	var latest string
	for i := range 20 {
		_, latest = h.trust(t, alice, fmt.Sprint(i), day)
	}
	if h.trusted(t, ten, alice, oldest) != "" || h.trusted(t, ten, alice, latest) == "" {
		t.Error("the 21st device did not take the place of the oldest")
	}
	h.update(t, 0, func(tx *fsm.Tx) error {
		all, err := device.List(tx, ten, alice)
		if len(all) != 20 {
			t.Errorf("%d devices", len(all))
		}
		return errors.Join(err, device.DeleteTenant(tx, ten))
	})
	if h.trusted(t, ten, alice, latest) != "" {
		t.Error("trust outlives its tenant")
	}
}
