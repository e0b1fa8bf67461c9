package passkey_test

import (
	"errors"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/credential/passkey"
	"github.com/quis-idp/quis/identity/credential/passkey/passkeytest"
)

func TestACopyIsRefusedForGood(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 2)
	a := phone()
	k := h.register(home, alice, a)
	stolen := *a
	for range 3 {
		if _, err := h.signIn(home, "", a); err != nil {
			t.Fatal(err)
		}
	}
	got, err := h.signIn(home, "", &stolen)
	expect(t, "a copy", err, identity.ErrUnauthenticated)
	if !got.Clone || !strings.Contains(err.Error(), "copy of this passkey") {
		t.Errorf("%+v, %v", got, err)
	}
	if h.stored(k).Suspect.IsZero() {
		t.Error("not marked")
	}
	entries := h.Entries()
	for _, one := range []*passkeytest.Authenticator{a, &stolen} {
		_, err := h.signIn(home, "", one)
		expect(t, "afterwards", err, identity.ErrUnauthenticated)
	}
	if h.Entries() != entries {
		t.Error("a suspect passkey writes again")
	}
	if diff := cmp.Diff([]string{"passkey.created", "passkey.suspected"}, h.news(home.ID)); diff != "" {
		t.Error(diff)
	}
	err = h.DB[0].View(t.Context(), func(tx *fsm.Tx) error {
		_, _, err := passkey.Begin(tx, home, h.policy, alice.ID, passkey.Wanted{})
		return err
	})
	expect(t, "offered", err, fsm.ErrNotFound)
	if err := h.accept(0, got); err == nil {
		t.Error("a copy's assertion was accepted")
	}
}

// One answer on two nodes at once counts once, whether or not the authenticator counts.
func TestAcceptRaces(t *testing.T) {
	t.Parallel()
	const races = 500
	for _, counts := range []bool{true, false} {
		h := newHouse(t, 2)
		a := &passkeytest.Authenticator{Origin: origin, UV: true, Counts: counts}
		h.register(home, alice, a)
		for i := range races {
			got, err := h.assert(i%2, home, "", a)
			if err != nil {
				t.Fatal(err)
			}
			var errs [2]error
			var wg sync.WaitGroup
			for node := range errs {
				wg.Go(func() { errs[node] = h.accept(node, got) })
			}
			wg.Wait()
			if (errs[0] == nil) == (errs[1] == nil) {
				t.Fatalf("race %d: %v, %v", i, errs[0], errs[1])
			}
			expect(t, "the other", errors.Join(errs[0], errs[1]), identity.ErrUnauthenticated)
		}
	}
}

// Two sign-ins with one authenticator, accepted in the wrong order: the earlier is refused, and
// the passkey is not held to be a copy for it.
func TestAcceptOutOfOrder(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 1)
	a := phone()
	k := h.register(home, alice, a)
	first, err := h.assert(0, home, "", a)
	if err != nil {
		t.Fatal(err)
	}
	second, err := h.assert(0, home, "", a)
	if err != nil {
		t.Fatal(err)
	}
	if err := h.accept(0, second); err != nil {
		t.Fatal(err)
	}
	expect(t, "the earlier", h.accept(0, first), identity.ErrUnauthenticated)
	if !h.stored(k).Suspect.IsZero() {
		t.Error("held to be a copy")
	}
}
