package authn_test

import (
	"errors"
	"testing"

	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity/authn"
	"github.com/quis-idp/quis/identity/directory"
	"github.com/quis-idp/quis/identity/session"
	"github.com/quis-idp/quis/identity/settings"
)

// TestNothingIsCountedOfWhoIsDeleted: neither the last sign-in nor how often a second factor
// was put off.
func TestNothingIsCountedOfWhoIsDeleted(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 1)
	ctx := from(t, "192.0.2.1")
	h.update(t, 0, func(tx *fsm.Tx) error {
		s := settings.Default(ten)
		s.MFAPolicy = settings.MFAAny
		return settings.Put(tx, 0, s)
	})
	left := func() int {
		t.Helper()
		r, err := h.nodes[0].try(t, ctx, authn.Browser{}, "ann", good)
		if err != nil || r.Enrol == nil {
			t.Fatalf("%+v %v", r, err)
		}
		return r.Enrol.Left
	}
	first := left()
	if next := left(); next != first-1 {
		t.Errorf("%d, then %d", first, next)
	}
	h.update(t, 0, func(tx *fsm.Tx) error {
		return errors.Join(authn.DeleteAllOf(tx, ten, h.ann.ID), session.DeleteAllOf(tx, ten, h.ann.ID))
	})
	h.update(t, 0, func(tx *fsm.Tx) error {
		at, err := session.LastSignin(tx, ten, h.ann.ID)
		if !at.IsZero() {
			t.Errorf("last sign-in %v", at)
		}
		return err
	})
	if again := left(); again != first {
		t.Errorf("%d, want %d", again, first)
	}
}

// A browser is known as long as its person may sign in: not when they are disabled, or deleted.
func TestNobodysBrowserIsKnown(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 1)
	bob, n := h.user(t, directory.User{Username: "bob"}, good), h.nodes[0]
	r, err := n.try(t, from(t, "192.0.2.1"), authn.Browser{}, "bob", good)
	if err != nil {
		t.Fatal(err)
	}
	closed := func(disabled bool) {
		h.update(t, 0, func(tx *fsm.Tx) error {
			_, err := directory.UpdateUser(tx, ten, bob.ID, 0, func(u *directory.User) error { u.Disabled = disabled; return nil })
			return err
		})
	}
	known := func(when, want string) {
		t.Helper()
		if got := n.KnownIn(ten, r.Device); got != want {
			t.Errorf("%s: known as %q, want %q", when, got, want)
		}
	}
	known("signed in", bob.ID)
	closed(true)
	known("disabled", "")
	closed(false)
	known("enabled again", bob.ID)
	h.update(t, 0, func(tx *fsm.Tx) error { return directory.DeleteUser(tx, ten, bob.ID, 0) })
	known("deleted", "")
}
